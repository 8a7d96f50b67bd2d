"""What creates and updates of pricing overrides store; whatever results agrees with itself."""

from dataclasses import replace
from typing import Any

import pytest

from service.entities import PricingOverride
from service.errors import InvalidRequest
from service.governance import pricing_overrides
from service.models.pricing_overrides import (
    IDS_OF_SCOPE,
    SCOPE_IDS,
    CreatePricingOverrideRequest,
    UpdatePricingOverrideRequest,
)
from tests.governance.owners import Body, body_of

T1, T2 = 1_773_835_200_000, 1_773_835_260_000

MINIMAL = {
    "name": "p",
    "scope_kind": "global",
    "match_type": "exact",
    "pattern": "gpt-4o",
    "request_types": ["chat_completion"],
}
GLOBAL = PricingOverride(
    id="p1",
    name="p",
    scope_kind="global",
    match_type="exact",
    pattern="gpt-4o",
    request_types=("chat_completion",),
    patch={},
    created_at_ms=T1,
    updated_at_ms=T1,
)
WILDCARD = replace(GLOBAL, match_type="wildcard", pattern="gpt-*")
OF_PROVIDER = replace(GLOBAL, scope_kind="provider", provider_id="openai", patch={"input_cost_per_token": 2e-06})
OF_KEY_AND_PROVIDER = replace(GLOBAL, scope_kind="virtual_key_provider", virtual_key_id="vk", provider_id="openai")


def create(body: Body) -> PricingOverride:
    request = body_of(CreatePricingOverrideRequest, MINIMAL | body)
    return pricing_overrides.create(request, now_ms=T1, override_id="p1")


def update(stored: PricingOverride, body: Body) -> PricingOverride:
    return pricing_overrides.update(stored, body_of(UpdatePricingOverrideRequest, body), now_ms=T2)


CREATED: list[tuple[Body, Body]] = [
    ({}, {}),
    ({"patch": None, "provider_id": None}, {}),
    ({"pattern": "  gpt-4o "}, {}),
    ({"match_type": "wildcard", "pattern": "*"}, {"match_type": "wildcard", "pattern": "*"}),
    ({"match_type": "wildcard", "pattern": "gpt-4*"}, {"match_type": "wildcard", "pattern": "gpt-4*"}),
    ({"request_types": ["embedding", "rerank", "embedding"]}, {"request_types": ("embedding", "rerank", "embedding")}),
    (
        {"patch": {"input_cost_per_token": 2e-6, "output_cost_per_token": 0, "input_cost_per_image": None, "newer": "x"}},
        {"patch": {"input_cost_per_token": 2e-06, "output_cost_per_token": 0.0}},
    ),
    ({"provider_id": "", "virtual_key_id": "  "}, {}),  # blank ids count as absent
    ({"scope_kind": "provider", "provider_id": "unheard-of"}, {"scope_kind": "provider", "provider_id": "unheard-of"}),
    ({"scope_kind": "provider", "provider_id": "x", "provider_key_id": ""}, {"scope_kind": "provider", "provider_id": "x"}),
]


@pytest.mark.parametrize("body, members", CREATED)
def test_create(body: Body, members: Body):
    assert create(body) == replace(GLOBAL, **members)


UPDATED: list[tuple[PricingOverride, Body, Body]] = [
    (GLOBAL, {"name": "q"}, {"name": "q"}),
    (GLOBAL, {"pattern": "gpt-5"}, {"pattern": "gpt-5"}),
    (GLOBAL, {"match_type": "wildcard", "pattern": "gpt-5*"}, {"match_type": "wildcard", "pattern": "gpt-5*"}),
    (WILDCARD, {"match_type": "exact", "pattern": "gpt-5"}, {"match_type": "exact", "pattern": "gpt-5"}),
    (GLOBAL, {"request_types": ["rerank"]}, {"request_types": ("rerank",)}),
    # A patch replaces the whole patch.
    (OF_PROVIDER, {"patch": {"output_cost_per_token": 1}}, {"patch": {"output_cost_per_token": 1.0}}),
    (OF_PROVIDER, {"patch": {}}, {"patch": {}}),
    # With scope_kind, all ids are as sent.
    (OF_PROVIDER, {"scope_kind": "global"}, {"scope_kind": "global", "provider_id": None}),
    (OF_PROVIDER, {"scope_kind": "provider", "provider_id": "azure"}, {"provider_id": "azure"}),
    (
        OF_PROVIDER,
        {"scope_kind": "virtual_key", "virtual_key_id": "vk"},
        {"scope_kind": "virtual_key", "virtual_key_id": "vk", "provider_id": None},
    ),
    (GLOBAL, {"scope_kind": "provider_key", "provider_key_id": "k"}, {"scope_kind": "provider_key", "provider_key_id": "k"}),
    (
        OF_KEY_AND_PROVIDER,
        {"scope_kind": "virtual_key", "virtual_key_id": "vk", "provider_id": None},
        {"scope_kind": "virtual_key", "provider_id": None},
    ),
    (OF_PROVIDER, {"scope_kind": "global", "provider_id": ""}, {"scope_kind": "global", "provider_id": None}),
    # Without, an id sent takes the place of the stored one.
    (OF_PROVIDER, {"provider_id": "azure"}, {"provider_id": "azure"}),
    (OF_KEY_AND_PROVIDER, {"virtual_key_id": "vk2"}, {"virtual_key_id": "vk2"}),
]


