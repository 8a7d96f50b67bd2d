"""POST /virtual-keys: what a new key is, what it takes over from the request, and what it ignores."""

import re
from typing import Any
from uuid import UUID

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from tests.api.calls import TEAMS, VIRTUAL_KEYS, create, get
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.samples import NAMES, NOW, RECORD, UUID_4

TOMORROW = timestamp(NOW_MS + 86_400_000)


@pytest.fixture
def client(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=NOW_MS, mcp_clients=("search",))


async def test_a_name_is_enough(client):
    key = await create(client, VIRTUAL_KEYS, name="plain")
    assert key == {
        "id": key["id"],
        "name": "plain",
        "value": key["value"],
        "is_active": True,
        "provider_configs": [],
        "mcp_configs": [],
        "budgets": [],
        "calendar_aligned": False,
        **RECORD,
    }


async def test_a_value_is_a_prefix_and_a_random_uuid_and_an_id_is_another_one(client):
    keys = [await create(client, VIRTUAL_KEYS) for _ in range(20)]
    for key in keys:
        assert UUID_4.fullmatch(key["id"])
        assert re.fullmatch("sk-bf-" + UUID_4.pattern, key["value"])
        assert len(key["value"]) == 42
        assert key["id"] not in key["value"]
    assert len({key["id"] for key in keys} | {key["value"] for key in keys}) == 40


async def test_everything_that_is_said_is_shown(client):
    team = await create(client, TEAMS)
    budget = {"max_limit": 12.5, "reset_duration": "1d"}
    limit = {"token_max_limit": 1000, "token_reset_duration": "1h", "request_max_limit": 10, "request_reset_duration": "90s"}
    key = await create(
        client,
        VIRTUAL_KEYS,
        name="full",
        description="all of it",
        is_active=False,
        team_id=team["id"],
        expires_at="2031-01-01T01:00:00+01:00",
        enforcement="strict",
        budgets=[budget, {"max_limit": 1e-9, "reset_duration": "24h"}],
        rate_limit=limit,
        provider_configs=[
            {
                "provider": "openai",
                "weight": 0.25,
                "allowed_models": ["gpt-4o", "o3"],
                "blacklisted_models": ["gpt-3.5"],
                "key_ids": ["b", "a", "b"],
                "budgets": [budget],
                "rate_limit": {"request_max_limit": 5, "request_reset_duration": "1m"},
            },
            {"provider": "anthropic", "weight": 0, "allowed_models": ["*"], "key_ids": ["*"]},
        ],
        mcp_configs=[{"mcp_client_name": "search", "tools_to_execute": ["*"]}],
    )
    anthropic, openai = key["provider_configs"]
    daily, nano = key["budgets"]
    assert key == {
        "id": key["id"],
        "name": "full",
        "value": key["value"],
        "description": "all of it",
        "is_active": False,
        "expires_at": "2031-01-01T00:00:00.000Z",
        "enforcement": "strict",
        "provider_configs": [anthropic, openai],
        "mcp_configs": key["mcp_configs"],
        "team_id": team["id"],
        "team": {name: value for name, value in team.items() if not name.startswith("virtual_key")},
        "budgets": [daily, nano],
        "rate_limit_id": key["rate_limit"]["id"],
        "rate_limit": key["rate_limit"],
        "calendar_aligned": False,
        **RECORD,
    }
    assert daily == {
        "id": daily["id"],
        "max_limit": 12.5,
        "reset_duration": "1d",
        "calendar_aligned": False,
        "last_reset": NOW,
        "current_usage": 0,
        "reserved": 0,
        "remaining": 12.5,
        "next_reset_at": TOMORROW,
        "virtual_key_id": key["id"],
        **RECORD,
    }
    assert (nano["max_limit"], nano["reset_duration"], nano["next_reset_at"]) == (1e-9, "24h", TOMORROW)
    assert key["rate_limit"] == {
        "id": key["rate_limit"]["id"],
        **limit,
        "token_current_usage": 0,
        "token_reserved": 0,
        "token_last_reset": NOW,
        "token_next_reset_at": timestamp(NOW_MS + 3_600_000),
        "request_current_usage": 0,
        "request_last_reset": NOW,
        "request_next_reset_at": timestamp(NOW_MS + 90_000),
        **RECORD,
    }
    assert openai == {
        "id": openai["id"],
        "virtual_key_id": key["id"],
        "provider": "openai",
        "weight": 0.25,
        "allowed_models": ["gpt-4o", "o3"],
        "blacklisted_models": ["gpt-3.5"],
        "allow_all_keys": False,
        "keys": [{"key_id": "b"}, {"key_id": "a"}],
        "budgets": openai["budgets"],
        "rate_limit_id": openai["rate_limit"]["id"],
        "rate_limit": openai["rate_limit"],
    }
    assert openai["budgets"][0]["provider_config_id"] == openai["id"]
    assert "virtual_key_id" not in openai["budgets"][0]
    assert {"token_max_limit", "token_reset_duration"}.isdisjoint(openai["rate_limit"])
    assert (anthropic["weight"], anthropic["allow_all_keys"], anthropic["keys"]) == (0, True, [])
    assert {"budgets", "rate_limit", "rate_limit_id"}.isdisjoint(anthropic)
    (tools,) = key["mcp_configs"]
    assert (tools["mcp_client"], tools["tools_to_execute"]) == ({"name": "search"}, ["*"])
    assert await get(client, VIRTUAL_KEYS, key["id"]) == key


