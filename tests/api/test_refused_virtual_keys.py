"""Requests about virtual keys that are refused, with the member at fault: on creation and on update alike, changing nothing."""

from typing import Any

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, create, message, refusal
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import contents
from tests.api.samples import UNKNOWN

OPENAI: dict[str, Any] = {"provider": "openai"}


@pytest.fixture
def client(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=NOW_MS, mcp_clients=("search", "files"))


def in_config(member: str, sent: Any, inside: str = "") -> tuple[dict[str, Any], str]:
    """A row about one member of the second of two provider configs; `inside` is the rest of the path."""
    configs = [{"provider": "azure"}, {**OPENAI, member: sent}]
    return {"provider_configs": configs}, f"provider_configs[1].{member}{inside}"


WRONG_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": " \t\n"}, "name"),
    ({"name": "x" * 256}, "name"),
    ({"name": "nul\0"}, "name"),
    ({"description": "x" * 10_001}, "description"),
    ({"team_id": UNKNOWN}, "team_id"),
    ({"customer_id": UNKNOWN}, "customer_id"),
    ({"team_id": "%2F{*}\\ü"}, "team_id"),
    ({"expires_at": timestamp(NOW_MS)}, "expires_at"),
    ({"expires_at": timestamp(NOW_MS - 1)}, "expires_at"),
    ({"expires_at": "1999-12-31T23:59:59Z"}, "expires_at"),
    ({"enforcement": "lax"}, "enforcement"),
    in_config("provider", "openaI"),
    in_config("provider", "no such provider"),
    in_config("provider", ""),
    in_config("provider", "  "),
    in_config("provider", None),
    ({"provider_configs": [OPENAI, {"weight": 1}]}, "provider_configs[1].provider"),
    ({"provider_configs": [OPENAI, {"provider": "azure"}, {"provider": " openai "}]}, "provider_configs[2].provider"),
    in_config("weight", -0.1),
    in_config("weight", 1e10),
    *(in_config(member, ["*", "gpt-4o"]) for member in ("allowed_models", "blacklisted_models", "key_ids")),
    *(in_config(member, ["gpt-4o", "GPT-4o"], "[1]") for member in ("allowed_models", "blacklisted_models")),
    *(in_config(member, ["gpt-4o", "  "], "[1]") for member in ("allowed_models", "blacklisted_models", "key_ids")),
    *(in_config(member, [""], "[0]") for member in ("allowed_models", "blacklisted_models", "key_ids")),
    ({"mcp_configs": [{"mcp_client_name": "unknown"}]}, "mcp_configs[0].mcp_client_name"),
    ({"mcp_configs": [{"mcp_client_name": ""}]}, "mcp_configs[0].mcp_client_name"),
    ({"mcp_configs": [{"tools_to_execute": ["*"]}]}, "mcp_configs[0].mcp_client_name"),
    ({"mcp_configs": [{"mcp_client_name": "search"}, {"mcp_client_name": "search"}]}, "mcp_configs[1].mcp_client_name"),
    ({"mcp_configs": [{"mcp_client_name": "files", "tools_to_execute": ["*", "ls"]}]}, "mcp_configs[0].tools_to_execute"),
    ({"mcp_configs": [{"mcp_client_name": "files", "tools_to_execute": ["ls", "LS"]}]}, "mcp_configs[0].tools_to_execute[1]"),
]

OF_ANOTHER_TYPE: list[tuple[tuple[str, ...], tuple[Any, ...]]] = [
    (("name", "description", "team_id", "customer_id", "expires_at"), (5, True, [], {})),
    (("is_active", "calendar_aligned"), (1, "", "true", [], {})),
    (("provider_configs", "mcp_configs"), ("", {}, 5, False)),
]
WRONG_TYPES: list[tuple[dict[str, Any], str]] = [
    *(({member: wrong}, member) for members, values in OF_ANOTHER_TYPE for member in members for wrong in values),
    ({"provider_configs": ["openai"]}, "provider_configs[0]"),
    ({"provider_configs": [OPENAI, None]}, "provider_configs[1]"),
    in_config("provider", 5),
    in_config("weight", "0.5"),
    in_config("weight", True),
    in_config("id", "1"),
    in_config("id", 1.5),
    *(in_config(member, "*") for member in ("allowed_models", "blacklisted_models", "key_ids")),
    *(in_config(member, [5], "[0]") for member in ("allowed_models", "blacklisted_models", "key_ids")),
    in_config("key_ids", {}),
    # Clients of the API we follow see these with the malformed bodies.
    *(
        ({"expires_at": wrong}, "expires_at")
        for wrong in ("tomorrow", "2031-01-01", "2031-01-01T00:00:00", "2031-02-30T00:00:00Z", "2031-01-01 00:00:00Z", "0")
    ),
]

NO_OBJECTS = [b"", b" ", b"{", b"[]", b"5", b'"text"', b"true", b"\xff", b'{"name": NaN}', b'{"x": Infinity}', b"{'name': 'x'}"]


