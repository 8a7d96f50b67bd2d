"""What may be asked of a virtual key, which member is blamed when it may not, and what the rules read from a request."""

import json
from typing import Any

import pytest

from service.errors import InvalidRequest
from service.models.parsing import InvalidValue, parse
from service.models.virtual_keys import CreateVirtualKeyRequest, UpdateVirtualKeyRequest


def create(**members: object) -> CreateVirtualKeyRequest:
    return parse(CreateVirtualKeyRequest, json.dumps({"name": "key"} | members).encode())


def update(**members: object) -> UpdateVirtualKeyRequest:
    return parse(UpdateVirtualKeyRequest, json.dumps(members).encode())


def provider(**members: object) -> dict[str, Any]:
    return {"provider_configs": [{"provider": "openai"} | members]}


def test_a_new_key_needs_only_a_name():
    assert create(provider_configs=None, budgets=None, is_active=None, value="sk-bf-mine", id=7) == create()
    with pytest.raises(InvalidValue, match="name is required"):
        parse(CreateVirtualKeyRequest, b"{}")
    with pytest.raises(InvalidValue, match="name is required"):
        create(name=None)


def test_an_empty_update_is_legal():
    assert update() == UpdateVirtualKeyRequest()
    assert not update(name=None, description=None, budgets=None, rate_limit=None).moves


SAME_FOR_BOTH = [
    ({"name": ""}, "name", "must not be empty"),
    ({"name": " \t"}, "name", "must not be blank"),
    ({"name": "a\0b"}, "name", "NUL"),
    ({"name": "x" * 256}, "name", "must not be longer than 255 characters"),
    ({"description": "x" * 10_001}, "description", "must not be longer than 10000 characters"),
    ({"budgets": [{"max_limit": 0, "reset_duration": "1d"}]}, "budgets[0].max_limit", "must be greater than 0"),
    ({"budgets": [{"max_limit": 1}]}, "budgets[0].reset_duration", "is required"),
    (
        {"budgets": [{"max_limit": 1, "reset_duration": "1d"}, {"max_limit": 2, "reset_duration": "1d"}]},
        "budgets[1].reset_duration",
        "another entry",
    ),
    (
        {"budgets": [{"max_limit": 1, "reset_duration": f"{hours}h"} for hours in range(1, 102)]},
        "budgets",
        "must not have more than 100 entries",
    ),
    ({"rate_limit": {"token_max_limit": 1}}, "rate_limit.token_reset_duration", "is required"),
    ({"expires_at": "tomorrow"}, "expires_at", "RFC 3339 time in the future"),
    ({"expires_at": "2030-01-31"}, "expires_at", "RFC 3339 time in the future"),
    ({"expires_at": "2030-01-31T00:00:00"}, "expires_at", "RFC 3339 time in the future"),
    ({"expires_at": "2030-01-31 00:00:00Z"}, "expires_at", "RFC 3339 time in the future"),
    ({"expires_at": "2030-02-31T00:00:00Z"}, "expires_at", "no such day"),
    ({"expires_at": "2030-01-31T24:00:00Z"}, "expires_at", "no such day"),
    ({"expires_at": "9999-12-31T23:59:59-23:00"}, "expires_at", "no such day"),
    ({"enforcement": "lenient"}, "enforcement", 'must be one of "postpaid", "clamp", "strict" or ""'),
    ({"team_id": "x" * 256}, "team_id", "must not be longer than 255 characters"),
    ({"provider_configs": [{}]}, "provider_configs[0].provider", "is required"),
    (provider(provider="  "), "provider_configs[0].provider", "must not be empty"),
    (provider(weight=-0.5), "provider_configs[0].weight", "must not be less than 0"),
    (provider(weight=1e300), "provider_configs[0].weight", "must not be greater than 1000000000"),
    (provider(allowed_models=["*", "gpt-4o"]), "provider_configs[0].allowed_models", "alone"),
    (provider(allowed_models=["gpt-4o", "GPT-4o"]), "provider_configs[0].allowed_models[1]", "repeats entry [0]"),
    (provider(allowed_models=["gpt-4o", " "]), "provider_configs[0].allowed_models[1]", "must not be blank"),
    (provider(allowed_models=[""]), "provider_configs[0].allowed_models[0]", "must not be empty"),
    (provider(allowed_models=[str(n) for n in range(1_001)]), "provider_configs[0].allowed_models", "more than 1000 entries"),
    (provider(blacklisted_models=["a", "*"]), "provider_configs[0].blacklisted_models", "alone"),
    (provider(blacklisted_models=["a", "b", "A"]), "provider_configs[0].blacklisted_models[2]", "repeats entry [0]"),
    (provider(key_ids=["*", "k1"]), "provider_configs[0].key_ids", "alone"),
    (provider(key_ids=["k1", ""]), "provider_configs[0].key_ids[1]", "must not be empty"),
    (
        provider(budgets=[{"max_limit": 1, "reset_duration": "1d"}, {"max_limit": -1, "reset_duration": "1w"}]),
        "provider_configs[0].budgets[1].max_limit",
        "must be greater than 0",
    ),
    (
        provider(budgets=[{"max_limit": 1, "reset_duration": "1h", "calendar_aligned": True}]),
        "provider_configs[0].budgets[0].calendar_aligned",
        "days, weeks, months or years",
    ),
    (provider(rate_limit={"request_max_limit": 0}), "provider_configs[0].rate_limit.request_max_limit", "less than 1"),
    (
        {"provider_configs": [{"provider": "openai"}, {"provider": "azure"}, {"provider": " openai "}]},
        "provider_configs[2].provider",
        "repeats that of entry [0]",
    ),
    ({"mcp_configs": [{}]}, "mcp_configs[0].mcp_client_name", "is required"),
    (
        {"mcp_configs": [{"mcp_client_name": "files"}, {"mcp_client_name": "files"}]},
        "mcp_configs[1].mcp_client_name",
        "repeats that of entry [0]",
    ),
    (
        {"mcp_configs": [{"mcp_client_name": "files", "tools_to_execute": ["*", "read"]}]},
        "mcp_configs[0].tools_to_execute",
        "alone",
    ),
]


