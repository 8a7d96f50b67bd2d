"""lua/explain.lua: the same decision as reserve's, and not a trace of it."""

from collections.abc import Sequence

import pytest
from redis import Redis

from service.reservation import Explained, Granted, Mode, Plan
from tests.store.plans import DAY, MINUTE, NOW, budget, create, plan_of, requests, tokens
from tests.store.quota_desk import Desk, Row, check_rows

GATE = (requests("provider", 1), tokens("key", 10), requests("key", 2), budget("team", 5))

TABLES: dict[str, tuple[Plan, Sequence[Row]]] = {
    "admitted": (plan_of(*GATE), [(0, ("explain", "", 20, 9), "would be granted 10/5", "0+0 0+0 0+0 0+0")]),
    "refused, with everything that would refuse": (
        plan_of(*GATE, gate=1, mode=Mode.STRICT),
        [
            (0, ("explain", "", 20, 5), "would be refused by 1 over 1", "0+0 0+0 0+0 0+0"),
            (0, ("reserve", "a", 10, 5), "granted 10/5", "1+0 0+10 1+0 0+5"),
            (0, ("explain", "", 1, 1), f"would be refused by 0, retry at {DAY} over 0,1,3", "1+0 0+10 1+0 0+5"),
        ],
    ),
    "blocked": (
        plan_of(*GATE, gate=1, blocked=True),
        [
            (0, ("settle unreserved", "a", 10, 5), "settled 10/5", "1+0 10+0 1+0 5+0"),
            (0, ("explain", "", 1, 1), "would be refused by 0 over 0,1,3", "1+0 10+0 1+0 5+0"),
        ],
    ),
    "expired": (
        plan_of(*GATE, gate=1, expires_at_ms=NOW + MINUTE),
        [(MINUTE, ("explain", "", 11, 6), "would be expired", "0+0 0+0 0+0 0+0")],
    ),
}


@pytest.mark.parametrize("name", TABLES)
async def test_explanations(desk: Desk, redis: Redis, name: str):
    plan, rows = TABLES[name]
    create(redis, plan)
    await check_rows(desk, plan, rows)


async def test_an_explanation_of_an_admission_says_what_it_would_take(desk: Desk, redis: Redis):
    plan = plan_of(*GATE)
    create(redis, plan)
    explained = await desk.outcome(plan, "explain", "", 20, 1)
    assert isinstance(explained, Explained)
    assert isinstance(explained.outcome, Granted)
    assert (explained.outcome.reserved_tokens, explained.outcome.reserved_nanousd) == (10, 1)
    assert [(state.usage, state.held) for state in explained.states] == [(0, 0)] * 4
    assert explained.outcome.expires_at_ms == explained.now_ms == NOW


async def test_a_plan_of_another_configuration_is_stale(desk: Desk, redis: Redis):
    create(redis, plan_of(*GATE))
    assert await desk.call(plan_of(*GATE, versions={"key": 2}), "explain") == "stale"
