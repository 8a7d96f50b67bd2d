"""lua/settle.lua: what is charged, what is given back, when, and once."""

from collections.abc import Sequence

import pytest
from redis import Redis

from service.reservation import Mode, Plan, Settled
from service.windows import Window
from tests.store.plans import DAY, HOUR, MINUTE, NOW, budget, create, plan_of, requests, tokens, usage_key
from tests.store.quota_desk import Desk, Row, check_rows
from tests.store.stored_counters import REMOVED, store_counter, stored_counters

MINUTELY = Window(MINUTE, "")
LIMITS = (tokens("key", 1000), requests("key", 9), budget("team", 100))

CHARGES: dict[str, tuple[Plan, Sequence[Row]]] = {
    "less than was held": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (5, ("settle", "a", 100, 7), "settled 100/7", "100+0 1+0 7+0"),
        ],
    ),
    "more than was held, in full": (
        plan_of(*LIMITS, mode=Mode.STRICT),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (5, ("settle", "a", 1001, 150), "settled 1001/150 over by 401/130", "1001+0 1+0 150+0"),
            (5, ("reserve", "b"), f"refused by 0,2, retry at {DAY}", "1001+0 1+0 150+0"),
        ],
    ),
    "more than clamp could hold": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 900), "granted 900/0", "0+900 1+0 0+0"),
            (0, ("reserve", "b", 900), "granted 100/0", "0+1000 2+0 0+0"),
            (5, ("settle", "b", 900), "settled 900/0 over by 800/0", "900+900 2+0 0+0"),
        ],
    ),
    "a failed request is taken back, its tokens and cost are not": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (5, ("settle failed", "a", 100, 7), "settled 100/7", "100+0 0+0 7+0"),
            (6, ("settle failed", "a", 100, 7), "settled again 100/7", "100+0 0+0 7+0"),
            (7, ("settle", "a", 200, 9), "settled again 100/7", "100+0 0+0 7+0"),
        ],
    ),
    "nothing": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (5, ("settle failed", "a"), "settled 0/0", "0+0 0+0 0+0"),
        ],
    ),
    "after a release, because it happened": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (1, ("release", "a"), "released", "0+0 0+0 0+0"),
            (2, ("settle", "a", 100, 7), "settled 100/7", "100+0 1+0 7+0"),
            (3, ("release", "a"), "conflict", "100+0 1+0 7+0"),
        ],
    ),
}

WINDOWS: dict[str, tuple[Plan, Sequence[Row]]] = {
    "into the window that is current then": (
        plan_of(tokens("key", 1000, MINUTELY), requests("key", 9, MINUTELY), budget("team", 100)),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (MINUTE, ("settle", "a", 100, 7), "settled 100/7", "100+0 0+0 7+0"),
            (2 * MINUTE - 1, ("explain", ""), "would be granted 0/0", "100+0 0+0 7+0"),
            (2 * MINUTE, ("explain", ""), "would be granted 0/0", "0+0 0+0 7+0"),
        ],
    ),
    "a failed request of an earlier window stays where it was": (
        plan_of(tokens("key", 1000, MINUTELY), requests("key", 9, MINUTELY), budget("team", 100)),
        [
            (0, ("reserve", "a"), "granted 0/0", "0+0 1+0 0+0"),
            (MINUTE, ("reserve", "b"), "granted 0/0", "0+0 1+0 0+0"),
            (MINUTE, ("settle failed", "a"), "settled 0/0", "0+0 1+0 0+0"),
            (MINUTE, ("settle failed", "b"), "settled 0/0", "0+0 0+0 0+0"),
        ],
    ),
    "nothing used begins no window": (
        plan_of(tokens("key", 1000, MINUTELY), requests("key", 9, MINUTELY), budget("team", 100, MINUTELY)),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (90_000, ("settle", "a", 0, 7), "settled 0/7", "0+0 0+0 7+0"),
            (100_000, ("settle unreserved", "b", 5, 0), "settled 5/0", "5+0 1+0 7+0"),
            (150_000, ("explain", ""), "would be granted 0/0", "5+0 1+0 0+0"),
            (160_000, ("explain", ""), "would be granted 0/0", "0+0 0+0 0+0"),
        ],
    ),
}

