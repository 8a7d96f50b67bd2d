"""Counters of an earlier version, on whichever node they lie."""

from redis import Redis

from service.entities import Counter
from service.store.upgrade import upgrade_counters
from tests.store.plans import NOW, usage_key
from tests.store.quota_desk import Desk
from tests.store.stored_counters import stored_counters


async def test_every_node_has_its_counters_upgraded(desk: Desk, redis: Redis):
    owners = [f"key {number}" for number in range(30)]
    for owner in owners:
        redis.hset(usage_key(owner), mapping={"v": "1", "u1": "7", "r1": str(NOW), "h1": "3"})
    store = desk.reservations.store
    assert await upgrade_counters(store) == len(owners)
    assert await upgrade_counters(store) == 0
    for owner in owners:
        assert stored_counters(redis, usage_key(owner)) == {1: Counter(7, NOW, 3)}
