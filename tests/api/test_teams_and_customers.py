"""Teams and customers: what new ones are, what updates do member by member, what they show of each other."""

from typing import Any

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, Entity, create, delete, get, message, refusal, rows, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import contents
from tests.api.samples import NAMES, RECORD, UNKNOWN, UUID_4

LATER_MS = NOW_MS + 60_000
DIRECTORY = {"profile": None, "config": None, "claims": None}
LIMITS: dict[str, Any] = {
    "budgets": [{"max_limit": 5, "reset_duration": "1d"}],
    "rate_limit": {"token_max_limit": 5, "token_reset_duration": "1h"},
    "calendar_aligned": True,
}
both = pytest.mark.parametrize("collection", [TEAMS, CUSTOMERS])


@pytest.fixture
def client(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=NOW_MS)


@pytest.fixture
def later(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=LATER_MS)


async def test_a_team_with_a_name_only(client):
    team = await create(client, TEAMS, name="plain")
    assert UUID_4.fullmatch(team["id"])
    assert team == {
        "id": team["id"],
        "name": "plain",
        "calendar_aligned": False,
        "virtual_keys": [],
        "virtual_key_count": 0,
        **DIRECTORY,
        **RECORD,
    }
    assert await get(client, TEAMS, team["id"]) == team


async def test_a_customer_with_a_name_only(client):
    customer = await create(client, CUSTOMERS, name="plain")
    assert UUID_4.fullmatch(customer["id"])
    assert customer == {
        "id": customer["id"],
        "name": "plain",
        "calendar_aligned": False,
        "teams": [],
        "virtual_keys": [],
        "virtual_key_count": 0,
        **RECORD,
    }
    assert await get(client, CUSTOMERS, customer["id"]) == customer


@both
async def test_limits_are_shown_with_whose_they_are(client, collection):
    owner = await create(client, collection, **LIMITS)
    (budget,) = owner["budgets"]
    assert budget[f"{collection[:-1]}_id"] == owner["id"]
    assert (owner["budget"], owner["budget_id"]) == (budget, budget["id"])
    assert owner["rate_limit_id"] == owner["rate_limit"]["id"]
    assert (owner["calendar_aligned"], budget["calendar_aligned"]) == (True, True)


@both
@pytest.mark.parametrize("name", NAMES)
async def test_names_are_kept_as_sent(client, collection, name):
    owner = await create(client, collection, name=name)
    assert (owner["name"], (await get(client, collection, owner["id"]))["name"]) == (name, name)


async def test_customers_show_their_teams_and_keys_and_those_show_them(client):
    customer = await create(client, CUSTOMERS, **LIMITS)
    team = await create(client, TEAMS, customer_id=customer["id"], **LIMITS)
    of_team = await create(client, VIRTUAL_KEYS, team_id=team["id"], **LIMITS)
    of_customer = await create(client, VIRTUAL_KEYS, customer_id=customer["id"], **LIMITS)
    await create(client, VIRTUAL_KEYS)
    bare_customer = without(customer, "teams", "virtual_keys", "virtual_key_count")
    bare_team = without(team, "virtual_keys", "virtual_key_count", "customer")

    shown = await get(client, CUSTOMERS, customer["id"])
    assert shown["teams"] == [bare_team]
    # Keys of its teams are not its own.
    assert shown["virtual_keys"] == [without(of_customer, "customer")]
    assert shown["virtual_key_count"] == 1
    assert without(shown, "teams", "virtual_keys", "virtual_key_count") == bare_customer

    shown_team = await get(client, TEAMS, team["id"])
    assert shown_team["virtual_keys"] == [without(of_team, "team")]
    assert (shown_team["customer_id"], shown_team["customer"]) == (customer["id"], bare_customer)
    assert of_team["team"] == {**bare_team, "customer": bare_customer}
    assert of_customer["customer"] == bare_customer

    assert await rows(client, CUSTOMERS) == [shown]
    assert await rows(client, TEAMS) == [{**without(shown_team, "virtual_keys"), "virtual_key_count": 1}]


def without(entity: Entity, *members: str) -> Entity:
    return {name: value for name, value in entity.items() if name not in members}


GONE = "not there"
LIMITLESS = {"budgets": GONE, "budget": GONE, "budget_id": GONE}
UPDATES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    # sent, what is shown instead
    *(({member: None}, {}) for member in ("name", "budgets", "budget", "rate_limit", "calendar_aligned", "reset_budget_usage")),
    ({}, {}),
    ({"id": UNKNOWN, "created_at": "2001-01-01T00:00:00Z", "teams": [], "virtual_keys": [], "profile": {}}, {}),
    ({"name": "other"}, {"name": "other"}),
    ({"name": " other "}, {"name": " other "}),
    ({"budgets": []}, LIMITLESS),
    ({"budget": {}}, LIMITLESS),
    ({"rate_limit": {}}, {"rate_limit": GONE, "rate_limit_id": GONE}),
    ({"rate_limit": {"token_reset_duration": "1h"}}, {"rate_limit": GONE, "rate_limit_id": GONE}),
]


@both
@pytest.mark.parametrize("sent, instead", UPDATES, ids=str)
async def test_updates_change_what_is_supplied_and_nothing_else(client, later, collection, sent, instead):
    owner = await create(client, collection, name="name", **LIMITS)
    changed = await update(later, collection, owner["id"], **sent)
    expected = {**owner, **({"updated_at": timestamp(LATER_MS), **instead} if instead else {})}
    assert changed == {member: value for member, value in expected.items() if value is not GONE}
    assert await get(later, collection, owner["id"]) == changed