async def test_creations_that_are_refused(client, redis: Redis):
    before = contents(redis)
    for members, param in (*WRONG_VALUES, *WRONG_TYPES):
        refused = await client.post(f"/{VIRTUAL_KEYS}", json={"name": "new", **members})
        assert refusal(refused) == (400, param), members
    assert refusal(await client.post(f"/{VIRTUAL_KEYS}", json={})) == (400, "name")
    assert refusal(await client.post(f"/{VIRTUAL_KEYS}", content=b"null")) == (400, "name")
    for body in NO_OBJECTS:
        assert refusal(await client.post(f"/{VIRTUAL_KEYS}", content=body)) == (400, None), body
    assert contents(redis) == before


async def test_updates_that_are_refused(client, redis: Redis):
    key = await create(client, VIRTUAL_KEYS, provider_configs=[OPENAI], budgets=[{"max_limit": 1, "reset_duration": "1d"}])
    before = contents(redis)
    path = f"/{VIRTUAL_KEYS}/{key['id']}"
    for members, param in (*WRONG_VALUES, *WRONG_TYPES):
        # What is right beside what is wrong is not done either.
        refused = await client.put(path, json={"is_active": False, "budgets": [], "provider_configs": [OPENAI], **members})
        assert refusal(refused) == (400, param), members
    for body in NO_OBJECTS:
        assert refusal(await client.put(path, content=body)) == (400, None), body
    assert contents(redis) == before


async def test_a_time_that_is_past_is_said_to_belong_into_the_future(client):
    refused = await client.post(f"/{VIRTUAL_KEYS}", json={"name": "late", "expires_at": timestamp(NOW_MS)})
    assert "future" in message(refused)
    key = await create(client, VIRTUAL_KEYS, expires_at=timestamp(NOW_MS + 1))
    assert key["expires_at"] == timestamp(NOW_MS + 1)


async def test_a_new_key_belongs_to_a_team_or_a_customer_not_to_both(client, redis: Redis):
    team, customer = await create(client, TEAMS), await create(client, CUSTOMERS)
    before = contents(redis)
    for team_id, customer_id in [(team["id"], customer["id"]), ("", customer["id"]), (team["id"], ""), ("", "")]:
        refused = await client.post(f"/{VIRTUAL_KEYS}", json={"name": "both", "team_id": team_id, "customer_id": customer_id})
        assert refusal(refused) == (400, "customer_id")
    assert contents(redis) == before
    key = await create(client, VIRTUAL_KEYS, team_id=None, customer_id=customer["id"])
    assert (key["customer_id"], key["customer"]["name"]) == (customer["id"], customer["name"])
    assert {"team_id", "team"}.isdisjoint(key)


async def test_there_are_no_mcp_clients_until_the_operator_names_some(make_client):
    refused = await make_client().post(f"/{VIRTUAL_KEYS}", json={"name": "x", "mcp_configs": [{"mcp_client_name": "search"}]})
    assert refusal(refused) == (400, "mcp_configs[0].mcp_client_name")


ORDER_OF_CHECKS: list[tuple[Any, int]] = [
    # update of a key that does not exist, status
    ({}, 404),
    ({"name": "x"}, 404),
    ({"name": 5}, 400),
    ({"budgets": {}}, 400),
    ({"expires_at": "tomorrow"}, 400),
    ({"team_id": "t", "customer_id": "c"}, 400),
    ({"team_id": "", "customer_id": "c"}, 404),
    ({"name": ""}, 404),
    ({"team_id": "t"}, 404),
    ({"budgets": [{"max_limit": -1, "reset_duration": "1d"}]}, 404),
    ({"provider_configs": [{"provider": "no such provider"}]}, 404),
    ({"provider_configs": [{"id": 1, "provider": "openai"}]}, 404),
]


@pytest.mark.parametrize("members, status", ORDER_OF_CHECKS, ids=str)
async def test_what_is_malformed_is_refused_before_an_unknown_id_and_what_is_wrong_after(client, redis, members, status):
    refused = await client.put(f"/{VIRTUAL_KEYS}/{UNKNOWN}", json=members)
    assert refusal(refused)[0] == status
    assert contents(redis) == {}


@pytest.mark.parametrize("key_id", [UNKNOWN, "quota", "x" * 300, "%2e%2e", "a%20b", "%7Bvk:1%7D"])
async def test_ids_that_name_nothing(client, redis: Redis, key_id):
    if key_id != "quota":  # reading the quota is another call
        assert refusal(await client.get(f"/{VIRTUAL_KEYS}/{key_id}")) == (404, None)
    assert refusal(await client.put(f"/{VIRTUAL_KEYS}/{key_id}", json={"name": "x"})) == (404, None)
    assert refusal(await client.delete(f"/{VIRTUAL_KEYS}/{key_id}")) == (404, None)
    assert contents(redis) == {}
