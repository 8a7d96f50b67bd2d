"""The coordinator: how many round trips a call takes, what it keeps, what it does when it knows nothing."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from service.errors import StoreUnavailable
from service.reservation import Granted, Mode, Refused, Settled
from service.store import keys
from service.store.codec import encode_plan
from service.store.connection import Store
from service.store.reservation_calls import granule_ms
from service.windows import Window
from tests.store.plans import DAY, HOUR, MINUTE, NOW, budget, create, plan_of, requests, tokens
from tests.store.quota_desk import Desk, swept

PLAN = plan_of(tokens("key", 10_000), requests("key", 1_000), budget("team", 10_000))


class Sent:
    """Counts the script calls that go to Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        redis.config_resetstat()

    @property
    def scripts(self) -> int:
        stats: dict[str, Any] = dict(self._redis.info("commandstats"))
        return stats["cmdstat_evalsha"]["calls"] if "cmdstat_evalsha" in stats else 0


@pytest.fixture
async def desk(store: Store, redis: Redis) -> Desk:
    create(redis, PLAN)
    one = Desk(store)
    # Scripts and connections are there before anything is counted.
    await one.call(PLAN, "reserve", "warm")
    await one.call(PLAN, "settle", "warm")
    await one.call(PLAN, "explain")
    await asyncio.gather(*(one.call(PLAN, "renew", "never", 1_000) for _ in range(4)))
    await one.call(PLAN, "release", "warm")
    return one


async def test_one_round_trip_each(desk: Desk, redis: Redis):
    for verb, values in [
        ("reserve", ("a", 10, 1)),
        ("reserve", ("b", 10, 1)),
        ("renew", ("a", HOUR)),
        ("settle", ("a", 10, 1)),
        ("release", ("b",)),
        ("settle unreserved", ("c", 10, 1)),
        ("explain", ("", 10, 1)),
    ]:
        sent = Sent(redis)
        await desk.call(PLAN, verb, *values)
        assert sent.scripts == 1, verb


async def test_a_new_plan_costs_no_further_round_trip(desk: Desk, redis: Redis):
    plan = plan_of(tokens("key", 9_999), requests("key", 1_000), budget("team", 10_000))
    sent = Sent(redis)
    await desk.call(plan, "reserve", "a", 1)
    assert sent.scripts == 1
    assert await desk.another_worker().call(plan, "reserve", "a", 1) == "replayed 1/0"


async def test_the_text_of_a_plan_that_refuses_is_sent_once(desk: Desk, redis: Redis):
    plan, sent = plan_of(tokens("key", 100), requests("key", 1_000), mode=Mode.STRICT), []
    for _ in range(3):
        before = redis.info("stats")["total_net_input_bytes"]
        assert await desk.call(plan, "reserve", "a", 9_000) == "refused by 0"
        sent.append(redis.info("stats")["total_net_input_bytes"] - before)
    assert sent[1] == sent[2] < sent[0] - len(encode_plan(plan))


async def test_a_plan_that_refused_before_is_saved_when_it_admits(desk: Desk, redis: Redis):
    create(redis, plan := plan_of(tokens("key 2", 100), requests("key 2", 1_000), mode=Mode.STRICT))
    assert await desk.call(plan, "reserve", "a", 9_000) == "refused by 0"
    sent = Sent(redis)
    assert await desk.call(plan, "reserve", "a", 9) == "granted 9/0"
    assert sent.scripts == 2
    assert await desk.call(plan, "reserve", "b", 9) == "granted 9/0"
    assert sent.scripts == 3
    assert await desk.another_worker().call(plan, "settle", "a", 9) == "settled 9/0"
    assert await desk.counters(plan) == "9+9 2+0"


async def test_calls_of_one_tick_are_one_script_call(desk: Desk, redis: Redis):
    sent = Sent(redis)
    answers = await asyncio.gather(*(desk.call(PLAN, "reserve", str(number), 1, 1) for number in range(50)))
    assert set(answers) == {"granted 1/1"}
    assert sent.scripts == 1
    sent = Sent(redis)
    await asyncio.gather(*(desk.call(PLAN, "settle", str(number), 1, 1) for number in range(50)))
    assert sent.scripts == 1
    assert await desk.counters(PLAN) == "50+0 51+0 50+0"


