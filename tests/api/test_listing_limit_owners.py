"""Lists of teams and customers, and of all budgets and rate limits there are."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from service.api import customers
from service.api.rendering import snapshot
from service.entities import Kind
from service.store.keys import Ref
from tests.api.calls import CUSTOMERS, MODEL_CONFIGS, TEAMS, VIRTUAL_KEYS, Entity, create, delete, get, refusal, rows, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import set_counter

OLDEST_FIRST = ["beta", "Alpha", "Straße", "alpha 2", "ÉCOLE"]
BUDGETS, RATE_LIMITS = "budgets", "rate-limits"
both = pytest.mark.parametrize("collection", [TEAMS, CUSTOMERS])


async def some(make_client: MakeClient, collection: str) -> httpx.AsyncClient:
    """Five, each a second older than the next."""
    for age, name in enumerate(OLDEST_FIRST):
        client = make_client(now_ms=NOW_MS + age * 1_000)
        await create(client, collection, name=name)
    return client


async def page(client: httpx.AsyncClient, collection: str, query: str) -> tuple[list[str], tuple[int, ...]]:
    """Names, and (count, total_count, limit, offset)."""
    body = (await client.get(f"/{collection}{query}")).json()
    names = [entity["name"] for entity in body.pop(collection)]
    assert body.keys() == {"count", "total_count", "limit", "offset"}
    return names, (body["count"], body["total_count"], body["limit"], body["offset"])


@both
async def test_empty_lists(client, collection):
    for query, limit, offset in [("", 0, 0), ("?from_memory=true", 0, 0), ("?search=x", 25, 0), ("?limit=3&offset=5", 3, 5)]:
        assert await page(client, collection, query) == ([], (0, 0, limit, offset))


PAGES: list[tuple[str, list[str], tuple[int, ...]]] = [
    # query, rows, (count, total_count, limit, offset)
    ("", OLDEST_FIRST, (5, 5, 5, 0)),
    ("?from_memory=true", OLDEST_FIRST, (5, 5, 5, 0)),
    ("?limit=&offset=&search=", OLDEST_FIRST, (5, 5, 5, 0)),
    ("?order=desc", OLDEST_FIRST, (5, 5, 5, 0)),
    ("?limit=2", OLDEST_FIRST[:2], (2, 5, 2, 0)),
    ("?limit=2&offset=4", OLDEST_FIRST[4:], (1, 5, 2, 4)),
    ("?limit=2&offset=5", [], (0, 5, 2, 5)),
    ("?offset=900000", [], (0, 5, 25, 900_000)),
    ("?limit=0", OLDEST_FIRST, (5, 5, 25, 0)),
    ("?limit=101", OLDEST_FIRST, (5, 5, 100, 0)),
    # Not refused here, but taken for nothing; paging is on all the same.
    *((f"?limit={wrong}", OLDEST_FIRST, (5, 5, 25, 0)) for wrong in ("-1", "abc", "1.5", "%20")),
    *((f"?offset={wrong}", OLDEST_FIRST, (5, 5, 25, 0)) for wrong in ("-1", "abc")),
    ("?limit=-5&offset=3", OLDEST_FIRST[3:], (2, 5, 25, 3)),
    ("?search=ALPHA", ["Alpha", "alpha 2"], (2, 2, 25, 0)),
    ("?search=alpha&limit=1&offset=1", ["alpha 2"], (1, 2, 1, 1)),
    ("?search=%C3%A9cole", ["ÉCOLE"], (1, 1, 25, 0)),
    ("?search=STRASSE", ["Straße"], (1, 1, 25, 0)),
    ("?search=nothing", [], (0, 0, 25, 0)),
    ("?search=%25", [], (0, 0, 25, 0)),
]


@both
async def test_pages_and_searches(make_client, collection):
    client = await some(make_client, collection)
    for query, names, envelope in PAGES:
        assert await page(client, collection, query) == (names, envelope), query


@pytest.mark.parametrize("collection", [TEAMS, CUSTOMERS, MODEL_CONFIGS, VIRTUAL_KEYS])
async def test_gateways_are_answered_between_parts_of_a_long_list(client, monkeypatch: pytest.MonkeyPatch, collection: str):
    for number in range(51):
        await create(client, collection, **{"model_name" if collection == MODEL_CONFIGS else "name": f"name {number}"})
    turns: list[float] = []

    async def sleep(seconds: float) -> None:
        turns.append(seconds)

    for module in (snapshot, customers):
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep), raising=False)
    assert len(await rows(client, collection)) == 51
    assert turns


@both
async def test_rows_of_the_same_age_are_ordered_by_id(make_client, collection):
    client = make_client(now_ms=NOW_MS)
    made = [await create(client, collection, name=name) for name in "fedcba"]
    ids = sorted(entity["id"] for entity in made)
    assert [entity["id"] for entity in await rows(client, collection)] == ids
    assert [entity["id"] for entity in await rows(client, collection, limit=2, offset=3)] == ids[3:5]
    await update(client, collection, ids[5], name="0")
    assert [entity["id"] for entity in await rows(client, collection)] == ids


@both
async def test_lists_follow_changes(make_client, collection):
    client = await some(make_client, collection)
    ids = {entity["name"]: entity["id"] for entity in await rows(client, collection)}
    await update(client, collection, ids["beta"], name="zeta")
    await delete(client, collection, ids["Alpha"])
    assert (await page(client, collection, ""))[0] == ["zeta", "Straße", "alpha 2", "ÉCOLE"]
    assert (await page(client, collection, "?search=beta"))[0] == []


async def test_teams_of_a_customer(make_client):
    client = make_client(now_ms=NOW_MS)
    customers = [await create(client, CUSTOMERS) for _ in range(2)]
    for number, customer in enumerate((*customers, *customers, {"id": ""})):
        await create(make_client(now_ms=NOW_MS + number), TEAMS, name=f"team {number}", customer_id=customer["id"])
    first = customers[0]["id"]
    for query, names, total in [
        (f"customer_id={first}", ["team 0", "team 2"], 2),
        (f"customer_id={first}&limit=1&offset=1", ["team 2"], 2),
        (f"customer_id={first}&search=2", ["team 2"], 1),
        (f"customer_id={first}&search=1", [], 0),
        ("customer_id=unknown", [], 0),
        ("customer_id=", [f"team {number}" for number in range(5)], 5),
    ]:
        shown, envelope = await page(client, TEAMS, f"?{query}")
        assert (shown, envelope[1]) == (names, total), query
    for team in await rows(client, TEAMS, customer_id=first):
        assert (team["customer"]["id"], team["virtual_key_count"]) == (first, 0)


@both
async def test_rows_show_what_belongs_to_them(client, collection):
    member = f"{collection[:-1]}_id"
    owners = [await create(client, collection) for _ in range(3)]
    for number, owner in enumerate(owners):
        for _ in range(number):
            await create(client, VIRTUAL_KEYS, **{member: owner["id"]})
    listed = await rows(client, collection)
    assert [row["virtual_key_count"] for row in listed] == [0, 1, 2]
    for row in listed:
        alone = await get(client, collection, row["id"])
        assert row == {name: value for name, value in alone.items() if name in row}
        assert alone.keys() - row.keys() == ({"virtual_keys"} if collection == TEAMS else set())


@pytest.mark.parametrize("collection", [VIRTUAL_KEYS, TEAMS, CUSTOMERS])
async def test_from_memory_changes_nothing(client, collection):
    """What is read is always up to the moment."""
    entity = await create(client, collection)
    for value in ("true", "false", "TRUE", "1", "nonsense", ""):
        one = await client.get(f"/{collection}/{entity['id']}", params={"from_memory": value})
        assert [*one.json().values()] == [entity]
        assert refusal(await client.get(f"/{collection}/unknown", params={"from_memory": value})) == (404, None)
        many = await client.get(f"/{collection}", params={"from_memory": value, "limit": 3})
        assert (many.json()["count"], many.json()["limit"]) == (1, 3)


async def one_of_each_owner(client: httpx.AsyncClient) -> list[tuple[Ref, Entity, dict[str, Any]]]:
    """Each with a budget and a rate limit: where it counts, what it shows, and what its budget says of whose it is."""
    limits: dict[str, Any] = {
        "budgets": [{"max_limit": 5, "reset_duration": "1d"}],
        "rate_limit": {"token_max_limit": 5, "token_reset_duration": "1h"},
    }
    customer = await create(client, CUSTOMERS, **limits)
    team = await create(client, TEAMS, customer_id=customer["id"], **limits)
    configs = [{"provider": "openai", **limits}]
    key = await create(client, VIRTUAL_KEYS, team_id=team["id"], provider_configs=configs, **limits)
    of_model = {"model_name": "gpt-4o", **limits}
    everywhere = (await client.post("/model-configs", json=of_model)).json()["model_config"]
    of_model |= {"scope": "virtual_key", "scope_id": key["id"]}
    of_key = (await client.post("/model-configs", json=of_model)).json()["model_config"]
    provider = (await client.put("/providers/openai", json=limits)).json()
    config = key["provider_configs"][0]
    return [
        (Ref(Kind.CUSTOMER, customer["id"]), customer, {"customer_id": customer["id"]}),
        (Ref(Kind.TEAM, team["id"]), team, {"team_id": team["id"]}),
        (Ref(Kind.VIRTUAL_KEY, key["id"]), key, {"virtual_key_id": key["id"]}),
        (Ref(Kind.VIRTUAL_KEY, key["id"]), config, {"provider_config_id": config["id"]}),
        (Ref(Kind.MODEL_CONFIG, everywhere["id"]), everywhere, {"model_config_id": everywhere["id"]}),
        (Ref(Kind.VIRTUAL_KEY, key["id"]), of_key, {"model_config_id": of_key["id"]}),
        (Ref(Kind.PROVIDER, "openai"), provider, {}),
    ]


OWNER_MEMBERS = {"customer_id", "team_id", "virtual_key_id", "provider_config_id", "model_config_id"}


async def test_budgets_and_rate_limits_of_every_kind_of_owner_are_listed(make_client, redis):
    client = make_client(now_ms=NOW_MS)
    owners = await one_of_each_owner(client)
    for number, (ref, owner, _) in enumerate(owners, start=1):
        set_counter(redis, ref, owner["budgets"][0]["id"], usage=number * 10**9)
        set_counter(redis, ref, owner["rate_limit"]["id"], slot="token_slot", usage=number)
    budgets = {budget["id"]: budget for budget in await rows(client, BUDGETS)}
    limits = {limit["id"]: limit for limit in await rows(client, RATE_LIMITS)}
    assert (len(budgets), len(limits)) == (7, 7)
    for number, (_, owner, whose) in enumerate(owners, start=1):
        budget = budgets[owner["budgets"][0]["id"]]
        assert {member: budget[member] for member in OWNER_MEMBERS & budget.keys()} == whose
        assert budget == {**owner["budgets"][0], "current_usage": number, "remaining": max(0, 5 - number)}
        assert limits[owner["rate_limit"]["id"]] == {**owner["rate_limit"], "token_current_usage": number}


@pytest.mark.parametrize("collection", [BUDGETS, RATE_LIMITS])
async def test_limits_are_listed_oldest_first_then_by_id_and_without_paging(make_client, collection):
    client = make_client(now_ms=NOW_MS)
    name = collection.replace("-", "_")
    for query in ("", "?from_memory=true", "?limit=1"):
        assert (await client.get(f"/{collection}{query}")).json() == {name: [], "count": 0}
    await one_of_each_owner(make_client(now_ms=NOW_MS + 1))
    limits: dict[str, Any] = {
        "budgets": [{"max_limit": 1, "reset_duration": window} for window in ("1h", "1d", "1w")],
        "rate_limit": {"token_max_limit": 1, "token_reset_duration": "1h"},
    }
    await create(client, VIRTUAL_KEYS, **limits)
    listed = await rows(client, collection)
    assert len(listed) == (10 if collection == BUDGETS else 8)
    assert listed == sorted(listed, key=lambda row: (row["created_at"], row["id"]))
    for query in ("?from_memory=true", "?limit=1", "?offset=2&search=x"):
        assert (await client.get(f"/{collection}{query}")).json() == {name: listed, "count": len(listed)}
