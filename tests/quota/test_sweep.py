"""The sweep of one worker: counts what it gave back as it goes on, and leaves most of the time to others."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import count, pairwise
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from redis import Redis

from service.quota.enforcer import Enforcer, open_enforcer
from service.quota.sweep import sweep
from service.settings import Settings
from service.store import keys
from service.store.connection import Store
from tests.store.plans import NOW, create, plan_of, reserve, tokens

RESERVED = 400
SMALLEST_PART, LARGEST_PART = 8, 256
LEASE = 600_000


def counted() -> int:
    return int(REGISTRY.get_sample_value("quotad_reservations_expired_total") or 0)


AtTime = Callable[[int], Enforcer]


@pytest.fixture
async def late(store: Store, redis: Redis) -> AtTime:
    """So many milliseconds after the leases of RESERVED reservations ran out."""
    plan = plan_of(tokens("key", 10_000))
    create(redis, plan)
    now = open_enforcer(Settings(), replace(store, now_ms=str(NOW)))
    calls = [reserve(plan, str(number), tokens=1, lease_ms=LEASE) for number in range(RESERVED)]
    await asyncio.gather(*(now.reservations.reserve(call) for call in calls))
    return lambda late_ms: open_enforcer(Settings(), replace(store, now_ms=str(NOW + LEASE + late_ms)))


async def rests_of_a_sweep(enforcer: Enforcer, monkeypatch: pytest.MonkeyPatch, part_s: float) -> list[tuple[float, int]]:
    """If each part took so long: after each that expired any, how long the rest was, and how many were counted by then."""
    before, rests = counted(), []

    async def rest(seconds: float) -> None:
        rests.append((seconds, counted() - before))

    monkeypatch.setattr("service.quota.sweep.asyncio.sleep", rest)
    monkeypatch.setattr("service.quota.sweep.time", SimpleNamespace(monotonic=count(0, part_s).__next__))
    await sweep(enforcer)
    assert rests[-1][1] == RESERVED
    return [(seconds, seen - earlier) for (_, earlier), (seconds, seen) in pairwise([(0.0, 0), *rests]) if seen > earlier]


@pytest.mark.parametrize("late_ms, per_second", [(0, 500), (5_000, 1_000), (20_000, 2_500)])
async def test_a_sweep_counts_and_rests_after_each_part(
    late: AtTime, monkeypatch: pytest.MonkeyPatch, late_ms: int, per_second: int
):
    rests = await rests_of_a_sweep(late(late_ms), monkeypatch, 0)
    assert rests == [(SMALLEST_PART / per_second, SMALLEST_PART)] * (RESERVED // SMALLEST_PART)


async def test_one_that_cannot_be_swept_does_not_hurry_the_others(late: AtTime, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    """It stays the first of all, for as long as its plan is lost."""
    redis.zadd(keys.open_index("0"), {"0": NOW}, xx=True)
    rests = await rests_of_a_sweep(late(0), monkeypatch, 0)
    assert rests[0] == (SMALLEST_PART / 500, SMALLEST_PART)


async def test_a_sweep_that_takes_too_long_goes_on_with_larger_parts(late: AtTime, monkeypatch: pytest.MonkeyPatch):
    # By the time that it has asked for the plan of each they are as large as can be.
    rests = await rests_of_a_sweep(late(0), monkeypatch, 1)
    assert rests == [(0, LARGEST_PART)] * (RESERVED // LARGEST_PART) + [(0, RESERVED % LARGEST_PART)]