async def test_one_bad_call_does_not_disturb_the_others(desk: Desk):
    stale = plan_of(tokens("key", 5), versions={"key": 9})
    blocked = plan_of(tokens("key", 5), blocked=True)
    answers = await asyncio.gather(
        desk.call(PLAN, "reserve", "a", 1),
        desk.call(stale, "reserve", "b", 1),
        desk.call(PLAN, "other body", "a", 1),
        desk.call(blocked, "reserve", "c", 1),
        desk.call(PLAN, "reserve", "a", 1),
        desk.call(plan_of(tokens("customer", 5)), "reserve", "d", 1),
        desk.call(PLAN, "reserve", "e", 1),
    )
    assert answers == ["granted 1/0", "stale", "conflict", "blocked", "replayed 1/0", "stale", "granted 1/0"]
    assert await desk.counters(PLAN) == "0+2 3+0 0+0"


async def test_a_stale_call_leaves_the_windows_of_the_others_alone(desk: Desk, redis: Redis):
    """It goes by the minute that an admin has made an hour of: what was used before that minute counts for the others still."""
    limits = (tokens("key 2", 100), requests("key 2", 3))
    hour, minute = (
        plan_of(*(replace(limit, window=Window(length_ms, "")) for limit in limits), versions={"key 2": version})
        for length_ms, version in ((HOUR, 1), (MINUTE, 9))
    )
    create(redis, hour)
    for request_id in "abc":
        assert await desk.call(hour, "reserve", request_id, 10) == "granted 10/0"
    assert await desk.call(hour, "settle", "a", 50) == "settled 50/0 over by 40/0"
    desk.at(NOW + 5 * MINUTE)
    answers = await asyncio.gather(desk.call(minute, "reserve", "d", 1), desk.call(hour, "reserve", "e", 1))
    assert tuple(answers) == ("stale", f"refused by 1, retry at {HOUR}")
    answers = await asyncio.gather(desk.call(minute, "settle unreserved", "f", 1), desk.call(hour, "settle", "b", 10))
    assert tuple(answers) == ("stale", "settled 10/0")
    assert await desk.counters(hour) == "60+10 3+0"


async def test_the_same_call_twice_in_one_batch(desk: Desk):
    assert await asyncio.gather(*(desk.call(PLAN, "reserve", "a", 5, 5) for _ in range(3))) == ["granted 5/5"] + 2 * [
        "replayed 5/5"
    ]
    assert await asyncio.gather(*(desk.call(PLAN, "settle", "a", 5, 5) for _ in range(3))) == ["settled 5/5"] + 2 * [
        "settled again 5/5"
    ]
    assert await asyncio.gather(*(desk.call(PLAN, "settle unreserved", "b", 5, 5) for _ in range(3))) == [
        "settled 5/5",
        "settled again 5/5",
        "settled again 5/5",
    ]
    assert await desk.counters(PLAN) == "10+0 3+0 10+0"


async def test_another_worker_looks_the_plan_up_once(desk: Desk, redis: Redis):
    for number in range(20):
        await desk.call(PLAN, "reserve", str(number), 1)
    other = desk.another_worker()
    sent = Sent(redis)
    await asyncio.gather(*(other.call(PLAN, "settle", str(number), 1) for number in range(10)))
    # The first finds out by which plan they were made, which is then read; the second settles.
    assert sent.scripts == 2
    sent = Sent(redis)
    await asyncio.gather(*(other.call(PLAN, "settle", str(number), 1) for number in range(10, 20)))
    assert sent.scripts == 2


async def test_a_settlement_that_names_its_plan_is_one_round_trip_in_any_worker(desk: Desk, redis: Redis):
    await desk.call(PLAN, "reserve", "a", 5)
    await desk.call(PLAN, "reserve", "b", 5)
    other = desk.another_worker()
    sent = Sent(redis)
    assert await other.call(PLAN, "settle unreserved", "a", 5) == "settled 5/0"
    assert sent.scripts == 1
    another_plan = plan_of(tokens("key", 9_999), requests("key", 1_000), budget("team", 10_000))
    assert await other.call(another_plan, "settle unreserved", "b", 5) == "settled 5/0"
    assert sent.scripts == 3
    assert await desk.counters(PLAN) == "10+0 3+0 0+0"


