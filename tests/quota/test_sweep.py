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
LARGEST_PART = 64
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
    """How long each rest was, and how many reservations were counted by then, if each part took so long."""
    before, rests = counted(), []

    async def rest(seconds: float) -> None:
        rests.append((seconds, counted() - before))

    monkeypatch.setattr("service.quota.sweep.asyncio.sleep", rest)
    monkeypatch.setattr("service.quota.sweep.time", SimpleNamespace(monotonic=count(0, part_s).__next__))
    await sweep(enforcer)
    return rests


async def test_a_large_sweep_counts_and_rests_after_each_part(later: Enforcer, monkeypatch: pytest.MonkeyPatch):
    rests = await rests_of_a_sweep(later, monkeypatch, 0)
    seen = [0, *(counted for _, counted in rests)]
    assert [seconds for seconds, _ in rests] == [(after - before) / PER_SECOND for before, after in pairwise(seen)]
    assert (seen == sorted(seen), seen[-1]) == (True, RESERVED)
    assert max(after - before for before, after in pairwise(seen)) <= LARGEST_PART


async def test_a_sweep_that_is_late_already_does_not_rest(later: Enforcer, monkeypatch: pytest.MonkeyPatch):
    assert {seconds for seconds, _ in await rests_of_a_sweep(later, monkeypatch, 1)} == {0}
