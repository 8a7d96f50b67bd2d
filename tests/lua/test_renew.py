"""lua/renew.lua: leases get longer, never shorter, and only while they run."""

from collections.abc import Sequence

import pytest
from redis import Redis

from service.reservation import Plan
from service.store import keys
from tests.store.plans import MINUTE, NOW, budget, create, plan_of, requests, tokens
from tests.store.quota_desk import RETENTION_MS, Desk, Row, check_rows

LIMITS = (tokens("key", 1000), requests("key", 9), budget("team", 100))

TABLES: dict[str, tuple[Plan, Sequence[Row]]] = {
    "from now on": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (5 * MINUTE, ("renew", "a", 10 * MINUTE), f"renewed until {15 * MINUTE}", "0+600 1+0 0+20"),
            (15 * MINUTE - 1, ("explain", ""), "would be granted 0/0", "0+600 1+0 0+20"),
            (15 * MINUTE - 1, ("renew", "a", MINUTE), f"renewed until {16 * MINUTE}", "0+600 1+0 0+20"),
            (16 * MINUTE, ("explain", ""), "would be granted 0/0", "0+0 1+0 0+0"),
        ],
    ),
    "never shorter": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (1, ("renew", "a", MINUTE), f"renewed until {10 * MINUTE}", "0+600 1+0 0+20"),
        ],
    ),
    "alone, not what others hold until the same time": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (0, ("reserve", "b", 100, 10), "granted 100/10", "0+700 2+0 0+30"),
            (MINUTE, ("renew", "a", 10 * MINUTE), f"renewed until {11 * MINUTE}", "0+700 2+0 0+30"),
            (10 * MINUTE, ("explain", ""), "would be granted 0/0", "0+600 2+0 0+20"),
            (11 * MINUTE, ("explain", ""), "would be granted 0/0", "0+0 2+0 0+0"),
        ],
    ),
    "not once it ran out": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (10 * MINUTE, ("renew", "a", 10 * MINUTE), "unknown", "0+0 1+0 0+0"),
        ],
    ),
    "not once it is settled or released, nor what never was": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a"), "granted 0/0", "0+0 1+0 0+0"),
            (0, ("reserve", "b"), "granted 0/0", "0+0 2+0 0+0"),
            (0, ("settle", "a"), "settled 0/0", "0+0 2+0 0+0"),
            (0, ("release", "b"), "released", "0+0 1+0 0+0"),
            (1, ("renew", "a", MINUTE), "unknown", "0+0 1+0 0+0"),
            (1, ("renew", "b", MINUTE), "unknown", "0+0 1+0 0+0"),
            (1, ("renew", "c", MINUTE), "unknown", "0+0 1+0 0+0"),
        ],
    ),
    "and are settled as ever": (
        plan_of(*LIMITS),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (MINUTE, ("renew", "a", 10 * MINUTE), f"renewed until {11 * MINUTE}", "0+600 1+0 0+20"),
            (10 * MINUTE, ("settle", "a", 50, 5), "settled 50/5", "50+0 1+0 5+0"),
            (10 * MINUTE, ("reserve", "a", 600, 20), "replayed 600/20", "50+0 1+0 5+0"),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLES)
async def test_renewals(desk: Desk, redis: Redis, name: str):
    plan, rows = TABLES[name]
    create(redis, plan)
    await check_rows(desk, plan, rows)


async def test_the_record_lives_as_long_as_the_lease_and_its_retention(desk: Desk, redis: Redis):
    plan = plan_of(*LIMITS)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 600, 20)
    await desk.at(NOW + MINUTE).call(plan, "renew", "a", 60 * MINUTE)
    assert 60 * MINUTE + RETENTION_MS - 5_000 < redis.pttl(keys.reservation("a")) <= 60 * MINUTE + RETENTION_MS