@both
async def test_leaving_the_calendar_is_shown_at_the_owner_and_its_budgets(client, collection):
    owner = await create(client, collection, **LIMITS)
    changed = await update(client, collection, owner["id"], calendar_aligned=False)
    assert (changed["calendar_aligned"], changed["budgets"][0]["calendar_aligned"]) == (False, False)


MOVES: list[tuple[dict[str, Any], str | None]] = [
    # sent (other stands for another customer), customer of the team then; None: as before
    ({}, None),
    ({"customer_id": None}, None),
    ({"name": "renamed"}, None),
    ({"customer_id": "other"}, "other"),
    ({"customer_id": ""}, ""),
]


@pytest.mark.parametrize("first", ["first", ""])
@pytest.mark.parametrize("sent, then", MOVES, ids=str)
async def test_a_team_moves_between_customers(client, first, sent, then):
    customers = {name: await create(client, CUSTOMERS, name=name) for name in ("first", "other")}
    ids = {"": "", **{name: customer["id"] for name, customer in customers.items()}}
    team = await create(client, TEAMS, customer_id=ids[first], **LIMITS)
    moved = await update(client, TEAMS, team["id"], **{**sent, **({"customer_id": ids["other"]} if then == "other" else {})})
    expected = first if then is None else then
    assert moved.get("customer_id", "") == ids[expected]
    assert moved.get("customer", {"name": ""})["name"] == expected
    assert moved["budgets"] == team["budgets"]
    for name, customer in customers.items():
        assert [one["id"] for one in (await get(client, CUSTOMERS, customer["id"]))["teams"]] == [team["id"]] * (name == expected)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": " \n"}, "name"),
    ({"name": "x" * 256}, "name"),
    ({"name": "nul\0"}, "name"),
    ({"name": 5}, "name"),
    ({"name": []}, "name"),
    ({"calendar_aligned": ""}, "calendar_aligned"),
    ({"calendar_aligned": 1}, "calendar_aligned"),
]
WRONG_OF_TEAMS: list[tuple[dict[str, Any], str]] = [
    ({"customer_id": wrong}, "customer_id") for wrong in (UNKNOWN, "x", "%2F{*}", "x" * 256, 5, True)
]


@both
async def test_requests_that_are_refused_change_nothing(client, redis: Redis, collection):
    owner = await create(client, collection, **LIMITS)
    before = contents(redis)
    path = f"/{collection}/{owner['id']}"
    for members, param in WRONG + (WRONG_OF_TEAMS if collection == TEAMS else []):
        refused = await client.post(f"/{collection}", json={"name": "new", **members})
        assert refusal(refused) == (400, param), members
        refused = await client.put(path, json={"budgets": [], "rate_limit": {}, **members})
        assert refusal(refused) == (400, param), members
    for members in ({}, {"name": None}):
        assert refusal(await client.post(f"/{collection}", json=members)) == (400, "name")
    for body in (b"", b"{", b"[]", b'"x"', b"1"):
        assert refusal(await client.post(f"/{collection}", content=body)) == (400, None)
        assert refusal(await client.put(path, content=body)) == (400, None)
    assert contents(redis) == before


@both
async def test_ids_that_name_nothing(client, redis: Redis, collection):
    for unknown in (UNKNOWN, "a%20b", "%2e%2e", "x" * 300):
        path = f"/{collection}/{unknown}"
        answers = [await client.get(path), await client.put(path, json={"name": "x"}), await client.delete(path)]
        assert [refusal(answer) for answer in answers] == [(404, None)] * 3
        # What is malformed is refused first, what is only wrong after.
        assert refusal(await client.put(path, json={"name": 5})) == (400, "name")
        for only_wrong in ('{"name": ""}', '{"budgets": [{}]}', '{"budget": {}, "budgets": []}'):
            assert refusal(await client.put(path, content=only_wrong)) == (404, None)
    assert contents(redis) == {}


@pytest.mark.parametrize("collection", [VIRTUAL_KEYS, TEAMS, CUSTOMERS])
async def test_names_are_unique_within_a_kind(client, redis: Redis, collection):
    taken = await create(client, collection, name="Taken 🔑")
    other = await create(client, collection, name="other")
    before = contents(redis)
    answers = [
        await client.post(f"/{collection}", json={"name": "Taken 🔑", "budgets": []}),
        await client.put(f"/{collection}/{other['id']}", json={"name": "Taken 🔑", **LIMITS}),
    ]
    for answer in answers:
        assert refusal(answer) == (409, "name")
        assert "already exists" in message(answer)
    assert contents(redis) == before
    # Letter case and spaces tell names apart, and one name may be a part of another.
    for free in ("taken 🔑", "Taken 🔑 ", " Taken 🔑", "Taken", "T"):
        await create(client, collection, name=free)
    # Its own name is free for an entity, and one that is given up is free for all.
    assert (await update(client, collection, taken["id"], name="Taken 🔑"))["name"] == "Taken 🔑"
    await update(client, collection, taken["id"], name="renamed")
    await update(client, collection, other["id"], name="Taken 🔑")
    await delete(client, collection, other["id"])
    await create(client, collection, name="Taken 🔑")


async def test_kinds_do_not_share_names(client):
    for collection in (VIRTUAL_KEYS, TEAMS, CUSTOMERS):
        await create(client, collection, name="the same")
