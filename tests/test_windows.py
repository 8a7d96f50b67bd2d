"""Windows: when they began, when they are over, when the next one begins."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.entities import Counter
from service.windows import CarryOver, Window, current, initial_reset_ms, next_reset_ms, period_start_ms, window_of
from tests.carry_over import carry_over

HOUR, DAY = 3_600_000, 86_400_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


instants = st.integers(ms("1970-01-05"), ms("2400-01-01"))
alignments = st.sampled_from("dwMY")
windows = st.one_of(st.builds(Window, st.integers(1, 400 * DAY), st.just("")), st.builds(Window, st.just(DAY), alignments))

PERIOD_STARTS = [
    ("d", "2026-01-01T00:00:00.000", "2026-01-01"),
    ("d", "2026-01-01T23:59:59.999", "2026-01-01"),
    ("d", "2024-02-29T12:00:00.000", "2024-02-29"),
    ("d", "2024-03-01T00:00:00.001", "2024-03-01"),
    ("w", "2026-01-05T00:00:00.000", "2026-01-05"),
    ("w", "2026-01-11T23:59:59.999", "2026-01-05"),
    ("w", "2026-01-12T00:00:00.000", "2026-01-12"),
    ("w", "2026-01-01T10:00:00.000", "2025-12-29"),
    ("w", "2024-03-01T10:00:00.000", "2024-02-26"),
    ("M", "2026-01-31T23:59:59.999", "2026-01-01"),
    ("M", "2026-02-01T00:00:00.000", "2026-02-01"),
    ("M", "2024-02-29T23:59:59.999", "2024-02-01"),
    ("M", "2024-03-01T00:00:00.000", "2024-03-01"),
    ("M", "2023-02-28T23:59:59.999", "2023-02-01"),
    ("M", "2100-02-28T23:59:59.999", "2100-02-01"),
    ("M", "2100-03-01T00:00:00.000", "2100-03-01"),
    ("M", "2000-02-29T00:00:00.000", "2000-02-01"),
    ("M", "2026-12-31T23:59:59.999", "2026-12-01"),
    ("Y", "2026-12-31T23:59:59.999", "2026-01-01"),
    ("Y", "2027-01-01T00:00:00.000", "2027-01-01"),
    ("Y", "2024-12-31T00:00:00.000", "2024-01-01"),
    ("Y", "1970-01-01T00:00:00.000", "1970-01-01"),
]


@pytest.mark.parametrize(("align", "now", "start"), PERIOD_STARTS)
def test_period_start(align: str, now: str, start: str) -> None:
    assert period_start_ms(align, ms(now)) == ms(start)


NEXT_RESETS = [
    ("1h", False, "2026-01-31T23:30:00", "2026-02-01T00:30:00"),
    ("1M", False, "2026-01-31T00:00:00", "2026-03-02T00:00:00"),
    ("1Y", False, "2024-01-01T00:00:00", "2024-12-31T00:00:00"),
    ("1d", True, "2024-02-28T05:00:00", "2024-02-29T00:00:00"),
    ("7d", True, "2026-01-05T05:00:00", "2026-01-06T00:00:00"),
    ("daily", True, "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
    ("1w", True, "2025-12-31T05:00:00", "2026-01-05T00:00:00"),
    ("1w", True, "2026-01-05T00:00:00", "2026-01-12T00:00:00"),
    ("1M", True, "2024-01-31T05:00:00", "2024-02-01T00:00:00"),
    ("1M", True, "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
    ("3M", True, "2026-12-01T00:00:00", "2027-01-01T00:00:00"),
    ("monthly", True, "2026-11-30T00:00:00", "2026-12-01T00:00:00"),
    ("1Y", True, "2024-12-31T23:59:59", "2025-01-01T00:00:00"),
    ("1h", True, "2026-01-31T23:30:00", "2026-02-01T00:30:00"),
]


@pytest.mark.parametrize(("reset_duration", "aligned", "last_reset", "reset"), NEXT_RESETS)
def test_next_reset(reset_duration: str, aligned: bool, last_reset: str, reset: str) -> None:
    assert next_reset_ms(window_of(reset_duration, aligned), ms(last_reset)) == ms(reset)


WINDOWS = [
    ("1d", False, Window(DAY, "")),
    ("1d", True, Window(DAY, "d")),
    ("2w", True, Window(14 * DAY, "w")),
    ("Monthly", True, Window(30 * DAY, "M")),
    ("yearly", True, Window(365 * DAY, "Y")),
    ("1h", True, Window(HOUR, "")),
    ("24h", True, Window(DAY, "")),
]


@pytest.mark.parametrize(("reset_duration", "aligned", "window"), WINDOWS)
def test_window_of(reset_duration: str, aligned: bool, window: Window) -> None:
    assert window_of(reset_duration, aligned) == window


@pytest.mark.parametrize("reset_duration", [None, "", "gibberish", "0s"])
@pytest.mark.parametrize("aligned", [True, False])
def test_a_window_without_readable_duration_never_ends(reset_duration: str | None, aligned: bool) -> None:
    counter = Counter(usage=5, last_reset_ms=ms("1970-01-01"))
    assert current(counter, window_of(reset_duration, aligned), ms("2200-01-01")) == counter


@pytest.mark.parametrize("align", ["", "h", "Q"])
def test_no_such_period(align: str) -> None:
    with pytest.raises(ValueError, match="no calendar period"):
        period_start_ms(align, 0)
    if align:
        with pytest.raises(ValueError, match="no calendar period"):
            next_reset_ms(Window(DAY, align), 0)


HOURLY, MONTHLY = Window(HOUR, ""), Window(30 * DAY, "M")
JAN_31, FEB_1 = ms("2026-01-31T23:59:59.999"), ms("2026-02-01")

READ_AT = [
    # window, last_reset, now, is over, last_reset after
    (HOURLY, FEB_1, FEB_1, False, FEB_1),
    (HOURLY, FEB_1, FEB_1 + HOUR - 1, False, FEB_1),
    (HOURLY, FEB_1, FEB_1 + HOUR, True, FEB_1 + HOUR),
    (HOURLY, FEB_1, FEB_1 + 5 * HOUR + 7, True, FEB_1 + 5 * HOUR + 7),
    (HOURLY, FEB_1, FEB_1 - HOUR, False, FEB_1),
    (MONTHLY, ms("2026-01-01"), JAN_31, False, ms("2026-01-01")),
    (MONTHLY, ms("2026-01-01"), FEB_1, True, FEB_1),
    (MONTHLY, JAN_31, FEB_1, True, FEB_1),
    (MONTHLY, FEB_1, ms("2026-02-28T23:59:59"), False, FEB_1),
    (MONTHLY, FEB_1, JAN_31, False, FEB_1),
]


@pytest.mark.parametrize(("window", "last_reset", "now", "over", "last_reset_after"), READ_AT)
def test_current(window: Window, last_reset: int, now: int, over: bool, last_reset_after: int) -> None:
    counter = Counter(usage=7, last_reset_ms=last_reset, held=3)
    assert current(counter, window, now) == Counter(usage=0 if over else 7, last_reset_ms=last_reset_after, held=3)


DAILY = Window(DAY, "d")
NOON = ms("2026-01-31T12:00:00")

CARRIED_OVER = [
    # window so far, new window (None: as it falls), last_reset, usage and last_reset afterwards
    (HOURLY, None, NOON - HOUR + 1, 7, NOON - HOUR + 1),
    (HOURLY, None, NOON - HOUR, 0, NOON),
    (HOURLY, MONTHLY, NOON - HOUR, 0, NOON),  # forgotten: not counted again in the longer window
    (HOURLY, MONTHLY, NOON - HOUR + 1, 7, NOON - HOUR + 1),
    (MONTHLY, HOURLY, ms("2026-01-01"), 7, NOON),  # kept in the shorter window, which begins now
    (MONTHLY, HOURLY, NOON - HOUR + 1, 7, NOON - HOUR + 1),
    (MONTHLY, HOURLY, ms("2025-12-31"), 0, NOON),
    (MONTHLY, DAILY, ms("2026-01-01"), 7, ms("2026-01-31")),
    (DAILY, MONTHLY, ms("2026-01-31"), 7, ms("2026-01-31")),
    (DAILY, MONTHLY, ms("2026-01-30"), 0, ms("2026-01-31")),
]


@pytest.mark.parametrize(("was", "into", "last_reset", "usage", "last_reset_after"), CARRIED_OVER)
def test_carry_over(was: Window, into: Window | None, last_reset: int, usage: int, last_reset_after: int) -> None:
    edit = CarryOver(usage=None, last_reset_ms=None, was=was, into=into)
    assert carry_over(Counter(7, last_reset, held=3), edit, NOON) == Counter(usage, last_reset_after, held=3)


@given(windows, windows, instants, instants)
def test_a_counter_carried_over_reads_as_before(was: Window, into: Window, last_reset_ms: int, now_ms: int) -> None:
    counter = Counter(usage=7, last_reset_ms=last_reset_ms)
    carried = carry_over(counter, CarryOver(None, None, was, into), now_ms)
    assert current(carried, into, now_ms).usage == current(counter, was, now_ms).usage


@given(instants)
def test_days_begin_at_midnight(now_ms: int) -> None:
    start = datetime.fromtimestamp(period_start_ms("d", now_ms) / 1000, UTC)
    assert (start.date(), start.hour, start.minute, start.second, start.microsecond) == (_day(now_ms).date(), 0, 0, 0, 0)


@given(instants)
def test_weeks_begin_on_the_last_monday(now_ms: int) -> None:
    start = datetime.fromtimestamp(period_start_ms("w", now_ms) / 1000, UTC)
    assert start.date() == (_day(now_ms) - timedelta(days=_day(now_ms).weekday())).date()
    assert (start.weekday(), start.hour) == (0, 0)


@given(instants)
def test_months_and_years_begin_on_their_first_day(now_ms: int) -> None:
    day = _day(now_ms)
    assert period_start_ms("M", now_ms) == ms(f"{day.year}-{day.month:02}-01")
    assert period_start_ms("Y", now_ms) == ms(f"{day.year}-01-01")


@given(alignments, instants)
def test_a_period_ends_where_the_next_begins(align: str, now_ms: int) -> None:
    start = period_start_ms(align, now_ms)
    end = next_reset_ms(Window(DAY, align), now_ms)
    assert start <= now_ms < end
    assert period_start_ms(align, end) == end
    assert period_start_ms(align, end - 1) == start


@given(windows, instants, instants)
def test_a_window_is_over_exactly_from_its_next_reset_on(window: Window, last_reset_ms: int, now_ms: int) -> None:
    counter = Counter(usage=1, last_reset_ms=last_reset_ms)
    assert (current(counter, window, now_ms).usage == 0) == (now_ms >= next_reset_ms(window, last_reset_ms))


@given(windows, instants, instants)
def test_reading_twice_changes_nothing_more(window: Window, last_reset_ms: int, now_ms: int) -> None:
    once = current(Counter(usage=1, last_reset_ms=last_reset_ms), window, now_ms)
    assert current(once, window, now_ms) == once


@given(windows, instants)
def test_a_new_window_is_not_over(window: Window, now_ms: int) -> None:
    counter = Counter(usage=1, last_reset_ms=initial_reset_ms(window, now_ms))
    assert current(counter, window, now_ms) == counter


def _day(at_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
