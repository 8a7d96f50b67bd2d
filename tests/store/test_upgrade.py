"""Counters that an earlier version wrote: what it counted and held is there afterwards, and goes on from there."""

from redis import Redis

from service.entities import Counter
from service.store import keys
from service.store.connection import Store
from service.store.upgrade import upgrade_counters
from tests.store.plans import MINUTE, NOW, budget, plan_of, requests, tokens, usage_key
from tests.store.quota_desk import Desk
from tests.store.stored_counters import stored_counters

LIMITS = (tokens("key", 1_000), requests("key", 3), budget("team", 50))
ENDS_AT = NOW + 10 * MINUTE
KEY = {
    "v": "1", "e": str(ENDS_AT), f"b{ENDS_AT}": "1:600 7:9007199254740991",
    "u1": "100", "r1": str(NOW), "h1": "600", "u2": "1", "r2": str(NOW),
}  # fmt: skip
TEAM = {"v": "1", "u3": "9007199254740991", "r3": str(NOW)}


async def test_what_was_counted_and_held_goes_on(store: Store, redis: Redis):
    redis.hset(usage_key("key"), mapping=KEY)  # type: ignore[arg-type]
    redis.hset(usage_key("team"), mapping=TEAM)  # type: ignore[arg-type]
    assert await upgrade_counters(store) == 2
    assert stored_counters(redis, usage_key("key")) == {1: Counter(100, NOW, 600), 2: Counter(1, NOW, 0)}
    assert stored_counters(redis, usage_key("team")) == {3: Counter(9007199254740991, NOW, 0)}
    assert redis.hgetall(usage_key("key")).keys() == {"v", "e", f"b{ENDS_AT}", "1", "2"}

    desk = Desk(store)
    plan = plan_of(*LIMITS[:2])
    assert await desk.counters(plan) == "100+600 1+0"
    # What was held runs out as it would have.
    assert await desk.at(ENDS_AT).counters(plan) == "100+0 1+0"


async def test_it_is_done_once(store: Store, redis: Redis):
    redis.hset(usage_key("key"), mapping=KEY)  # type: ignore[arg-type]
    assert await upgrade_counters(store) == 1
    before = redis.hgetall(usage_key("key"))
    assert await upgrade_counters(store) == 0
    redis.delete(keys.counters_format())
    assert await upgrade_counters(store) == 0
    assert redis.hgetall(usage_key("key")) == before
