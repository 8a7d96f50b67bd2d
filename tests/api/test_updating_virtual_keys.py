"""PUT /virtual-keys/{id}: what each member does when it is left out, null, empty, {} or [], and who owns it."""

from typing import Any

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, Entity, create, get, refusal, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import contents, set_counter, virtual_key

LATER_MS = NOW_MS + 60_000
FULL: dict[str, Any] = {
    "name": "full",
    "description": "described",
    "is_active": False,
    "calendar_aligned": True,
    "expires_at": "2031-01-01T00:00:00.000Z",
    "enforcement": "strict",
    "budgets": [{"max_limit": 5, "reset_duration": "1h"}],
    "rate_limit": {"token_max_limit": 5, "token_reset_duration": "1h"},
    "provider_configs": [{"provider": "openai", "weight": 1, "allowed_models": ["*"]}],
    "mcp_configs": [{"mcp_client_name": "search", "tools_to_execute": ["*"]}],
}


@pytest.fixture
def client(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=NOW_MS, mcp_clients=("search",))


@pytest.fixture
def later(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=LATER_MS, mcp_clients=("search",))


async def a_full_key(client: httpx.AsyncClient) -> Entity:
    team = await create(client, TEAMS, name="owners")
    return await create(client, VIRTUAL_KEYS, **FULL, team_id=team["id"])


GONE = "not there"
KEPT: list[dict[str, Any]] = [
    {},
    *({member: None} for member in FULL),
    {"name": "full"},
    {"description": "described"},
    {"reset_budget_usage": None},
    {"reset_budget_usage": False},
    {"id": "mine", "value": "sk-bf-mine", "created_at": "2001-01-01T00:00:00Z", "rate_limit_id": "mine", "no such member": 1},
]
CHANGED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # sent, what is shown instead
    ({"name": "other"}, {"name": "other"}),
    ({"description": ""}, {"description": GONE}),
    ({"description": "other"}, {"description": "other"}),
    ({"is_active": True}, {"is_active": True}),
    ({"calendar_aligned": False}, {"calendar_aligned": False}),
    ({"expires_at": ""}, {"expires_at": GONE}),
    ({"expires_at": "2032-02-29T12:00:00.5-03:30"}, {"expires_at": "2032-02-29T15:30:00.500Z"}),
    ({"enforcement": ""}, {"enforcement": GONE}),
    ({"enforcement": "clamp"}, {"enforcement": "clamp"}),
    ({"budgets": []}, {"budgets": []}),
    ({"rate_limit": {}}, {"rate_limit": GONE, "rate_limit_id": GONE}),
    ({"rate_limit": dict.fromkeys(("token_max_limit", "request_max_limit"))}, {"rate_limit": GONE, "rate_limit_id": GONE}),
    ({"provider_configs": []}, {"provider_configs": []}),
    ({"mcp_configs": []}, {"mcp_configs": []}),
]


@pytest.mark.parametrize("sent", KEPT, ids=str)
async def test_members_that_are_not_supplied_change_nothing(client, later, sent):
    key = await a_full_key(client)
    assert await update(later, VIRTUAL_KEYS, key["id"], **sent) == key
    assert await get(client, VIRTUAL_KEYS, key["id"]) == key


async def test_a_body_of_null_changes_nothing(client, later):
    key = await a_full_key(client)
    response = await later.put(f"/{VIRTUAL_KEYS}/{key['id']}", content=b"null")
    assert (response.status_code, response.json()["virtual_key"]) == (200, key)


@pytest.mark.parametrize("sent, instead", CHANGED, ids=str)
async def test_members_that_are_supplied_change_nothing_else(client, later, sent, instead):
    key = await a_full_key(client)
    expected = {**key, "updated_at": timestamp(LATER_MS), **instead}
    changed = await update(later, VIRTUAL_KEYS, key["id"], **sent)
    assert changed == {member: value for member, value in expected.items() if value is not GONE}
    assert await get(later, VIRTUAL_KEYS, key["id"]) == changed


async def test_everything_can_be_given_later(client, later):
    key = await create(client, VIRTUAL_KEYS)
    changed = await update(later, VIRTUAL_KEYS, key["id"], **FULL)
    plain = FULL.keys() - {"budgets", "rate_limit", "provider_configs", "mcp_configs"}
    assert {member: changed[member] for member in plain} == {member: FULL[member] for member in plain}
    assert (changed["id"], changed["value"], changed["created_at"]) == (key["id"], key["value"], key["created_at"])
    assert [budget["max_limit"] for budget in changed["budgets"]] == [5]
    assert changed["rate_limit"]["token_max_limit"] == 5
    assert [(config["provider"], config["weight"]) for config in changed["provider_configs"]] == [("openai", 1)]
    assert [config["mcp_client"]["name"] for config in changed["mcp_configs"]] == ["search"]


async def test_an_entity_that_was_read_can_be_sent_back(client, later):
    """Clients read, change one member and send the whole."""
    key = await a_full_key(client)
    key = await update(client, VIRTUAL_KEYS, key["id"], calendar_aligned=False)
    sent_back = await update(later, VIRTUAL_KEYS, key["id"], **{**key, "mcp_configs": None})
    assert sent_back == {**key, "provider_configs": sent_back["provider_configs"], "updated_at": sent_back["updated_at"]}


