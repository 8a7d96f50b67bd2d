"""Counters that an earlier version wrote: what it counted and held is there afterwards, and goes on from there."""

from redis import Redis

from service.entities import Counter
from service.store import keys
from service.store.connection import Store
from service.store.packed_integers import pack_integers
from service.store.upgrade import upgrade_counters
from tests.store.plans import MINUTE, NOW, budget, create, plan_of, requests, tokens, usage_key
from tests.store.quota_desk import Desk
from tests.store.stored_counters import stored_counters

# A reservation as format 2 kept it: what was taken of each limit (ARGV) stands behind its counter.
AS_BEFORE = """
local record = cmsgpack.unpack(redis.call('GET', KEYS[1]))
local function with_taken(packed, taken)
  local numbers = { struct.unpack('<' .. string.rep('i8', #packed / 8), packed) }
  local packed_as_before = ''
  for limit = 1, #packed / 24 do
    local at = 3 * limit - 2
    packed_as_before = packed_as_before
      .. struct.pack('<i8i8i8i8', numbers[at], numbers[at + 1], numbers[at + 2], taken[limit])
  end
  return packed_as_before
end
if record[6][5] then
  record[6][5], record[6][7] = with_taken(record[6][5], ARGV), nil
else
  record[9] = nil
end
if record[7] then
  record[7][6] = with_taken(record[7][6], { 0, 0 })
end
redis.call('SET', KEYS[1], cmsgpack.pack(record), 'KEEPTTL')
"""

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
    assert redis.hgetall(usage_key("key")).keys() == {"v", "e", f"b{ENDS_AT}", "s0"}

    desk = Desk(store)
    plan = plan_of(*LIMITS[:2])
    assert await desk.counters(plan) == "100+600 1+0"
    # What was held runs out as it would have.
    assert await desk.at(ENDS_AT).counters(plan) == "100+0 1+0"


async def test_counters_that_were_fields_of_their_own_go_on(store: Store, redis: Redis):
    redis.hset(usage_key("key"), items=["v", 1, "e", ENDS_AT, f"b{ENDS_AT}", pack_integers(1, 600)])
    for slot, usage, held in ((1, 100, 600), (2, 1, 0), (11, 7, 0)):
        redis.hset(usage_key("key"), str(slot), pack_integers(usage, NOW, held))
    assert await upgrade_counters(store) == 1
    counters = {1: Counter(100, NOW, 600), 2: Counter(1, NOW, 0), 11: Counter(7, NOW, 0)}
    assert stored_counters(redis, usage_key("key")) == counters
    assert redis.hgetall(usage_key("key")).keys() == {"v", "e", f"b{ENDS_AT}", "s0", "s1"}


async def test_reservations_go_on(store: Store, redis: Redis):
    desk, plan = Desk(store), plan_of(*LIMITS[:2])
    create(redis, plan)
    first = {name: await desk.outcome(plan, "reserve", name, 300) for name in ("settled", "open", "released")}
    settled = await desk.outcome(plan, "settle", "settled", 200)
    unreserved = await desk.outcome(plan, "settle unreserved", "unreserved", 100)
    for name in (*first, "unreserved"):
        redis.eval(AS_BEFORE, 1, keys.reservation(name), 300, 1)

    for _ in ("once", "and again"):
        redis.delete(keys.counters_format())
        assert await upgrade_counters(store) == 0
    after = desk.another_worker()
    assert (await after.outcome(plan, "reserve", "open", 300)).first == first["open"]
    assert await after.outcome(plan, "settle", "settled", 1) == settled._replace(replayed=True)
    assert await after.outcome(plan, "settle unreserved", "unreserved", 1) == unreserved._replace(replayed=True)
    assert await after.call(plan, "settle", "open", 250) == "settled 250/0"
    assert await after.call(plan, "release", "released") == "released"
    assert await after.counters(plan) == "550+0 3+0"


async def test_it_is_done_once(store: Store, redis: Redis):
    redis.hset(usage_key("key"), mapping=KEY)  # type: ignore[arg-type]
    assert await upgrade_counters(store) == 1
    before = redis.hgetall(usage_key("key"))
    assert await upgrade_counters(store) == 0
    redis.delete(keys.counters_format())
    assert await upgrade_counters(store) == 0
    assert redis.hgetall(usage_key("key")) == before
