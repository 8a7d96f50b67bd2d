"""Budgets and rate limits as bodies: which members are there, and what a window that is over shows."""

import orjson
import pytest

from service.api.rendering import limits
from service.api.rendering.times import timestamp
from service.entities import Counter, RateLimit
from service.models import budgets as budget_models
from service.models import rate_limits as rate_limit_models
from tests.api.rendering.entities import CREATED, NOW, RECORD, TIMES, a_budget, a_rate_limit, fits

TIMESTAMPS = [
    (0, "1970-01-01T00:00:00.000Z"),
    (1, "1970-01-01T00:00:00.001Z"),
    (NOW, "2026-01-02T12:00:00.005Z"),
    (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
]


@pytest.mark.parametrize("at_ms, text", TIMESTAMPS)
def test_timestamps(at_ms: int, text: str):
    assert timestamp(at_ms) == text


WINDOWS = [
    # duration, own flag, owner's flag, last reset; shown: aligned, usage, last reset, next reset
    ("1d", False, False, NOW - 1_000, False, 2.5, "2026-01-02T11:59:59.005Z", "2026-01-03T11:59:59.005Z"),
    ("1d", False, False, NOW - 86_400_000, False, 0, "2026-01-02T12:00:00.005Z", "2026-01-03T12:00:00.005Z"),
    ("1d", True, False, NOW - 1_000, True, 2.5, "2026-01-02T11:59:59.005Z", "2026-01-03T00:00:00.000Z"),
    ("1d", False, True, CREATED, True, 0, "2026-01-02T00:00:00.000Z", "2026-01-03T00:00:00.000Z"),
    ("3M", True, True, CREATED, True, 2.5, "2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z"),
    ("weekly", True, False, CREATED - 4 * 86_400_000, True, 0, "2025-12-29T00:00:00.000Z", "2026-01-05T00:00:00.000Z"),
    ("1h", False, True, NOW - 1_000, False, 2.5, "2026-01-02T11:59:59.005Z", "2026-01-02T12:59:59.005Z"),
]


@pytest.mark.parametrize("duration, own, owners, last_reset_ms, aligned, usage, last_reset, next_reset", WINDOWS)
def test_budget_windows(
    duration: str, own: bool, owners: bool, last_reset_ms: int, aligned: bool, usage: float, last_reset: str, next_reset: str
):
    counters = {1: Counter(2_500_000_000, last_reset_ms, 500_000_000)}
    shown = limits.budget_body(a_budget(1, duration, own), counters, NOW, aligned=owners, owner={"team_id": "t"})
    assert fits(budget_models.Budget, shown) == {
        "id": "b1",
        "max_limit": 10.5,
        "reset_duration": duration,
        "calendar_aligned": aligned,
        "last_reset": last_reset,
        "current_usage": usage,
        "reserved": 0.5,
        "remaining": 10 - usage,
        "next_reset_at": next_reset,
        "team_id": "t",
        **RECORD,
    }


def test_a_budget_that_is_overspent_has_nothing_left():
    shown = limits.budget_body(a_budget(), {1: Counter(11 * 10**9, NOW, 1)}, NOW, aligned=False, owner={})
    assert (shown["current_usage"], shown["remaining"]) == (11, 0)


def test_money_is_exact():
    shown = limits.budget_body(a_budget(), {1: Counter(100_000_001, NOW, 0)}, NOW, aligned=False, owner={})
    assert orjson.dumps(shown["current_usage"]) == b"0.100000001"


def test_token_and_request_windows_are_apart():
    counters = {3: Counter(70, NOW - 60_000, 30), 4: Counter(7, NOW - 60_000)}
    assert fits(rate_limit_models.RateLimit, limits.rate_limit_body(a_rate_limit(), counters, NOW, aligned=False)) == {
        "id": "r3",
        "token_max_limit": 1000,
        "token_reset_duration": "1h",
        "token_current_usage": 70,
        "token_reserved": 30,
        "token_last_reset": "2026-01-02T11:59:00.005Z",
        "token_next_reset_at": "2026-01-02T12:59:00.005Z",
        "request_max_limit": 10,
        "request_reset_duration": "1m",
        "request_current_usage": 0,
        "request_last_reset": "2026-01-02T12:00:00.005Z",
        "request_next_reset_at": "2026-01-02T12:01:00.005Z",
        **RECORD,
    }


def test_a_rate_limit_without_limits():
    bare = RateLimit(
        id="r",
        token_slot=3,
        request_slot=4,
        token_max_limit=None,
        token_reset_duration="1d",
        request_max_limit=None,
        request_reset_duration=None,
        **TIMES,
    )
    counters = {3: Counter(5, CREATED), 4: Counter(6, CREATED)}
    assert fits(rate_limit_models.RateLimit, limits.rate_limit_body(bare, counters, NOW, aligned=True)) == {
        "id": "r",
        "token_reset_duration": "1d",
        "token_current_usage": 0,
        "token_reserved": 0,
        "token_last_reset": "2026-01-02T00:00:00.000Z",
        "token_next_reset_at": "2026-01-03T00:00:00.000Z",
        "request_current_usage": 6,
        "request_last_reset": "2026-01-01T00:00:00.000Z",
        **RECORD,
    }
