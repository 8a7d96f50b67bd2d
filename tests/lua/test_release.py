"""lua/release.lua: everything goes back, once, as far as it is still there."""

from collections.abc import Sequence

import pytest
from redis import Redis

from service.entities import Counter
from service.reservation import Plan
from service.windows import Window
from tests.store.plans import MINUTE, NOW, budget, create, plan_of, requests, tokens, usage_key
from tests.store.quota_desk import Desk, Row, check_rows
from tests.store.stored_counters import store_counter

MINUTELY = Window(MINUTE, "")
LIMITS = (tokens("key", 1000), requests("key", 9), budget("team", 100))

TABLES: dict[str, tuple[Plan, Sequence[Row]]] = {
    "everything, once": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (0, ("reserve", "b", 100, 10), "granted 100/10", "0+700 2+0 0+30"),
            (1, ("release", "a"), "released", "0+100 1+0 0+10"),
            (2, ("release", "a"), "released", "0+100 1+0 0+10"),
        ],
    ),
    "nothing": (plan_of(*LIMITS), [(0, ("release", "a"), "nothing to release", "0+0 0+0 0+0")]),
    "not what was settled": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (1, ("settle", "a", 50, 5), "settled 50/5", "50+0 1+0 5+0"),
            (1, ("release", "a"), "conflict", "50+0 1+0 5+0"),
        ],
    ),
    "a request whose window is over stays where it was": (
        plan_of(tokens("key", 1000, MINUTELY), requests("key", 9, MINUTELY)),
        [
            (0, ("reserve", "a", 600), "granted 600/0", "0+600 1+0"),
            (MINUTE, ("release", "a"), "released", "0+0 0+0"),
            (MINUTE, ("reserve", "b", 600), "granted 600/0", "0+600 1+0"),
            (MINUTE, ("reserve", "c", 600), "granted 400/0", "0+1000 2+0"),
            (MINUTE, ("release", "b"), "released", "0+400 1+0"),
        ],
    ),
    "the request of a lease that ran out": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (10 * MINUTE, ("explain", ""), "would be granted 0/0", "0+0 1+0 0+0"),
            (10 * MINUTE, ("release", "a"), "released", "0+0 0+0 0+0"),
        ],
    ),
    "a release does not begin a window": (
        plan_of(tokens("key", 1000, MINUTELY), requests("key", 9, MINUTELY)),
        [
            (0, ("reserve", "a", 600), "granted 600/0", "0+600 1+0"),
            (90_000, ("release", "a"), "released", "0+0 0+0"),
            (100_000, ("reserve", "b"), "granted 0/0", "0+0 1+0"),
            (159_999, ("explain", ""), "would be granted 0/0", "0+0 1+0"),
            (160_000, ("explain", ""), "would be granted 0/0", "0+0 0+0"),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLES)
async def test_releases(desk: Desk, redis: Redis, name: str):
    plan, rows = TABLES[name]
    create(redis, plan)
    await check_rows(desk, plan, rows)


async def test_a_request_goes_back_only_where_it_was_counted(desk: Desk, redis: Redis):
    """An admin has begun another window meanwhile, earlier than the request; others are counted there."""
    plan = plan_of(*LIMITS)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 600, 20)
    store_counter(redis, usage_key("key"), 2, Counter(0, NOW - MINUTE))
    await desk.call(plan, "reserve", "b", 0, 0)
    assert await desk.call(plan, "release", "a") == "released"
    assert await desk.counters(plan) == "0+0 1+0 0+0"


async def test_usage_that_an_admin_reset_meanwhile_does_not_fall_below_zero(desk: Desk, redis: Redis):
    plan = plan_of(*LIMITS)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 600, 20)
    store_counter(redis, usage_key("key"), 2, Counter(0, NOW))
    assert await desk.call(plan, "release", "a") == "released"
    assert await desk.counters(plan) == "0+0 0+0 0+0"
