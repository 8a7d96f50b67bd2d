"""Reads the text of a reset duration ("1h30m", "1d", "monthly"): how long it is, and which calendar period it can follow."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

ACCEPTED = (
    'a duration is like "30m", "1h30m", "1d", "1w", "1M" (30 days), "1Y" (365 days), "daily", "weekly", "monthly" or "yearly"'
)

_NS_PER_MS = 1_000_000
_HOUR_NS = 3_600_000 * _NS_PER_MS
_DAY_NS = 24 * _HOUR_NS

# As Go, whose clients wrote most of the texts we store: signed 64 bits of nanoseconds, a little over 292 years.
_LONGEST_NS = 2**63 - 1
LONGEST_MS = _LONGEST_NS // _NS_PER_MS

_CLOCK_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "\N{MICRO SIGN}s": 1_000,
    "\N{GREEK SMALL LETTER MU}s": 1_000,
    "ms": _NS_PER_MS,
    "s": 1_000 * _NS_PER_MS,
    "m": 60_000 * _NS_PER_MS,
    "h": _HOUR_NS,
}
_LONG_UNITS_NS = {"d": _DAY_NS, "w": 7 * _DAY_NS, "M": 30 * _DAY_NS, "Y": 365 * _DAY_NS}
_WORDS = {"daily": "1d", "weekly": "1w", "monthly": "1M", "yearly": "1Y"}

_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_CLOCK_PART = re.compile(rf"({_NUMBER})({'|'.join(_CLOCK_UNITS_NS)})")
_CLOCK = re.compile(rf"([+-]?)((?:{_CLOCK_PART.pattern})+)")
_LONG = re.compile(rf"([+-]?)({_NUMBER})([{''.join(_LONG_UNITS_NS)}])")

# Longer texts only cost memory and time: 64 characters hold every unit twice.
_LONGEST_TEXT = 64


@dataclass(frozen=True, slots=True)
class Duration:
    """`unit` is d, w, M or Y when a window of this duration can follow the calendar, else ''."""

    length_ms: int
    unit: str


@lru_cache(maxsize=4096)
def parse_duration(text: str) -> Duration:
    """Raises ValueError with a sentence for the client. Parts of a millisecond count as a whole one."""
    if not text:
        raise ValueError(f"must not be empty: {ACCEPTED}")
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"must have at most {_LONGEST_TEXT} characters: {ACCEPTED}")
    length_ns, unit = _measure(_WORDS.get(text.lower(), text))
    if length_ns <= 0:
        raise ValueError(f"must be longer than zero: {ACCEPTED}")
    if length_ns > _LONGEST_NS:
        raise ValueError(f"must be at most 292 years: {ACCEPTED}")
    return Duration(length_ms=-(-length_ns // _NS_PER_MS), unit=unit)


def _measure(text: str) -> tuple[Fraction, str]:
    if text in ("0", "+0", "-0"):
        return Fraction(0), ""
    if long := _LONG.fullmatch(text):
        sign, number, unit = long.groups()
        return _signed(sign, Fraction(number) * _LONG_UNITS_NS[unit]), unit
    if clock := _CLOCK.fullmatch(text):
        parts = _CLOCK_PART.findall(clock[2])
        return _signed(clock[1], sum((Fraction(number) * _CLOCK_UNITS_NS[unit] for number, unit in parts), Fraction(0))), ""
    raise ValueError(f"is not a duration: {ACCEPTED}")


def _signed(sign: str, length_ns: Fraction) -> Fraction:
    return -length_ns if sign == "-" else length_ns
