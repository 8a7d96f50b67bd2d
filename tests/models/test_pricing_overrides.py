"""What may be asked of a pricing override."""

import json
from typing import Any, get_args

import pytest

from service.errors import InvalidRequest
from service.models.parsing import parse
from service.models.prices import PricingPatch
from service.models.pricing_overrides import CreatePricingOverrideRequest, ScopeKind, UpdatePricingOverrideRequest
from service.models.request_types import PricedRequestType

OVERRIDE: dict[str, Any] = {
    "name": "cheaper",
    "scope_kind": "global",
    "match_type": "exact",
    "pattern": "gpt-4o",
    "request_types": ["chat_completion"],
}


def create(**members: object) -> CreatePricingOverrideRequest:
    return parse(CreatePricingOverrideRequest, json.dumps(OVERRIDE | members).encode())


def update(**members: object) -> UpdatePricingOverrideRequest:
    return parse(UpdatePricingOverrideRequest, json.dumps(members).encode())


@pytest.mark.parametrize("member", OVERRIDE)
def test_required_members(member: str):
    for body in ({name: value for name, value in OVERRIDE.items() if name != member}, OVERRIDE | {member: None}):
        with pytest.raises(InvalidRequest) as caught:
            parse(CreatePricingOverrideRequest, json.dumps(body).encode())
        assert (caught.value.param, caught.value.message) == (member, f"{member} is required")


def test_an_empty_update_is_legal():
    assert update(**dict.fromkeys(OVERRIDE)) == update(patch=None) == UpdatePricingOverrideRequest()


IDS = ("virtual_key_id", "provider_id", "provider_key_id")

REQUIRED = {
    "global": (),
    "provider": ("provider_id",),
    "provider_key": ("provider_key_id",),
    "virtual_key": ("virtual_key_id",),
    "virtual_key_provider": ("virtual_key_id", "provider_id"),
    "virtual_key_provider_key": IDS,
}


@pytest.mark.parametrize("request_of", [create, update])
@pytest.mark.parametrize("scope_kind", get_args(ScopeKind))
def test_ids_of_a_scope(request_of: Any, scope_kind: str):
    needed = dict.fromkeys(REQUIRED[scope_kind], "id")
    request_of(scope_kind=scope_kind, **needed)
    request_of(scope_kind=scope_kind, **(dict.fromkeys(IDS, " ") | needed))
    for member in IDS:
        for value in ("", None) if member in needed else ("id",):
            with pytest.raises(InvalidRequest) as caught:
                request_of(**({"scope_kind": scope_kind} | needed | {member: value}))
            assert caught.value.param == member
            assert ("is required" if member in needed else "must not be sent") in caught.value.message
            assert scope_kind in caught.value.message


def test_ids_of_an_update_without_scope_kind():
    assert update(provider_id=None, virtual_key_id="k").sent_ids == {"virtual_key_id": "k", "provider_id": None}
    assert update().sent_ids == {}
    with pytest.raises(InvalidRequest, match="provider_id must not be blank"):
        update(provider_id="")


WRONG = [
    ({"name": ""}, "name", "must not be empty"),
    ({"name": "  "}, "name", "must not be blank"),
    ({"scope_kind": "team"}, "scope_kind", "must be one of"),
    ({"scope_kind": ""}, "scope_kind", "must be one of"),
    ({"match_type": "regex"}, "match_type", 'must be one of "exact" or "wildcard"'),
    ({"match_type": "wildcard", "pattern": " "}, "pattern", "must not be empty"),
    ({"match_type": "exact", "pattern": "gpt-*"}, "pattern", 'must not contain "*"'),
    ({"match_type": "wildcard", "pattern": "gpt-4o"}, "pattern", "at its end"),
    ({"match_type": "wildcard", "pattern": "*gpt"}, "pattern", "at its end"),
    ({"match_type": "wildcard", "pattern": "g*t"}, "pattern", "at its end"),
    ({"match_type": "wildcard", "pattern": "gpt**"}, "pattern", "at its end"),
    ({"match_type": "wildcard", "pattern": "g*t*"}, "pattern", "at its end"),
    ({"request_types": []}, "request_types", "must not be empty"),
    ({"request_types": ""}, "request_types", "must be an array"),
    ({"request_types": {}}, "request_types", "must be an array"),
    ({"request_types": ["chat"]}, "request_types[0]", "must be one of"),
    ({"request_types": ["embedding", "chat_completion_stream"]}, "request_types[1]", "must be one of"),
    ({"patch": ""}, "patch", "must be an object"),
    ({"patch": []}, "patch", "must be an object"),
    ({"patch": {"input_cost_per_token": -1e-9}}, "patch.input_cost_per_token", "must not be less than 0"),
    ({"patch": {"input_cost_per_token": "1"}}, "patch.input_cost_per_token", "must be a number"),
    ({"patch": {"output_cost_per_image": 1e9}}, "patch.output_cost_per_image", "must not be greater than 9000000"),
]


@pytest.mark.parametrize("request_of", [create, update])
@pytest.mark.parametrize("members, param, fragment", WRONG)
def test_wrong_members(request_of: Any, members: dict[str, Any], param: str, fragment: str):
    with pytest.raises(InvalidRequest) as caught:
        request_of(**members)
    assert caught.value.param == param
    assert fragment in caught.value.message


PATTERNS = [("exact", " gpt-4o ", "gpt-4o"), ("wildcard", "*", "*"), ("wildcard", " gpt-4* ", "gpt-4*")]


@pytest.mark.parametrize("match_type, sent, pattern", PATTERNS)
def test_patterns_are_trimmed(match_type: str, sent: str, pattern: str):
    assert create(match_type=match_type, pattern=sent).pattern == pattern


def test_patterns_of_updates_are_compared_with_what_is_stored_elsewhere():
    assert update(match_type="exact").pattern is None
    assert update(pattern="gpt-*").pattern == "gpt-*"


def test_request_types_are_kept_in_order_with_repeats():
    types = [*reversed(get_args(PricedRequestType)), "embedding"]
    assert create(request_types=types).request_types == tuple(types)


PATCHES = [
    ({}, {}),
    ({"input_cost_per_token": 0}, {"input_cost_per_token": 0}),
    ({"output_cost_per_token": 8e-06, "input_cost_per_token": None}, {"output_cost_per_token": 8e-06}),
    ({"input_cost_per_token_flex": "newer", "output_cost_per_second": 1}, {"output_cost_per_second": 1}),
]


@pytest.mark.parametrize("sent, prices", PATCHES)
def test_prices_of_a_patch(sent: dict[str, Any], prices: dict[str, float]):
    patch = create(patch=sent).patch
    assert patch is not None
    assert patch.prices == prices


def test_every_published_price_is_known():
    assert len(PricingPatch.model_fields) == 42
