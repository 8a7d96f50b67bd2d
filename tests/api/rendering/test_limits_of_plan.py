"""What is kept of the answers before: templates, in the windows and in the order that were told last."""

import random
from dataclasses import replace
from typing import Any

import orjson

from service.api.rendering.enforcement import limit_body
from service.api.rendering.limits_of_plan import LimitsOfPlan
from service.money import NANOUSD_PER_DOLLAR
from service.quota.decision import read_limits
from service.reservation import LimitKind, LimitStates, Plan, PlannedLimit
from service.windows import window_of
from tests.api.conftest import NOW_MS
from tests.store.plans import plan_of

MINUTE = 60_000


def a_limit(slot: int, kind: LimitKind, limit: int | None) -> PlannedLimit:
    return PlannedLimit(
        scope="team",
        owner_id='100 % "%s"',
        limit_id=str(slot),
        kind=kind,
        limit=limit,
        reset_duration="1m",
        window=window_of("1m", False),
        owner=0,
        slot=slot,
    )


LIMITS = [
    a_limit(1, LimitKind.TOKENS, 1000),
    a_limit(2, LimitKind.REQUESTS, None),
    a_limit(3, LimitKind.BUDGET, 3 * NANOUSD_PER_DOLLAR),
    a_limit(4, LimitKind.BUDGET, 7),
    a_limit(5, LimitKind.REQUESTS, 1),
]


def a_plan(*places: int) -> Plan:
    return replace(plan_of(), limits=tuple(LIMITS[place] for place in places))


PLANS = [a_plan(), a_plan(0), a_plan(1), a_plan(2), a_plan(0, 1, 2), a_plan(2, 3, 0, 4), a_plan(4, 3, 2, 1, 0)]


def told_anew(plan: Plan, states: LimitStates) -> list[dict[str, Any]]:
    readings = sorted(read_limits(plan, states), key=lambda reading: reading.remaining / reading.limit)
    return [limit_body(reading) for reading in readings]


def test_what_is_filled_in_is_what_would_be_written_anew():
    """Plans share limits; each may be told of windows that others have not seen yet, and of limits that are gone."""
    chance = random.Random(7)
    known = [(plan, LimitsOfPlan(plan)) for plan in PLANS]
    for _ in range(5_000):
        plan, limits = chance.choice(known)
        numbers: list[int] = []
        for planned in plan.limits:
            most = planned.limit or 10
            numbers += (chance.choice((0, 1, most // 2, most, 2 * most)), chance.choice((-1, NOW_MS, NOW_MS, NOW_MS + MINUTE)))
            numbers.append(chance.choice((0, 0, most // 3)))
        states = LimitStates(tuple(numbers))
        assert limits.body(states) == orjson.dumps(told_anew(plan, states))
        assert limits.tell(states, NOW_MS).body == limits.body(states)
        assert limits.tell(states, NOW_MS).headers == limits.headers(states, NOW_MS)
