"""The sweep of one worker: counts what it gave back as it goes on, and leaves most of the time to others."""

import asyncio
from dataclasses import replace
from itertools import count, pairwise
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from redis import Redis

from service.quota.enforcer import open_enforcer
from service.quota.sweep import sweep
from service.settings import Settings
from service.store.connection import Store
from tests.store.plans import HOUR, NOW, create, plan_of, reserve, tokens

RESERVED = 200
LARGEST_PART = 16


def counted() -> int:
    return int(REGISTRY.get_sample_value("quotad_reservations_expired_total") or 0)


async def test_a_large_sweep_counts_and_rests_after_each_part(store: Store, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    plan = plan_of(tokens("key", 10_000))
    create(redis, plan)
    now = open_enforcer(Settings(), replace(store, now_ms=str(NOW)))
    await asyncio.gather(*(now.reservations.reserve(reserve(plan, str(number), tokens=1)) for number in range(RESERVED)))
    later = open_enforcer(Settings(), replace(store, now_ms=str(NOW + HOUR)))
    before, rests, seen = counted(), [], []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        seen.append(counted() - before)

    monkeypatch.setattr("service.quota.sweep.asyncio.sleep", rest)
    # A second goes by whenever it is looked at: each part takes one.
    monkeypatch.setattr("service.quota.sweep.time", SimpleNamespace(monotonic=count().__next__))
    await sweep(later)
    assert set(rests) == {4}
    assert (seen == sorted(seen), seen[-1]) == (True, RESERVED)
    assert max(after - before for before, after in pairwise([0, *seen])) <= LARGEST_PART