async def test_a_full_cache_forgets_and_looks_up(desk: Desk):
    small = desk.another_worker(largest_cache=2, cached_plans=1)
    plans = [PLAN, plan_of(tokens("key", 9_999), requests("key", 1_000), budget("team", 10_000))]
    for number in range(10):
        assert await small.call(plans[number % 2], "reserve", str(number), 5) == "granted 5/0"
    for number in range(10):
        assert await small.call(PLAN, "settle", str(number), 5) == "settled 5/0"
    assert await small.counters(PLAN) == "50+0 11+0 0+0"


async def test_a_lost_plan_is_an_outage(desk: Desk, redis: Redis):
    await desk.call(PLAN, "reserve", "a", 5)
    redis.delete(*[name for name in redis.scan_iter() if "{plan:" in str(name)])
    with pytest.raises(StoreUnavailable, match="plan"):
        await desk.another_worker().call(PLAN, "settle", "a", 5)
    # Whoever made it still knows it.
    assert await desk.call(PLAN, "settle", "a", 5) == "settled 5/0"


@pytest.mark.parametrize("loaded", [False, True], ids=["without scripts", "scripts loaded by another worker"])
async def test_a_plan_that_redis_lost_when_it_was_started_anew_is_saved_again(desk: Desk, redis: Redis, loaded: bool):
    await desk.call(PLAN, "reserve", "a", 5)
    # A crash that lost the last second leaves neither the scripts nor the plan, but a worker that believes it saved it.
    if loaded:
        others = {client["id"] for client in redis.client_list()} - {str(redis.client_id())}
        redis.client_kill_filter(_type="normal", skipme=True)
        while others & {client["id"] for client in redis.client_list()}:
            pass  # Redis closes what it kills after it has answered
        await asyncio.sleep(0.05)
    else:
        redis.script_flush()
    redis.delete(*[name for name in redis.scan_iter() if "{plan:" in str(name)])
    await desk.call(PLAN, "reserve", "b", 5)
    for name in ("a", "b"):
        assert await desk.another_worker().call(PLAN, "settle", name, 5) == "settled 5/0"