async def test_the_time_of_an_expired_key_stays_until_it_is_changed(client, make_client):
    key = await create(client, VIRTUAL_KEYS, expires_at=timestamp(LATER_MS))
    after = make_client(now_ms=LATER_MS + 1)
    assert (await update(after, VIRTUAL_KEYS, key["id"], description="x"))["expires_at"] == timestamp(LATER_MS)
    # Whoever sends back all he read changes nothing.
    sent_back = await update(after, VIRTUAL_KEYS, key["id"], expires_at=timestamp(LATER_MS), is_active=False)
    assert (sent_back["expires_at"], sent_back["is_active"]) == (timestamp(LATER_MS), False)
    refused = await after.put(f"/{VIRTUAL_KEYS}/{key['id']}", json={"expires_at": timestamp(LATER_MS - 1_000)})
    assert refusal(refused) == (400, "expires_at")
    assert "expires_at" not in await update(after, VIRTUAL_KEYS, key["id"], expires_at="")


OWNERS: list[tuple[dict[str, Any], str | None]] = [
    # sent (t and c stand for another team and customer); who owns the key then, "" nobody, None as before
    ({}, None),
    ({"name": "renamed"}, None),
    ({"team_id": "t"}, "t"),
    ({"customer_id": "c"}, "c"),
    ({"team_id": ""}, ""),
    ({"team_id": None}, ""),
    ({"customer_id": ""}, ""),
    ({"customer_id": None}, ""),
    ({"team_id": "", "customer_id": ""}, ""),
    ({"team_id": None, "customer_id": None}, ""),
    ({"team_id": "", "customer_id": None}, ""),
    ({"team_id": None, "customer_id": ""}, ""),
    ({"team_id": "t", "customer_id": ""}, "t"),
    ({"team_id": "t", "customer_id": None}, "t"),
    ({"team_id": "", "customer_id": "c"}, "c"),
    ({"team_id": None, "customer_id": "c"}, "c"),
]


@pytest.mark.parametrize("first", ["nobody", "team", "customer"])
async def test_a_key_belongs_to_a_team_or_to_a_customer_or_to_nobody(client, redis: Redis, first):
    names = {"t": "other team", "c": "other customer"}
    at_first = {"nobody": "", "team": "first team", "customer": "first customer"}[first]
    ids = {name: (await create(client, TEAMS, name=name))["id"] for name in ("first team", "other team")}
    ids |= {name: (await create(client, CUSTOMERS, name=name))["id"] for name in ("first customer", "other customer")}
    owner = {f"{first}_id": ids[at_first]} if at_first else {}
    for sent, then in OWNERS:
        key = await create(client, VIRTUAL_KEYS, budgets=[{"max_limit": 5, "reset_duration": "1d"}], **owner)
        set_counter(redis, virtual_key(key), key["budgets"][0]["id"], usage=1_000_000_000, held=7)
        named = {member: ids[names[value]] if value in names else value for member, value in sent.items()}
        moved = await update(client, VIRTUAL_KEYS, key["id"], **named)
        expected = at_first if then is None else names.get(then, "")
        assert shown_owner(moved) == expected, sent
        assert (moved["budgets"][0]["current_usage"], moved["budgets"][0]["reserved"]) == (1, 7e-9)
        for collection, member in [(TEAMS, "virtual_keys"), (CUSTOMERS, "virtual_keys")]:
            for name, entity_id in ids.items():
                if name.endswith(collection[:-1]):
                    listed = {one["id"] for one in (await get(client, collection, entity_id))[member]}
                    assert (key["id"] in listed) == (name == expected), sent


def shown_owner(key: Entity) -> str:
    """The name of the one that is embedded."""
    team, customer = key.get("team"), key.get("customer")
    assert key.get("team_id") == (team and team["id"])
    assert key.get("customer_id") == (customer and customer["id"])
    assert not (team and customer)
    return str((team or customer or {"name": ""})["name"])


async def test_an_owner_must_exist(client, redis: Redis):
    team, customer = await create(client, TEAMS), await create(client, CUSTOMERS)
    key = await create(client, VIRTUAL_KEYS, team_id=team["id"])
    before = contents(redis)
    for sent, param in [
        ({"team_id": customer["id"]}, "team_id"),
        ({"team_id": "x"}, "team_id"),
        ({"customer_id": team["id"]}, "customer_id"),
        ({"customer_id": "x", "team_id": ""}, "customer_id"),
        ({"customer_id": customer["id"], "team_id": team["id"]}, "customer_id"),
        ({"customer_id": "x", "team_id": "x"}, "customer_id"),
    ]:
        assert refusal(await client.put(f"/{VIRTUAL_KEYS}/{key['id']}", json={"name": "moved", **sent})) == (400, param)
    assert contents(redis) == before


async def test_the_older_form_of_one_budget_is_a_limit_as_on_every_other_owner(client: httpx.AsyncClient):
    key = await create(client, VIRTUAL_KEYS, budget={"max_limit": 5, "reset_duration": "1d"})
    assert [one["max_limit"] for one in key["budgets"]] == [5]
    changed = await update(client, VIRTUAL_KEYS, key["id"], budget={"max_limit": 7})
    assert [(one["id"], one["max_limit"]) for one in changed["budgets"]] == [(key["budgets"][0]["id"], 7)]
    both = {"budget": {"max_limit": 1}, "budgets": []}
    assert refusal(await client.put(f"/{VIRTUAL_KEYS}/{key['id']}", json=both)) == (400, "budgets")
    assert (await update(client, VIRTUAL_KEYS, key["id"], budget={}))["budgets"] == []
