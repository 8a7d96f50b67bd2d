"""What reading costs in Redis: a page costs what it shows, however much there is; one key is one round trip."""

import asyncio
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, create, rows
from tests.api.conftest import MakeClient
from tests.api.redis_state import Traffic, traffic

LIMITS: dict[str, Any] = {
    "budgets": [{"max_limit": 5, "reset_duration": "1d"}],
    "rate_limit": {"token_max_limit": 5, "token_reset_duration": "1h"},
}
PAGES: list[tuple[str, dict[str, Any]]] = [
    (VIRTUAL_KEYS, {"limit": 25}),
    (VIRTUAL_KEYS, {"limit": 25, "offset": 10}),
    (VIRTUAL_KEYS, {"sort_by": "created_at", "order": "desc"}),
    (VIRTUAL_KEYS, {"sort_by": "name"}),
    (VIRTUAL_KEYS, {"sort_by": "status", "order": "desc"}),
    (VIRTUAL_KEYS, {"team_id": "T"}),
    (VIRTUAL_KEYS, {"customer_id": "C", "limit": 25}),
    (TEAMS, {"limit": 25}),
    (TEAMS, {"customer_id": "C"}),
    (CUSTOMERS, {"limit": 25}),
]


async def many(client: httpx.AsyncClient, count: int, collection: str, **members: Any) -> None:
    await asyncio.gather(*(create(client, collection, **members) for _ in range(count)))


async def cost(client: httpx.AsyncClient, redis: Redis, collection: str, params: dict[str, Any]) -> Traffic:
    with traffic(redis) as seen:
        assert len(await rows(client, collection, **params)) == 25
    return seen


async def test_a_page_of_25_costs_the_same_among_80_and_among_200(client, redis: Redis):
    customer = await create(client, CUSTOMERS, name="0 customer")
    team = await create(client, TEAMS, name="0 team", customer_id=customer["id"])
    ids = {"T": team["id"], "C": customer["id"]}
    pages = [(collection, {name: ids.get(str(value), value) for name, value in params.items()}) for collection, params in PAGES]

    async def grow(keys: int, others: int) -> None:
        await many(client, keys, VIRTUAL_KEYS, team_id=team["id"], **LIMITS)
        await many(client, keys, VIRTUAL_KEYS, customer_id=customer["id"], **LIMITS)
        await many(client, others, TEAMS, customer_id=customer["id"], **LIMITS)
        await many(client, others, CUSTOMERS, **LIMITS)

    await grow(40, 30)
    for collection, params in pages:
        await rows(client, collection, **params)
    few = [await cost(client, redis, collection, params) for collection, params in pages]
    # Customers show all their teams and keys, so those of the one that has some stay as they are from here on.
    customers_page = await cost(client, redis, CUSTOMERS, {"limit": 25, "offset": 1})
    await grow(60, 30)
    for (collection, params), before in zip(pages, few, strict=True):
        if collection != CUSTOMERS:
            now = await cost(client, redis, collection, params)
            assert (now.commands, now.round_trips) == (before.commands, before.round_trips), (collection, params)
    now = await cost(client, redis, CUSTOMERS, {"limit": 25, "offset": 1})
    assert (now.commands, now.round_trips) == (customers_page.commands, customers_page.round_trips)


async def test_a_page_takes_a_handful_of_round_trips(client, redis: Redis):
    for collection in (VIRTUAL_KEYS, TEAMS, CUSTOMERS):
        await many(client, 30, collection, **LIMITS)
    for collection, round_trips in [(VIRTUAL_KEYS, 2), (TEAMS, 3), (CUSTOMERS, 3)]:
        await rows(client, collection, limit=25)
        assert (await cost(client, redis, collection, {"limit": 25})).round_trips == round_trips


async def test_customers_show_what_belongs_to_them_without_more_round_trips(client, redis: Redis):
    for _ in range(5):
        customer = await create(client, CUSTOMERS)
        await many(client, 4, TEAMS, customer_id=customer["id"])
        await many(client, 4, VIRTUAL_KEYS, customer_id=customer["id"])
    await rows(client, CUSTOMERS)
    with traffic(redis) as seen:
        listed = await rows(client, CUSTOMERS, limit=25)
    assert [(len(row["teams"]), len(row["virtual_keys"])) for row in listed] == [(4, 4)] * 5
    assert seen.round_trips == 4


@pytest.mark.parametrize("collection, round_trips", [(VIRTUAL_KEYS, 1), (TEAMS, 3), (CUSTOMERS, 3)])
async def test_reading_one(make_client: MakeClient, redis: Redis, collection, round_trips):
    client = make_client()
    customer = await create(client, CUSTOMERS)
    team = await create(client, TEAMS, customer_id=customer["id"], **LIMITS)
    owner = {VIRTUAL_KEYS: {"team_id": team["id"]}, TEAMS: {"customer_id": customer["id"]}, CUSTOMERS: {}}[collection]
    entity = await create(client, collection, **owner, **LIMITS)
    if collection != VIRTUAL_KEYS:
        await many(client, 20, VIRTUAL_KEYS, **{f"{collection[:-1]}_id": entity["id"]})
    path = f"/{collection}/{entity['id']}"
    await client.get(path)
    with traffic(redis) as seen:
        assert (await client.get(path)).status_code == 200
    assert seen.round_trips <= round_trips
