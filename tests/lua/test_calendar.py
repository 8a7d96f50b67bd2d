"""Calendar windows end to the millisecond (UTC), at month ends, in leap years; nothing is lost or counted twice over them."""

from datetime import UTC, datetime

import pytest
from redis import Redis

from service.reservation import Granted, Refused
from service.windows import Window
from tests.store.plans import DAY, budget, create, plan_of, requests, tokens
from tests.store.quota_desk import Desk

LENGTHS = {"d": DAY, "w": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}

# The first moment of a period: what was reserved before it is settled in it.
BOUNDARIES = [
    ("d", "2024-02-29"),
    ("d", "2024-03-01"),
    ("d", "2023-03-01"),
    ("d", "2025-01-01"),
    ("w", "2024-01-01"),
    ("w", "2024-03-04"),
    ("w", "2027-01-04"),
    ("M", "2024-02-01"),
    ("M", "2024-03-01"),
    ("M", "2023-03-01"),
    ("M", "2100-03-01"),
    ("M", "2025-01-01"),
    ("M", "2026-05-01"),
    ("Y", "2025-01-01"),
    ("Y", "2024-01-01"),
    ("Y", "2101-01-01"),
]
NEXT = {"d": 1, "w": 7}


def ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def end_of(align: str, day: str) -> int:
    """When the period that begins with this day is over."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    match align:
        case "M":
            end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
        case "Y":
            end = begin.replace(year=begin.year + 1)
        case _:
            return ms(day) + NEXT[align] * DAY
    return int(end.timestamp() * 1000)


@pytest.mark.parametrize("align, day", BOUNDARIES)
async def test_over_the_end_of_a_period(desk: Desk, redis: Redis, align: str, day: str):
    window = Window(LENGTHS[align], align)
    plan = plan_of(tokens("key", 100, window), requests("key", 2, window), budget("team", 50, window))
    boundary = ms(day)
    create(redis, plan, now_ms=boundary - 1)

    desk.at(boundary - 1)
    assert await desk.call(plan, "reserve", "a", 60, 10) == "granted 60/10"
    assert await desk.call(plan, "settle unreserved", "b", 40, 40) == "settled 40/40"
    refused = await desk.outcome(plan, "reserve", "c", 1, 1)
    assert isinstance(refused, Refused)
    assert refused.retry_at_ms == boundary
    assert await desk.counters(plan) == "40+60 2+0 40+10"

    desk.at(boundary)
    assert await desk.counters(plan) == "0+60 0+0 0+10"
    granted = await desk.outcome(plan, "reserve", "c", 1, 1)
    assert isinstance(granted, Granted)
    assert {state.last_reset_ms for state in granted.states} == {boundary}
    assert await desk.call(plan, "settle", "a", 60, 10) == "settled 60/10"
    assert await desk.counters(plan) == "60+1 1+0 10+1"
    assert await desk.call(plan, "release", "c") == "released"
    assert await desk.counters(plan) == "60+0 0+0 10+0"

    end = end_of(align, day)
    assert await desk.at(end - 1).counters(plan) == "60+0 0+0 10+0"
    assert await desk.at(end).counters(plan) == "0+0 0+0 0+0"


@pytest.mark.parametrize("align, day", BOUNDARIES)
async def test_when_trying_again_helps_is_the_end_of_the_period(desk: Desk, redis: Redis, align: str, day: str):
    plan = plan_of(requests("key", 1, Window(LENGTHS[align], align)))
    create(redis, plan, now_ms=ms(day))
    await desk.at(ms(day)).call(plan, "reserve", "a")
    refused = await desk.outcome(plan, "reserve", "b")
    assert isinstance(refused, Refused)
    assert refused.retry_at_ms == end_of(align, day)