LATE: dict[str, tuple[Plan, Sequence[Row]]] = {
    "after the lease": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (10 * MINUTE, ("explain", ""), "would be granted 0/0", "0+0 1+0 0+0"),
            (10 * MINUTE, ("settle", "a", 700, 7), "settled 700/7 over by 100/0", "700+0 1+0 7+0"),
        ],
    ),
    "after others took what the lease gave back": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 1000, 20), "granted 1000/20", "0+1000 1+0 0+20"),
            (10 * MINUTE, ("reserve", "b", 1000, 20), "granted 1000/20", "0+1000 2+0 0+20"),
            (10 * MINUTE, ("settle", "a", 700, 7), "settled 700/7", "700+1000 2+0 7+20"),
            (10 * MINUTE, ("settle", "b", 700, 7), "settled 700/7", "1400+0 2+0 14+0"),
        ],
    ),
    "after a sweep": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (11 * MINUTE, ("sweep", ""), "1 expired", "0+0 1+0 0+0"),
            (12 * MINUTE, ("settle", "a", 700, 7), "settled 700/7 over by 100/0", "700+0 1+0 7+0"),
        ],
    ),
}

UNRESERVED: dict[str, tuple[Plan, Sequence[Row]]] = {
    "without a plan": (plan_of(*LIMITS), [(0, ("settle", "a", 100, 7), "unknown", "0+0 0+0 0+0")]),
    "as post-paid usage, once": (
        plan_of(*LIMITS, mode=Mode.STRICT),
        [
            (0, ("settle unreserved", "a", 1100, 7), "settled 1100/7", "1100+0 1+0 7+0"),
            (1, ("settle unreserved", "a", 1100, 7), "settled again 1100/7", "1100+0 1+0 7+0"),
            (1, ("settle", "a", 5, 5), "settled again 1100/7", "1100+0 1+0 7+0"),
            (2, ("reserve", "a", 1, 1), "conflict", "1100+0 1+0 7+0"),
            (2, ("release", "a"), "conflict", "1100+0 1+0 7+0"),
            (2, ("renew", "a", MINUTE), "unknown", "1100+0 1+0 7+0"),
        ],
    ),
    "failed": (
        plan_of(*LIMITS),
        [(0, ("settle unreserved failed", "a", 100, 7), "settled 100/7", "100+0 0+0 7+0")],
    ),
    "with a plan although it was reserved": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (1, ("settle unreserved", "a", 100, 7), "settled 100/7", "100+0 1+0 7+0"),
        ],
    ),
    "when the record is gone": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (1, ("settle", "a", 100, 7), "settled 100/7", "100+0 1+0 7+0"),
        ],
    ),
}

# What a lease that runs out charges, and what a late settlement makes of it.
CHARGED: dict[str, tuple[Plan, Sequence[Row]]] = {
    "the estimate, at that moment": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (10 * MINUTE - 1, ("explain", ""), "would be granted 0/0", "0+600 1+0 0+20"),
            (10 * MINUTE, ("explain", ""), "would be granted 0/0", "600+0 1+0 20+0"),
            (DAY, ("explain", ""), "would be granted 0/0", "0+0 0+0 0+0"),
        ],
    ),
    "settled late for less": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (HOUR, ("settle", "a", 500, 7), "settled 500/7", "500+0 1+0 7+0"),
        ],
    ),
    "settled late for more": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (11 * MINUTE, ("sweep", ""), "1 expired", "600+0 1+0 20+0"),
            (12 * MINUTE, ("settle", "a", 700, 20), "settled 700/20 over by 100/0", "700+0 1+0 20+0"),
        ],
    ),
    "settled in a later window: only what goes beyond": (
        plan_of(tokens("key", 1000, Window(5 * MINUTE, "")), requests("key", 9), budget("team", 100, Window(5 * MINUTE, ""))),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (10 * MINUTE, ("explain", ""), "would be granted 0/0", "600+0 1+0 20+0"),
            (15 * MINUTE, ("settle", "a", 700, 7), "settled 700/7 over by 100/0", "100+0 1+0 0+0"),
        ],
    ),
    "released late": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (11 * MINUTE, ("release", "a"), "released", "0+0 0+0 0+0"),
        ],
    ),
    "settled in time": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (5, ("settle", "a", 100, 7), "settled 100/7", "100+0 1+0 7+0"),
            (11 * MINUTE, ("sweep", ""), "0 expired", "100+0 1+0 7+0"),
        ],
    ),
    "a window that the charge began is waited for": (
        plan_of(tokens("key", 600, Window(5 * MINUTE, ""))),
        [
            (0, ("reserve", "a", 600), "granted 600/0", "0+600"),
            (0, ("reserve", "b", 1), f"refused by 0, retry at {15 * MINUTE}", "0+600"),
            (15 * MINUTE - 1, ("reserve", "b", 1), f"refused by 0, retry at {15 * MINUTE}", "600+0"),
            (15 * MINUTE, ("reserve", "b", 1), "granted 1/0", "0+1"),
        ],
    ),
}

