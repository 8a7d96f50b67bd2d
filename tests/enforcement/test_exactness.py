"""Whatever the number of processes and connections, limits that admit K admit exactly K, and counters are exact sums."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from service.entities import LimitOwner
from service.reservation import LimitKind, Mode, Plan
from service.store.connection import Store
from tests.enforcement.clients import CLIENTS, Clients, Job
from tests.enforcement.world import SIX_KINDS, Limits, World, provider_config, six_kinds, team, virtual_key
from tests.store.plans import NOW
from tests.store.quota_desk import Desk

EACH = 500
"""Requests of each client: 2,000 at once from four."""
PLENTY = 10**12


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    running = Clients()
    yield running
    running.close()


def limits_of(tight: str, *, requests: int = PLENTY, tokens: int = PLENTY, cost: int = PLENTY) -> dict[str, Any]:
    """Every kind of owner has all three limits, one of them tight ones."""
    made: dict[str, Any] = {}
    own = {name: Limits() for name in SIX_KINDS}
    own["provider_config"] = own["virtual_key"]
    for name in SIX_KINDS:
        most = (tokens, requests, cost) if name == tight else (PLENTY, PLENTY, PLENTY)
        made[name] = {"rate_limit": own[name].rate(most[0], most[1]), "budgets": (own[name].budget(most[2]),)}
    return made


def two_teams(owners: list[LimitOwner]) -> list[LimitOwner]:
    """A second team of the same customer, with a key of its own."""
    return [
        *owners,
        team("team-2", customer_id="customer"),
        virtual_key("key-2", team_id="team-2", provider_configs=(provider_config(2),)),
    ]


async def usage_of(desk: Desk, plan: Plan, kind: LimitKind) -> set[int]:
    outcome = await desk.outcome(plan, "explain")
    return {state.usage for limit, state in zip(plan.limits, outcome.states, strict=True) if limit.kind is kind}


async def held_of(desk: Desk, plan: Plan) -> int:
    return sum(state.held for state in (await desk.outcome(plan, "explain")).states)


@pytest.mark.parametrize("tight", SIX_KINDS)
async def test_request_limits_admit_exactly_as_many(clients: Clients, store: Store, desk: Desk, redis_url: str, tight: str):
    world = World(store, NOW)
    await world.create(*six_kinds(limits_of(tight, requests=777)))
    plan = await world.plan("key")
    told = clients.run(lambda number: Job(redis_url, f"client {number}", (plan,), EACH, (10, 10), (20, 20), settles=True))
    assert (len(told.admitted), told.refused) == (777, CLIENTS * EACH - 777)
    assert len(set(told.admitted)) == 777
    assert told.violated == {tight}
    assert await usage_of(desk, plan, LimitKind.REQUESTS) == {777}
    assert await usage_of(desk, plan, LimitKind.TOKENS) == {told.tokens}
    assert await usage_of(desk, plan, LimitKind.BUDGET) == {told.cost_nanousd}
    assert await held_of(desk, plan) == 0


@pytest.mark.parametrize("tight", ["provider", "customer"])
async def test_limits_that_two_teams_share(clients: Clients, store: Store, desk: Desk, redis_url: str, tight: str):
    world = World(store, NOW)
    await world.create(*two_teams(six_kinds(limits_of(tight, requests=777))))
    plans = (await world.plan("key"), await world.plan("key-2"))
    told = clients.run(lambda number: Job(redis_url, f"client {number}", plans, EACH, (10, 10), (20, 20), settles=True))
    assert len(told.admitted) == 777
    shared = {limit.limit_id: limit for limit in plans[1].limits if limit.scope == tight}
    outcome = await desk.outcome(plans[1], "explain")
    usages = {limit.kind: outcome.states[place].usage for place, limit in enumerate(plans[1].limits) if limit.limit_id in shared}
    assert usages[LimitKind.REQUESTS] == 777
    assert usages[LimitKind.TOKENS] == told.tokens
    assert usages[LimitKind.BUDGET] == told.cost_nanousd


@pytest.mark.parametrize("tight", ["model_config", "virtual_key", "team"])
async def test_strict_never_passes_a_limit(clients: Clients, store: Store, desk: Desk, redis_url: str, tight: str):
    world = World(store, NOW)
    await world.create(*six_kinds(limits_of(tight, tokens=9_999, cost=7_777)))
    plan = await world.plan("key", mode=Mode.STRICT)
    held = clients.run(lambda number: Job(redis_url, f"held {number}", (plan,), EACH, (30, 20), (0, 0), settles=False))
    assert len(held.admitted) == 9_999 // 30
    for request_id in held.admitted:
        await desk.call(plan, "release", request_id)
    assert await held_of(desk, plan) == 0
    told = clients.run(lambda number: Job(redis_url, f"client {number}", (plan,), EACH, (30, 20), (30, 20), settles=True))
    assert await usage_of(desk, plan, LimitKind.TOKENS) == {told.tokens}
    assert told.refused > 0
    assert told.tokens <= 9_999
    assert told.cost_nanousd <= 7_777


@pytest.mark.parametrize("tight", ["provider_config", "customer"])
async def test_clamp_passes_a_limit_by_one_request_at_most(
    clients: Clients, store: Store, desk: Desk, redis_url: str, tight: str
):
    world = World(store, NOW)
    await world.create(*six_kinds(limits_of(tight, tokens=9_999)))
    plan = await world.plan("key", mode=Mode.CLAMP)
    told = clients.run(
        lambda number: Job(redis_url, f"client {number}", (plan,), EACH, (40, 0), (40, 0), settles=True, uses_all=True)
    )
    assert await usage_of(desk, plan, LimitKind.TOKENS) == {told.tokens}
    assert 9_999 <= told.tokens < 9_999 + 40
    assert len(told.admitted) == -(-9_999 // 40)


async def test_postpaid_admits_all_that_are_in_flight(clients: Clients, store: Store, desk: Desk, redis_url: str):
    world = World(store, NOW)
    await world.create(*six_kinds(limits_of("team", tokens=10)))
    plan = await world.plan("key", mode=Mode.POSTPAID)
    told = clients.run(lambda number: Job(redis_url, f"client {number}", (plan,), EACH, (40, 0), (0, 0), settles=False))
    assert len(told.admitted) == CLIENTS * EACH
    await desk.call(plan, "settle", told.admitted[0], 10, 0)
    after = clients.run(lambda number: Job(redis_url, f"late {number}", (plan,), 10, (40, 0), (0, 0), settles=False))
    assert after.admitted == []


async def test_the_same_ids_from_all_clients_are_admitted_once(store: Store, desk: Desk):
    """Four gateways retry the same requests at the same time: each is taken once, all are told the same."""
    world = World(store, NOW)
    await world.create(*six_kinds(limits_of("virtual_key", requests=300)))
    plan = await world.plan("key")
    requests = [f"request {number}" for number in range(300)]
    workers = [desk.another_worker() for _ in range(4)]
    answers = await asyncio.gather(*(worker.call(plan, "reserve", one, 5) for one in requests for worker in workers))
    assert sorted(set(answers)) == ["granted 5/0", "replayed 5/0"]
    assert answers.count("granted 5/0") == 300
    assert await usage_of(desk, plan, LimitKind.REQUESTS) == {300}
