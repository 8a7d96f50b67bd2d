"""When a window began, whether it is over, when the next one begins: the arithmetic of lua/includes/current_window.lua."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from service.durations import LONGEST_MS, parse_duration
from service.entities import Budget, Counter, CounterEdit, RateLimit

_DAY_MS = 86_400_000
# The epoch was a Thursday: three days after a Monday.
_EPOCH_WEEKDAY_MS = 3 * _DAY_MS


@dataclass(frozen=True, slots=True)
class Window:
    """Rolling over `length_ms`, or following the calendar (UTC) when `align` is d, w, M or Y."""

    length_ms: int
    align: str

    @property
    def period_ms(self) -> int:
        """As long as it is: on the calendar the number before the unit plays no part. Months of 30 and years of 365 days."""
        return parse_duration(f"1{self.align}").length_ms if self.align else self.length_ms


@dataclass(frozen=True, slots=True)
class CarryOver(CounterEdit):
    """The edit of a counter whose window changes, computed in the commit (lua/includes/carry_over.lua).

    `into` is the new window when the counter is to keep what it counts even if that window would be over by now;
    None: `last_reset` stays, and the new window is over when it is over.
    """

    was: Window
    into: Window | None


@lru_cache(maxsize=4096)
def window_of(reset_duration: str | None, aligned: bool) -> Window:
    """Durations below a day stay rolling. No duration, or one that does not parse: a window that outlives the service."""
    if reset_duration is None:
        return Window(LONGEST_MS, "")
    try:
        duration = parse_duration(reset_duration)
    except ValueError:
        return Window(LONGEST_MS, "")
    return Window(duration.length_ms, duration.unit if aligned else "")


def window_of_budget(budget: Budget, *, aligned: bool) -> Window:
    """`aligned` is the owner's flag; the budget's own is enough, too."""
    return window_of(budget.reset_duration, aligned or budget.calendar_aligned)


def windows_of_rate_limit(rate_limit: RateLimit, *, aligned: bool) -> tuple[Window, Window]:
    """Of tokens and of requests."""
    return window_of(rate_limit.token_reset_duration, aligned), window_of(rate_limit.request_reset_duration, aligned)


def period_start_ms(align: str, now_ms: int) -> int:
    """Midnight, Monday, the first of the month or 1 January, UTC. The number before the unit plays no part."""
    match align:
        case "d":
            return now_ms - now_ms % _DAY_MS
        case "w":
            return now_ms - (now_ms + _EPOCH_WEEKDAY_MS) % (7 * _DAY_MS)
        case "M":
            day = _utc(now_ms)
            return _midnight_ms(day.year, day.month)
        case "Y":
            return _midnight_ms(_utc(now_ms).year, 1)
    raise ValueError(f"no calendar period {align!r}")


def next_reset_ms(window: Window, last_reset_ms: int) -> int:
    match window.align:
        case "":
            return last_reset_ms + window.length_ms
        case "d":
            return period_start_ms("d", last_reset_ms) + _DAY_MS
        case "w":
            return period_start_ms("w", last_reset_ms) + 7 * _DAY_MS
        case "M":
            day = _utc(last_reset_ms)
            return _midnight_ms(day.year + day.month // 12, day.month % 12 + 1)
        case "Y":
            return _midnight_ms(_utc(last_reset_ms).year + 1, 1)
    raise ValueError(f"no calendar period {window.align!r}")


def initial_reset_ms(window: Window, now_ms: int) -> int:
    return period_start_ms(window.align, now_ms) if window.align else now_ms


def current(counter: Counter, window: Window, now_ms: int) -> Counter:
    """The counter as of now: one whose window is over reads as empty. What is held for requests in flight stays held."""
    start_ms = initial_reset_ms(window, now_ms)
    over = counter.last_reset_ms < start_ms if window.align else now_ms - counter.last_reset_ms >= window.length_ms
    return Counter(0, start_ms, counter.held) if over else counter


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms // 1000, UTC)


def _midnight_ms(year: int, month: int) -> int:
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * 1000