@pytest.mark.parametrize("request_of", [create, update])
@pytest.mark.parametrize("members, param, fragment", SAME_FOR_BOTH)
def test_wrong_members(request_of: Any, members: dict[str, Any], param: str, fragment: str):
    with pytest.raises(InvalidRequest) as caught:
        request_of(**members)
    assert caught.value.param == param
    assert caught.value.message.startswith(param)
    assert fragment in caught.value.message


def test_ids_of_entries_mean_something_on_updates_only():
    """Some clients send 0 for what has none yet."""
    for member, entries in (
        ("provider_configs", [{"provider": "openai"}, {"provider": "azure"}]),
        ("mcp_configs", [{"mcp_client_name": "files"}, {"mcp_client_name": "web"}]),
    ):
        sent = {member: [entry | {"id": 0} for entry in entries]}
        create(**sent)
        with pytest.raises(InvalidValue, match=r"repeats that of entry \[0\]") as caught:
            update(**sent)
        assert caught.value.param == f"{member}[1].id"


WRONG_TYPES = [
    {"name": 5},
    {"description": []},
    {"is_active": "true"},
    {"is_active": ""},
    {"calendar_aligned": 1},
    {"team_id": 5},
    {"budgets": {}},
    {"budgets": ""},
    {"rate_limit": []},
    {"rate_limit": {"token_max_limit": 1.5}},
    {"provider_configs": {}},
    {"provider_configs": ["openai"]},
    provider(weight="1"),
    provider(allowed_models="*"),
    provider(allowed_models=[1]),
    provider(id="4"),
    provider(id=4.5),
    {"mcp_configs": ""},
    {"expires_at": 1_900_000_000},
    {"enforcement": 1},
]


@pytest.mark.parametrize("request_of", [create, update])
@pytest.mark.parametrize("members", WRONG_TYPES)
def test_wrong_types_are_malformed(request_of: Any, members: dict[str, Any]):
    with pytest.raises(InvalidRequest) as caught:
        request_of(**members)
    assert type(caught.value) is InvalidRequest


EXPIRIES = [
    (None, None),
    ("", None),
    ("1970-01-01T00:00:01Z", 1_000),
    ("2030-01-31T01:00:00.1239+01:00", 1_896_048_000_123),
    ("2030-01-31t00:00:00.000000001z", 1_896_048_000_000),
]


@pytest.mark.parametrize("text, expires_at_ms", EXPIRIES)
def test_expiry_in_milliseconds(text: str | None, expires_at_ms: int | None):
    assert create(expires_at=text).expires_at_ms == expires_at_ms
    assert update(expires_at=text).expires_at == text


def test_lists_as_the_rules_read_them():
    config = create(**provider(provider=" openai ", key_ids=["k1", "k2", "k1"], allowed_models=["*"], weight=0)).provider_configs
    assert config is not None
    assert (config[0].provider, config[0].key_ids, config[0].allow_all_keys) == ("openai", ("k1", "k2"), False)
    assert (config[0].allowed_models, config[0].blacklisted_models, config[0].weight) == (("*",), None, 0)
    all_keys = create(**provider(key_ids=["*"])).provider_configs
    assert all_keys is not None
    assert all_keys[0].allow_all_keys


OWNERS_OF_A_NEW_KEY = [
    ({"team_id": "t"}, True),
    ({"team_id": "", "customer_id": None}, True),
    ({"customer_id": "c", "team_id": None}, True),
    ({"team_id": "t", "customer_id": "c"}, False),
    ({"team_id": "", "customer_id": "c"}, False),
    ({"team_id": "", "customer_id": ""}, False),
]


@pytest.mark.parametrize("members, legal", OWNERS_OF_A_NEW_KEY)
def test_owner_of_a_new_key(members: dict[str, Any], legal: bool):
    if legal:
        create(**members)
    else:
        with pytest.raises(InvalidRequest, match="customer_id must not be sent together with team_id"):
            create(**members)


MOVES = [
    # sent, whether the key moves, to which team, to which customer
    ({}, False, None, None),
    ({"team_id": "t"}, True, "t", None),
    ({"customer_id": "c"}, True, None, "c"),
    ({"team_id": "", "customer_id": "c"}, True, None, "c"),
    ({"team_id": "t", "customer_id": None}, True, "t", None),
    ({"team_id": ""}, True, None, None),
    ({"team_id": None}, True, None, None),
    ({"customer_id": ""}, True, None, None),
    ({"customer_id": None}, True, None, None),
    ({"team_id": "", "customer_id": ""}, True, None, None),
    ({"team_id": None, "customer_id": ""}, True, None, None),
]


@pytest.mark.parametrize("members, moves, team_id, customer_id", MOVES)
def test_owner_after_an_update(members: dict[str, Any], moves: bool, team_id: str | None, customer_id: str | None):
    request = update(**members)
    assert (request.moves, request.team_id or None, request.customer_id or None) == (moves, team_id, customer_id)


@pytest.mark.parametrize("members", [{"team_id": "t", "customer_id": "c"}, {"expires_at": "soon"}])
def test_reported_before_an_unknown_id(members: dict[str, Any]):
    with pytest.raises(InvalidRequest) as caught:
        update(**members)
    assert not isinstance(caught.value, InvalidValue)
