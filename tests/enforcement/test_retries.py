"""Every call may be repeated, in any order and at the same time: the final state is that of calls made once."""

import asyncio

import pytest
from redis import Redis

from service.reservation import Mode
from service.store.connection import Store
from tests.enforcement.lives import final_state
from tests.enforcement.world import World, six_kinds
from tests.store.plans import NOW
from tests.store.quota_desk import Desk


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("seed", range(3))
async def test_copies_change_nothing(redis: Redis, store: Store, mode: Mode, seed: int):
    once = await final_state(redis, store, seed, (1, 1), mode)
    assert await final_state(redis, store, seed, (1, 5), mode) == once


async def test_another_body_under_the_same_id_is_a_conflict(redis: Redis, store: Store, desk: Desk):
    world = World(store, NOW)
    await world.create(*six_kinds())
    plan = await world.plan("key")
    answers = await asyncio.gather(
        *(desk.another_worker().call(plan, verb, "a", 5) for verb in ("reserve", "other body") for _ in range(5))
    )
    assert sorted(set(answers)) == ["conflict", "granted 5/0", "replayed 5/0"]
    assert answers.count("conflict") == 5
