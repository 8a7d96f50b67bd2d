"""Every form of duration a client may send, and every form refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import durations
from service.durations import LONGEST_MS, Duration, parse_duration

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000

ACCEPTED = [
    # clock durations
    ("1ns", 1, ""),
    ("1us", 1, ""),
    ("1\u00b5s", 1, ""),
    ("1\u03bcs", 1, ""),
    ("1ms", 1, ""),
    ("1001us", 2, ""),
    ("0.4ms", 1, ""),
    ("1.5ms", 2, ""),
    ("1s", SECOND, ""),
    ("90s", 90 * SECOND, ""),
    ("1m", MINUTE, ""),
    ("30m", 30 * MINUTE, ""),
    ("1h", HOUR, ""),
    ("24h", 24 * HOUR, ""),
    ("1h30m", 90 * MINUTE, ""),
    ("30m1h", 90 * MINUTE, ""),
    ("1h1h", 2 * HOUR, ""),
    ("1h0m0s", HOUR, ""),
    ("1.5h", 90 * MINUTE, ""),
    (".5h", 30 * MINUTE, ""),
    ("1.h", HOUR, ""),
    ("+1h", HOUR, ""),
    ("0h1s", SECOND, ""),
    ("1h2m3s4ms5us6ns", HOUR + 2 * MINUTE + 3 * SECOND + 5, ""),
    ("2562047h47m16.854775807s", LONGEST_MS + 1, ""),
    # long units
    ("1d", DAY, "d"),
    ("7d", 7 * DAY, "d"),
    ("0.5d", 12 * HOUR, "d"),
    ("1.5d", 36 * HOUR, "d"),
    (".25d", 6 * HOUR, "d"),
    ("+1d", DAY, "d"),
    ("01d", DAY, "d"),
    ("1w", 7 * DAY, "w"),
    ("1M", 30 * DAY, "M"),
    ("3M", 90 * DAY, "M"),
    ("1Y", 365 * DAY, "Y"),
    ("100Y", 100 * 365 * DAY, "Y"),
    ("292Y", 292 * 365 * DAY, "Y"),
    ("0.0000000000000000000000000001d", 1, "d"),
    # words
    ("daily", DAY, "d"),
    ("weekly", 7 * DAY, "w"),
    ("monthly", 30 * DAY, "M"),
    ("yearly", 365 * DAY, "Y"),
    ("Daily", DAY, "d"),
    ("MONTHLY", 30 * DAY, "M"),
]

EMPTY = [""]
NOT_POSITIVE = ["0", "+0", "-0", "0s", "0d", "0.0d", "0h0m", "-1h", "-1d", "-0s", "-1h30m", "-0.5M"]
NO_NUMBER_OR_NO_UNIT = ["1", "60", "1.5", "d", "h", "M", ".", ".h", ".d", "+", "-h", "--1h", "+-1h", "1h-1m", "1..5h", "1,5h"]
UNKNOWN_UNIT = ["1D", "1W", "1y", "1H", "1S", "1Ms", "1MS", "1Q", "1x", "1mo", "1min", "1day", "1e3s", "1e3d", "0x1h", "1_000s"]
SPACES = ["1 h", " 1h", "1h ", "1h 30m", "1h\n", "\t1d", " daily", "daily ", "1d\n"]
MIXED_LONG_UNITS = ["1d12h", "1h30d", "1w1d", "1d1d", "1M1d", "1Y6M"]
UNKNOWN_WORD = ["quarterly", "hourly", "1daily", "forever", "infd", "nand", "null"]
NOT_ASCII = ["\u0661h", "\uff11d", "1\u2103", "\x00", "1h\x00"]
TOO_LONG = ["293Y", "2562047h47m16.854775808s", "15251w", "9223372036855s", "9" * 63 + "d"]
TOO_LONG_A_TEXT = ["1" * 64 + "h", "0" * 10_000 + "h"]

REFUSED = [
    (EMPTY, "must not be empty"),
    (NOT_POSITIVE, "must be longer than zero"),
    (NO_NUMBER_OR_NO_UNIT, "is not a duration"),
    (UNKNOWN_UNIT, "is not a duration"),
    (SPACES, "is not a duration"),
    (MIXED_LONG_UNITS, "is not a duration"),
    (UNKNOWN_WORD, "is not a duration"),
    (NOT_ASCII, "is not a duration"),
    (TOO_LONG, "must be at most 292 years"),
    (TOO_LONG_A_TEXT, "must have at most 64 characters"),
]


@pytest.mark.parametrize(("text", "length_ms", "unit"), ACCEPTED)
def test_accepted(text: str, length_ms: int, unit: str) -> None:
    assert parse_duration(text) == Duration(length_ms, unit)


@pytest.mark.parametrize(("text", "reason"), [(text, reason) for texts, reason in REFUSED for text in texts])
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_duration(text)


def test_a_refusal_names_every_word() -> None:
    assert [word for word in durations._WORDS if f'"{word}"' not in durations.ACCEPTED] == []


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000), st.integers(1, 10_000))
def test_parts_add_up(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    length_ms = hours * HOUR + minutes * MINUTE + seconds * SECOND + milliseconds
    assert parse_duration(f"{hours}h{minutes}m{seconds}s{milliseconds}ms") == Duration(length_ms, "")


@given(st.integers(1, 10**12))
def test_a_fraction_of_seconds_is_exact(milliseconds: int) -> None:
    assert parse_duration(f"{milliseconds // 1000}.{milliseconds % 1000:03}s").length_ms == milliseconds


@given(st.text(max_size=80))
def test_any_text_is_a_positive_duration_or_a_value_error(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert duration.length_ms >= 1


@given(st.from_regex(r"\A[+-]?([0-9]{1,4}(\.[0-9]{0,3})?(ns|us|ms|s|m|h|d|w|M|Y)){1,3}\Z"))
def test_durations_of_one_unit_follow_the_calendar_and_others_never(text: str) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert duration.unit == (text[-1] if text[-1] in "dwMY" else "")
    assert duration.length_ms <= LONGEST_MS + 1
