"""What a worker keeps of configurations: read once, kept within bounds, read again when the store calls it stale."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis import Redis

from service.app import Application
from service.quota.plans import Kept
from tests.api.calls import TEAMS, VIRTUAL_KEYS, create, update
from tests.api.conftest import MakeApp
from tests.api.gateway import OPENAI, admitted, budget, reserve
from tests.api.redis_state import traffic


@pytest.fixture
async def client(make_app: MakeApp) -> AsyncIterator[httpx.AsyncClient]:
    app: Application = make_app(cached_keys=3, cached_plans=3)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/governance") as one:
        yield one


async def a_key(client: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    return await create(client, VIRTUAL_KEYS, provider_configs=[OPENAI], **members)


async def round_trips(client: httpx.AsyncClient, redis: Redis, key: dict[str, Any], **body: Any) -> int:
    with traffic(redis) as seen:
        await admitted(client, key, **body)
    return seen.round_trips


def test_the_values_used_last_stay():
    kept: Kept[str, int] = Kept(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)
    kept.put("a", 4)
    kept.drop("c")
    assert (kept.get("a"), kept.get("c")) == (4, None)


async def test_a_decision_costs_one_round_trip_once_the_key_is_known(client: httpx.AsyncClient, redis: Redis):
    team = await create(client, TEAMS, budgets=[budget(10)])
    key = await a_key(client, team_id=team["id"], budgets=[budget(10)])
    await admitted(client, key)
    assert [await round_trips(client, redis, key) for _ in range(5)] == [1] * 5


async def test_a_change_costs_a_few_round_trips_once(client: httpx.AsyncClient, redis: Redis):
    team = await create(client, TEAMS)
    key = await a_key(client, team_id=team["id"])
    await admitted(client, key)
    await update(client, TEAMS, team["id"], budgets=[budget(10)])
    # Refused as stale, versions of what is shared, the key with its team, decided, and the plan kept for replays.
    assert await round_trips(client, redis, key) <= 5
    assert await round_trips(client, redis, key) == 1


async def test_many_callers_of_one_key_read_it_once(client: httpx.AsyncClient, redis: Redis):
    key = await a_key(client, budgets=[budget(1000)])
    await admitted(client, key)
    for _ in range(2):
        await update(client, VIRTUAL_KEYS, key["id"], budgets=[budget(1000)])
        with traffic(redis) as seen:
            responses = await asyncio.gather(*(reserve(client, key) for _ in range(60)))
        assert {response.status_code for response in responses} == {200}
        assert seen.commands["hgetall"] <= 10
        # In batches of 16, stale ones and those after them.
        assert seen.round_trips <= 20


async def test_more_keys_and_models_than_are_kept(client: httpx.AsyncClient):
    keys = [await a_key(client, name=f"key {number}") for number in range(8)]
    for _ in range(3):
        for key in keys:
            for model in ("a", "b", "c", "d"):
                answer = await admitted(client, key, model=model)
                assert (answer["virtual_key"]["name"], answer["model"]) == (key["name"], model)
