"""A decision that went by rules or prices of another version is refused by the script that would take it."""

import asyncio

import pytest
from redis import Redis

from service.reservation import Explain, Explained, Granted, Replayed, Reserve, Stale
from service.store import keys
from service.store.connection import Store
from service.store.reservations import Reservations
from service.store.versions import read_versions
from tests.store.plans import budget, create, plan_of

PLAN = plan_of(budget("key", 1_000))


def reserve(request_id: str, basis: str) -> Reserve:
    return Reserve(
        plan=PLAN, request_id=request_id, fingerprint=b"f", tokens=0, cost_nanousd=1, lease_ms=60_000, detail=b"1", basis=basis
    )


@pytest.mark.parametrize(
    "stored, basis, current",
    [
        ({}, "0:0", True),
        ({}, "", True),
        ({"routing": 3}, "3:0", True),
        ({"routing": 3, "pricing": 12, "limits": 0}, "3:12", True),
        ({"routing": 3, "pricing": 12}, "", True),
        ({"routing": 3, "pricing": 12}, "3:1", False),
        ({"routing": 3, "pricing": 12}, "2:12", False),
        ({"routing": 31, "pricing": 2}, "3:12", False),
        ({"pricing": 1}, "0:0", False),
        ({"routing": 1}, "0:1", False),
    ],
)
async def test_the_basis_of_a_decision(redis: Redis, store: Store, stored, basis, current):
    create(redis, PLAN)
    if stored:
        redis.hset(keys.versions(), mapping=stored)
    reservations = Reservations(store, retention_ms=60_000)
    explained = await reservations.explain(Explain(plan=PLAN, tokens=0, cost_nanousd=1, basis=basis))
    assert isinstance(explained, Explained if current else Stale)
    assert isinstance(await reservations.reserve(reserve("r1", basis)), Granted if current else Stale)
    # What was stale is not once it is made anew.
    assert isinstance(
        await reservations.reserve(reserve("r1", (await read_versions(store)).basis)), Replayed if current else Granted
    )


async def test_a_repeated_call_gets_its_first_answer_whatever_has_changed_since(redis: Redis, store: Store):
    create(redis, PLAN)
    reservations = Reservations(store, retention_ms=60_000)
    assert isinstance(await reservations.reserve(reserve("r1", "0:0")), Granted)
    redis.hincrby(keys.versions(), "routing", 1)
    assert isinstance(await reservations.reserve(reserve("r1", "0:0")), Replayed)


async def test_calls_of_one_batch_may_have_different_bases(redis: Redis, store: Store):
    create(redis, PLAN)
    redis.hset(keys.versions(), "routing", 2)
    reservations = Reservations(store, retention_ms=60_000)
    outcomes = await asyncio.gather(*(reservations.reserve(reserve(f"r{place}", f"{place}:0")) for place in range(4)))
    assert [type(outcome) for outcome in outcomes] == [Stale, Stale, Granted, Stale]