async def test_numbers_of_provider_configs_rise_over_all_keys(client):
    numbers: list[int] = []
    for _ in range(3):
        key = await create(client, VIRTUAL_KEYS, provider_configs=[{"provider": "openai"}, {"provider": "azure"}])
        numbers += sorted(config["id"] for config in key["provider_configs"])
    assert numbers == sorted(set(numbers))
    assert numbers[0] > 0


async def test_what_the_service_decides_cannot_be_sent(client):
    sent: dict[str, Any] = {
        "id": "mine",
        "value": "sk-bf-mine",
        "created_at": "2001-01-01T00:00:00Z",
        "config_hash": "mine",
        "current_usage": 5,
        "no such member": {"deep": [1]},
        "Description": "members are told apart by letter case",
        "budgets": [{"id": "mine", "max_limit": 5, "reset_duration": "1d", "current_usage": 3, "last_reset": "mine"}],
        "rate_limit": {"id": "mine", "token_max_limit": 5, "token_reset_duration": "1d", "token_current_usage": 3},
        "provider_configs": [{"id": 4711, "provider": "openai", "keys": ["mine"]}],
        "reset_budget_usage": True,
    }
    key = await create(client, VIRTUAL_KEYS, **sent)
    assert "mine" not in str(key)
    assert "description" not in key
    assert (key["created_at"], key["budgets"][0]["last_reset"], key["budgets"][0]["current_usage"]) == (NOW, NOW, 0)
    assert key["rate_limit"]["token_current_usage"] == 0
    assert key["provider_configs"][0]["id"] != 4711


NOT_SUPPLIED = [
    "description", "is_active", "team_id", "customer_id", "expires_at", "enforcement", "budgets", "rate_limit",
    "provider_configs", "mcp_configs", "calendar_aligned",
]  # fmt: skip


async def test_null_is_not_supplied(client):
    plain = await create(client, VIRTUAL_KEYS)
    nulls = await create(client, VIRTUAL_KEYS, **dict.fromkeys(NOT_SUPPLIED))
    assert nulls == {**plain, "id": nulls["id"], "name": nulls["name"], "value": nulls["value"]}


EMPTY = [
    # sent, the same as nothing
    {"description": ""},
    {"team_id": ""},
    {"customer_id": ""},
    {"expires_at": ""},
    {"enforcement": ""},
    {"budgets": []},
    {"rate_limit": {}},
    {"rate_limit": {"token_max_limit": None, "request_reset_duration": None}},
    {"provider_configs": []},
    {"mcp_configs": []},
]


@pytest.mark.parametrize("members", EMPTY, ids=str)
async def test_empty_is_none(client, members):
    plain = await create(client, VIRTUAL_KEYS)
    empty = await create(client, VIRTUAL_KEYS, **members)
    assert empty == {**plain, "id": empty["id"], "name": empty["name"], "value": empty["value"]}


@pytest.mark.parametrize("name", NAMES)
async def test_names_are_kept_as_sent(client, name):
    key = await create(client, VIRTUAL_KEYS, name=name, description=name)
    assert (key["name"], key["description"]) == (name, name)


DURATIONS = ["1ns", "1.5h", "1h30m", "0.5d", "24h", "1d", "1w", "1M", "1Y", "100Y", "Daily", "monthly", "+90s"]


async def test_durations_are_kept_as_sent(client):
    budgets = [{"max_limit": 1, "reset_duration": duration} for duration in DURATIONS]
    key = await create(client, VIRTUAL_KEYS, budgets=budgets)
    assert [budget["reset_duration"] for budget in key["budgets"]] == DURATIONS


MONEY = [1e-9, 0.1, 0.30000000000000004, 1.23456789, 9_000_000, 8_999_999.999999999]


async def test_money_is_kept_to_the_nano_dollar(client):
    durations = iter(DURATIONS)
    budgets = [{"max_limit": dollars, "reset_duration": next(durations)} for dollars in MONEY]
    key = await create(client, VIRTUAL_KEYS, budgets=budgets)
    assert [budget["max_limit"] for budget in key["budgets"]] == [1e-9, 0.1, 0.3, 1.23456789, 9_000_000, 8_999_999.999999999]


async def test_providers_are_trimmed_and_the_operator_may_add_some(make_client):
    client = make_client(providers=("in house",))
    key = await create(client, VIRTUAL_KEYS, provider_configs=[{"provider": " in house\n"}, {"provider": "openai"}])
    assert [config["provider"] for config in key["provider_configs"]] == ["in house", "openai"]


async def test_a_rate_limit_of_durations_alone_is_kept_without_limits(client):
    key = await create(client, VIRTUAL_KEYS, rate_limit={"token_reset_duration": "1h"})
    assert key["rate_limit"]["token_reset_duration"] == "1h"
    assert "token_max_limit" not in key["rate_limit"]


async def test_the_secret_is_only_where_it_must_be(client, redis: Redis):
    """The id, and so the name of the Redis key, is derived from the value and does not contain it."""
    key = await create(client, VIRTUAL_KEYS, budgets=[{"max_limit": 1, "reset_duration": "1d"}])
    random_part = UUID(key["value"].removeprefix("sk-bf-")).hex
    assert not [name for name in redis.scan_iter() if random_part in name.replace("-", "")]
