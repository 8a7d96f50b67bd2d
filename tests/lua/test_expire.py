"""lua/expire.lua: the sweep writes down what ran out, counts it once, and touches nothing else."""

import asyncio

import pytest
from redis import Redis

from service.entities import Counter
from service.store import keys
from service.windows import Window
from tests.store.plans import HOUR, MINUTE, NOW, budget, create, plan_of, requests, tokens, usage_key
from tests.store.quota_desk import Desk, swept
from tests.store.stored_counters import stored_counters

LIMITS = (tokens("key", 10_000), requests("key", 999), budget("team", 10_000))


def open_reservations(redis: Redis) -> int:
    return sum(redis.zcard(index) for index in keys.all_open_indexes())


async def test_a_sweep_empties_what_ran_out_and_keeps_what_runs(desk: Desk, redis: Redis):
    plan = plan_of(*LIMITS)
    create(redis, plan)
    for number in range(20):
        await desk.call(plan, "reserve", str(number), 10, 1, lease_ms=(1 + number % 2) * 10 * MINUTE)
    assert await desk.reservations.count_open() == 20
    assert await desk.at(NOW + 10 * MINUTE).reservations.count_open() == 10
    assert await desk.call(plan, "sweep") == "10 expired"
    assert stored_counters(redis, usage_key("key"))[1].held == 100
    assert stored_counters(redis, usage_key("team"))[3].held == 10
    assert open_reservations(redis) == 10
    assert await desk.call(plan, "sweep") == "0 expired"
    assert await desk.at(NOW + HOUR).another_worker().call(plan, "sweep") == "10 expired"
    assert redis.hgetall(usage_key("team")).keys() == {"v", "s0"}
    assert stored_counters(redis, usage_key("team")) == {3: Counter(0, NOW, 0)}
    assert open_reservations(redis) == 0


async def test_workers_that_sweep_together_count_each_once(desk: Desk, redis: Redis):
    plan = plan_of(*LIMITS)
    create(redis, plan)
    for number in range(50):
        await desk.call(plan, "reserve", str(number), 10, 1)
    workers = [desk.at(NOW + HOUR).another_worker() for _ in range(4)]
    assert sum(await asyncio.gather(*(swept(worker.reservations) for worker in workers))) == 50
    assert await desk.counters(plan) == "0+0 50+0 0+0"


async def test_what_others_have_returned_is_only_taken_off_the_index(desk: Desk, redis: Redis):
    plan = plan_of(*LIMITS)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 10, 1)
    await desk.at(NOW + HOUR).call(plan, "reserve", "b", 10, 1)
    usage = redis.hgetall(usage_key("key"))
    assert await desk.call(plan, "sweep") == "1 expired"
    assert redis.hgetall(usage_key("key")) == usage
    assert open_reservations(redis) == 1


async def test_a_sweep_charges_into_the_window_of_that_moment(desk: Desk, redis: Redis):
    plan = plan_of(tokens("key", 10_000, Window(5 * MINUTE, "")))
    create(redis, plan)
    charging = desk.another_worker(charge_expired=True)
    await charging.call(plan, "reserve", "a", 600)
    await charging.at(NOW + HOUR).call(plan, "sweep")
    # The window of the charge is over by now, and nothing was used since to begin another.
    assert redis.hgetall(usage_key("key")).keys() == {"v", "s0"}
    assert stored_counters(redis, usage_key("key")) == {1: Counter(600, NOW + 10 * MINUTE, 0)}
    assert await charging.counters(plan) == "0+0"


@pytest.mark.parametrize("by_whom", ["who made them", "another worker"])
async def test_a_sweep_takes_settled_and_lost_reservations_off_the_index(desk: Desk, redis: Redis, by_whom: str):
    plan = plan_of(*LIMITS)
    create(redis, plan)
    for request_id in ("lost", "renewed", "settled"):
        await desk.call(plan, "reserve", request_id, 10, 1)
    await desk.call(plan, "settle", "settled", 10, 1)
    redis.delete(keys.reservation("lost"))
    redis.zadd(keys.open_index("never"), {"never": NOW})
    await desk.call(plan, "renew", "renewed", 2 * HOUR)
    later = desk.at(NOW + HOUR)
    sweeper = later if by_whom == "who made them" else later.another_worker()
    # Without its record only those who remember the plan of "lost" can give back what it held; on a cluster nobody tries.
    expired = int(sweeper is later and not desk.reservations.store.clustered)
    assert await sweeper.call(plan, "sweep") == f"{expired} expired"
    assert open_reservations(redis) == 1
    assert stored_counters(redis, usage_key("team"))[3].held == (1 if expired else 2)


async def test_holds_of_other_limits_of_the_owner_wait_for_who_knows_their_windows(desk: Desk, redis: Redis):
    """The plans of a key with two provider configs know a part of its counters each."""
    one, other = plan_of(tokens("key", 100, slot=1)), plan_of(tokens("key", 100, slot=2))
    create(redis, one, other)
    charging = desk.another_worker(charge_expired=True)
    for plan in (one, other):
        await charging.call(plan, "reserve", f"back {plan.limits[0].slot}", 20)
        await desk.call(plan, "reserve", f"charged {plan.limits[0].slot}", 10)
    await desk.at(NOW + HOUR).call(one, "reserve", "later", 5)
    assert await desk.counters(one) == "20+5"
    assert await desk.counters(other) == "20+0"
    await desk.call(other, "settle unreserved", "more", 7)
    assert await desk.counters(one) == "20+5"
    assert await desk.counters(other) == "27+0"
    await desk.at(NOW + 2 * HOUR).call(one, "sweep")
    assert not [name for name in redis.hgetall(usage_key("key")) if str(name)[0] in "bce"]
