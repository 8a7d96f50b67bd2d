"""The sweep of one worker: counts what it gave back as it goes on, and leaves most of the time to others."""

import asyncio
from dataclasses import replace
from itertools import count, pairwise
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from redis import Redis

from service.quota.enforcer import Enforcer, open_enforcer
from service.quota.sweep import sweep
from service.settings import Settings
from service.store.connection import Store
from tests.store.plans import HOUR, NOW, create, plan_of, reserve, tokens

RESERVED = 200
SMALLEST_PART, LARGEST_PART = 8, 64
PER_SECOND = 2_000


def counted() -> int:
    return int(REGISTRY.get_sample_value("quotad_reservations_expired_total") or 0)


@pytest.fixture
async def later(store: Store, redis: Redis) -> Enforcer:
    """When the leases of RESERVED reservations have run out."""
    plan = plan_of(tokens("key", 10_000))
    create(redis, plan)
    now = open_enforcer(Settings(), replace(store, now_ms=str(NOW)))
    await asyncio.gather(*(now.reservations.reserve(reserve(plan, str(number), tokens=1)) for number in range(RESERVED)))
    return open_enforcer(Settings(), replace(store, now_ms=str(NOW + HOUR)))


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


async def test_a_sweep_counts_and_rests_after_each_part(later: Enforcer, monkeypatch: pytest.MonkeyPatch):
    rests = await rests_of_a_sweep(later, monkeypatch, 0)
    assert rests == [(SMALLEST_PART / PER_SECOND, SMALLEST_PART)] * (RESERVED // SMALLEST_PART)


async def test_a_sweep_that_is_late_goes_on_with_larger_parts(later: Enforcer, monkeypatch: pytest.MonkeyPatch):
    # By the time that it has asked for the plan of each they are as large as can be.
    rests = await rests_of_a_sweep(later, monkeypatch, 1)
    assert rests == [(0, LARGEST_PART)] * (RESERVED // LARGEST_PART) + [(0, RESERVED % LARGEST_PART)]