TABLES = CHARGES | WINDOWS | LATE | UNRESERVED


@pytest.mark.parametrize("name", TABLES)
async def test_settlements(desk: Desk, redis: Redis, name: str):
    plan, rows = TABLES[name]
    create(redis, plan)
    await check_rows(desk, plan, rows)


@pytest.mark.parametrize("name", CHARGED)
async def test_leases_that_charge(desk: Desk, redis: Redis, name: str):
    plan, rows = CHARGED[name]
    create(redis, plan)
    await check_rows(desk.another_worker(charge_expired=True), plan, rows)


async def test_a_hold_keeps_the_fate_it_was_given(desk: Desk, redis: Redis):
    """Workers of either setting run side by side while it is changed."""
    plan = plan_of(tokens("key", 1000))
    create(redis, plan)
    charging = desk.another_worker(charge_expired=True)
    await desk.call(plan, "reserve", "back", 100)
    await charging.call(plan, "reserve", "charged", 10)
    await desk.at(NOW + HOUR).call(plan, "settle", "other", 1)
    assert await desk.counters(plan) == await charging.at(NOW + HOUR).counters(plan) == "10+0"


async def test_what_a_settlement_says(desk: Desk, redis: Redis):
    plan = plan_of(*LIMITS)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 600, 20)
    first = await desk.at(NOW + 5).outcome(plan, "settle", "a", 700, 7)
    assert isinstance(first, Settled)
    assert (first.now_ms, first.plan, first.detail) == (NOW + 5, plan, b'{"settled":"a"}')
    assert [tuple(state) for state in first.states] == [(700, NOW, 0), (1, NOW, 0), (7, NOW, 0)]
    await desk.call(plan, "reserve", "b", 600, 20)
    again = await desk.at(NOW + 9).another_worker().outcome(plan, "settle", "a", 1, 1)
    assert isinstance(again, Settled)
    assert (again.now_ms, again.plan, again.tokens, again.states, again.detail) == (
        NOW + 5,
        plan,
        700,
        first.states,
        first.detail,
    )


async def test_counters_that_are_gone_are_left_alone(desk: Desk, redis: Redis):
    plan = plan_of(*LIMITS)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 600, 20)
    store_counter(redis, usage_key("key"), 1, REMOVED)
    redis.delete(usage_key("team"))
    # The versions are not those of the plan, and there is no configuration to read: everything of it was deleted.
    assert await desk.call(plan, "settle", "a", 700, 7) == "settled 700/7 over by 100/0"
    assert stored_counters(redis, usage_key("key")).keys() == {2}
    assert not redis.exists(usage_key("team"))


async def test_a_full_counter_stays_exact(desk: Desk, redis: Redis):
    plan = plan_of(tokens("key", 10))
    create(redis, plan)
    for request_id in ("a", "b"):
        await desk.call(plan, "settle unreserved", request_id, 2**53 - 1)
    assert await desk.counters(plan) == f"{2**53 - 1}+0"


async def test_a_million_charges_of_a_hundred_nanodollars_are_exact(desk: Desk, redis: Redis):
    plan = plan_of(budget("key", 10**15))
    create(redis, plan, usage=10**15 - 3)
    for number in range(30):
        await desk.call(plan, "settle unreserved", str(number), 0, 100)
    assert await desk.counters(plan) == f"{10**15 + 2997}+0"