async def test_a_lost_plan_does_not_keep_the_sweep_from_the_others(desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("service.store.sweep._DUE_OF_AN_INDEX", 1)
    # In every index one that fails stands first.
    await asyncio.gather(*(desk.call(PLAN, "reserve", f"a {number}", 1) for number in range(300)))
    assert all(redis.zcard(index) for index in keys.all_open_indexes())
    redis.delete(*[name for name in redis.scan_iter() if "{plan:" in str(name)])
    other = plan_of(tokens("key", 9_999))
    await asyncio.gather(*(desk.call(other, "reserve", f"other {number}", 1) for number in range(50)))
    assert await desk.at(NOW + HOUR).another_worker().call(PLAN, "sweep") == "50 expired"


async def test_a_plan_lists_each_counter_once(desk: Desk):
    with pytest.raises(AssertionError, match="once"):
        await desk.call(plan_of(tokens("key", 5), tokens("key", 7)), "reserve", "a")


async def test_ids_of_any_characters(desk: Desk, redis: Redis):
    for request_id in ("a b", "ü/{}:*", "open", "%2F", '"\\', "\N{GRINNING FACE}" * 32, "x" * 128):
        assert await desk.call(PLAN, "reserve", request_id, 5) == "granted 5/0"
        assert await desk.another_worker().call(PLAN, "reserve", request_id, 5) == "replayed 5/0"
        assert await desk.call(PLAN, "renew", request_id, HOUR) == f"renewed until {HOUR}"
        assert await desk.call(PLAN, "settle", request_id, 5) == "settled 5/0"
    assert await desk.reservations.count_open() == 0
    assert [index for index in keys.all_open_indexes() if redis.exists(index)] == []


async def test_details_come_back_as_they_were(desk: Desk):
    first = await desk.outcome(PLAN, "reserve", "a", 5)
    assert isinstance(first, Granted)
    settled = await desk.outcome(PLAN, "settle", "a", 5)
    again = await desk.outcome(PLAN, "settle", "a", 5)
    assert isinstance(settled, Settled)
    assert settled.detail == again.detail == b'{"settled":"a"}'


async def test_a_large_sweep_comes_to_an_end(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("service.store.sweep._DUE_OF_AN_INDEX", 1)
    await asyncio.gather(*(desk.call(PLAN, "reserve", str(number), 1) for number in range(200)))
    assert await desk.at(NOW + HOUR).another_worker().call(PLAN, "sweep") == "200 expired"


def script_calls(redis: Redis) -> int:
    return int(redis.info("commandstats")["cmdstat_evalsha"]["calls"])


async def script_calls_of_a_sweep(desk: Desk, redis: Redis) -> int:
    before = script_calls(redis)
    await swept(desk.reservations)
    assert not any(redis.exists(index) for index in keys.all_open_indexes())
    return script_calls(redis) - before


async def test_reservations_of_one_plan_are_swept_together(desk: Desk, redis: Redis):
    await asyncio.gather(*(desk.call(PLAN, "reserve", str(number), 1) for number in range(128)))
    assert await script_calls_of_a_sweep(desk.at(NOW + HOUR), redis) == 2


@pytest.mark.parametrize("charges, by_another, calls", [(False, False, 1), (False, True, 2), (True, False, 2), (True, True, 3)])
async def test_a_sweep_asks_no_more_than_it_has_to(desk: Desk, redis: Redis, charges: bool, by_another: bool, calls: int):
    """First for the plans of those that others made, at last for what needs more of a plan than its owners."""
    plans = [plan_of(tokens(f"key {number}", 100)) for number in range(64)]
    create(redis, *plans)
    maker = desk.another_worker(charge_expired=charges)
    await asyncio.gather(*(maker.call(plan, "reserve", str(number), 10) for number, plan in enumerate(plans)))
    later = maker.at(NOW + HOUR)
    assert await script_calls_of_a_sweep(later.another_worker() if by_another else later, redis) == calls
    assert {await desk.counters(plan) for plan in plans} == {"10+0" if charges else "0+0"}


async def test_an_owner_is_read_once_for_all_that_had_run_out(desk: Desk, redis: Redis):
    for number in range(128):
        await desk.at(NOW + number * MINUTE).call(PLAN, "reserve", str(number), 1, 1, lease_ms=2 * HOUR)
    reservations = desk.at(NOW + 2 * HOUR + 64 * MINUTE).reservations
    before = redis.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"]
    expired = 0
    async for part in reservations.sweep(lambda: 8):
        expired += part.expired
        # With every part more runs out.
        reservations.store = replace(reservations.store, now_ms=str(int(reservations.store.now_ms) + MINUTE))
    assert expired == 64
    assert redis.info("commandstats")["cmdstat_hgetall"]["calls"] - before == len(PLAN.owners)


async def test_the_clock_of_redis_is_used_when_no_time_is_given(desk: Desk, redis: Redis, store: Store):
    live = Desk(Store(store.redis, store.scripts))
    live.reservations.store = Store(store.redis, store.scripts)
    seconds, _ = redis.time()
    granted = await live.outcome(PLAN, "reserve", "a", 1)
    assert abs(granted.now_ms - seconds * 1000) < MINUTE
    assert await live.reservations.count_open() == 1
    assert await swept(live.reservations) == 0


async def test_when_trying_again_helps_is_told_of_the_latest(desk: Desk):
    plan = plan_of(tokens("key", 10_000), requests("key", 1), budget("team", 10))
    await desk.call(plan, "settle unreserved", "a", 0, 10)
    refused = await desk.outcome(plan, "reserve", "b", 0, 5)
    assert isinstance(refused, Refused)
    assert (refused.violations, refused.retry_at_ms) == ((1, 2), NOW + DAY)


@pytest.mark.parametrize(
    "lease_ms, granule",
    [(1_000, 10), (2_500, 20), (60_000, 500), (600_000, 5_000), (HOUR, 20_000), (DAY, 500_000), (1, 1), (199, 1)],
)
def test_granules_are_round_and_small(lease_ms: int, granule: int):
    assert granule_ms(lease_ms) == granule
    assert granule == 1 or granule * 100 <= lease_ms