@pytest.mark.parametrize("stored, body, members", UPDATED)
def test_update(stored: PricingOverride, body: Body, members: Body):
    assert update(stored, body) == replace(stored, **members, updated_at_ms=T2)


UNCHANGED: list[tuple[PricingOverride, Body]] = [
    (OF_KEY_AND_PROVIDER, {}),
    (GLOBAL, dict.fromkeys(UpdatePricingOverrideRequest.model_fields)),
    (OF_PROVIDER, {"patch": None, "name": None, "virtual_key_id": None}),
    (OF_PROVIDER, {"patch": {"input_cost_per_token": 2e-6}}),
    (OF_PROVIDER, {"scope_kind": "provider", "provider_id": "openai"}),
]


@pytest.mark.parametrize("stored, body", UNCHANGED)
def test_an_update_that_changes_nothing(stored: PricingOverride, body: Body):
    assert update(stored, body) == stored


WRONG_UPDATES: list[tuple[PricingOverride, Body, str, str]] = [
    # Together with what is stored.
    (WILDCARD, {"match_type": "exact"}, "pattern", 'must not contain "*" when match_type is exact'),
    (GLOBAL, {"match_type": "wildcard"}, "pattern", 'must have one "*", at its end'),
    (GLOBAL, {"pattern": "gpt-*"}, "pattern", 'must not contain "*"'),
    (WILDCARD, {"pattern": "gpt-4o"}, "pattern", 'must have one "*"'),
    (OF_PROVIDER, {"provider_id": None}, "provider_id", "is required in scope provider"),
    (OF_KEY_AND_PROVIDER, {"virtual_key_id": None}, "virtual_key_id", "is required in scope virtual_key_provider"),
    (GLOBAL, {"provider_id": "openai"}, "provider_id", "must not be sent in scope global"),
    (OF_PROVIDER, {"provider_key_id": "k"}, "provider_key_id", "must not be sent in scope provider"),
    # Ids of before do not count once a scope is sent.
    (OF_PROVIDER, {"scope_kind": "provider"}, "provider_id", "is required in scope provider"),
    (OF_KEY_AND_PROVIDER, {"scope_kind": "virtual_key"}, "virtual_key_id", "is required in scope virtual_key"),
    (GLOBAL, {"scope_kind": "provider", "provider_id": " "}, "provider_id", "is required in scope provider"),
    # An empty id clears nothing.
    (OF_PROVIDER, {"provider_id": ""}, "provider_id", "must not be blank: null clears it"),
    (OF_PROVIDER, {"virtual_key_id": " "}, "virtual_key_id", "must not be blank: null clears it"),
    (GLOBAL, {"name": ""}, "name", "must not be empty"),
    (GLOBAL, {"request_types": []}, "request_types", "must not be empty"),
    (GLOBAL, {"patch": {"input_cost_per_token": -1}}, "patch.input_cost_per_token", "must not be less than 0"),
]


@pytest.mark.parametrize("stored, body, param, message", WRONG_UPDATES)
def test_update_refused(stored: PricingOverride, body: Body, param: str, message: str):
    with pytest.raises(InvalidRequest) as refusal:
        update(stored, body)
    assert refusal.value.param == param
    assert message in refusal.value.message


def _with_ids(ids: set[str]) -> dict[str, Any]:
    return {member: f"{member} 1" for member in ids}


SUBSETS = [{member for place, member in enumerate(SCOPE_IDS) if bits >> place & 1} for bits in range(8)]


@pytest.mark.parametrize("sent", SUBSETS, ids=lambda sent: "+".join(sorted(sent)) or "none")
@pytest.mark.parametrize("scope_kind", IDS_OF_SCOPE)
def test_the_table_of_scopes(scope_kind: str, sent: set[str]):
    """On create, on an update that says the scope, and on one that only clears and sends ids, alike."""
    needed = IDS_OF_SCOPE[scope_kind]
    ids = _with_ids(sent)
    empty_ids: dict[str, Any] = dict.fromkeys(SCOPE_IDS)
    stored = replace(GLOBAL, scope_kind=scope_kind, **_with_ids(set(needed)))
    writes = (
        lambda: create({"scope_kind": scope_kind, **ids}),
        lambda: update(GLOBAL, {"scope_kind": scope_kind, **ids}),
        lambda: update(stored, empty_ids | ids),
    )
    for write in writes:
        if sent == needed:
            override = write()
            assert override.scope_kind == scope_kind
            assert {member: getattr(override, member) for member in SCOPE_IDS} == empty_ids | ids
        else:
            with pytest.raises(InvalidRequest) as refusal:
                write()
            assert refusal.value.param in sent ^ needed
