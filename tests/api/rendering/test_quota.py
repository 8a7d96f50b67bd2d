"""What a quota answer keeps of the one before: never longer than it is true."""

import random
from dataclasses import replace

import pytest

from service.api.at_once import JSON, header_lines
from service.api.headers import policy_lines
from service.api.rendering.quota import QuotaView
from service.entities import Counter, Counters, VirtualKey
from service.quota.decision import read_counters
from service.quota.plan import own_limits
from tests.api.rendering.entities import BARE_KEY, COUNTERS, FULL_KEY, NOW, a_budget, a_rate_limit

MINUTE = 60_000
ROLLING_KEY = replace(BARE_KEY, budgets=(a_budget(1), a_budget(2, "1M")), rate_limit=a_rate_limit(3))
CALENDAR_KEY = replace(BARE_KEY, budgets=(a_budget(1), a_budget(2, "1M")), calendar_aligned=True)


def told_anew(key: VirtualKey, counters: Counters, now_ms: int) -> tuple[bytes, bytes]:
    """By a view that has seen nothing before; its headers are of the moment, not kept."""
    limits = own_limits(key)
    lines = header_lines([JSON]) + policy_lines(limits).fill_with(read_counters(limits, counters, now_ms), now_ms)
    return QuotaView(key).show(counters, now_ms), lines


def told(view: QuotaView, counters: Counters, now_ms: int) -> tuple[bytes, bytes]:
    return view.show(counters, now_ms), view.header_lines(counters, now_ms)


@pytest.mark.parametrize("key", [BARE_KEY, FULL_KEY, ROLLING_KEY, CALENDAR_KEY])
def test_what_is_told_again_is_what_would_be_told_anew(key: VirtualKey):
    """Over the ends of windows, in steps of a millisecond and of days, and now and then back."""
    chance = random.Random(7)
    view, counters, now_ms = QuotaView(key), COUNTERS, NOW
    for _ in range(5_000):
        now_ms += chance.choice((0, 1, 1, 7, 400, 999, 1000, 1001, MINUTE, 40 * MINUTE, 25 * 60 * MINUTE, -1500))
        if chance.random() < 0.05:
            slot = chance.choice([*counters])
            counters = {
                **counters,
                slot: Counter(chance.randrange(10**9), now_ms - chance.randrange(MINUTE), chance.randrange(5)),
            }
        assert told(view, counters, now_ms) == told_anew(key, counters, now_ms)


def test_it_is_told_again_as_long_as_nothing_changes():
    view = QuotaView(FULL_KEY)
    once = view.show(COUNTERS, NOW)
    body, lines = told(view, COUNTERS, NOW)
    assert body == once
    assert view.show(COUNTERS, NOW + 999) is body
    assert view.header_lines(COUNTERS, NOW + 900) is lines
    assert view.header_lines(COUNTERS, NOW + 1000) != lines


def test_a_calendar_window_that_is_over_says_the_same_until_the_next_one():
    view, over = QuotaView(CALENDAR_KEY), NOW + 400 * 24 * 60 * MINUTE
    once, body = view.show(COUNTERS, over), view.show(COUNTERS, over)
    assert body == once
    assert view.show(COUNTERS, over + 999) is body
    assert b'"current_usage":0.0' in body
