"""When trying again makes sense: the first moment at which usage and holds have made room, or none."""

import pytest

from service.durations import LONGEST_MS
from service.entities import Counter
from service.reservation import LimitKind, Mode, PlannedLimit
from service.waiting import Hold, fits_at_ms
from service.windows import Window

NOW = 1_000_000
MINUTELY = Window(60_000, "")
NEVER = Window(LONGEST_MS, "")


def limit(most: int | None, window: Window = MINUTELY, kind: LimitKind = LimitKind.TOKENS) -> PlannedLimit:
    return PlannedLimit(
        scope="virtual_key",
        owner_id="key",
        limit_id="limit",
        kind=kind,
        limit=most,
        reset_duration="1m",
        window=window,
        owner=0,
        slot=1,
    )


def back(after_ms: int, amount: int) -> Hold:
    return Hold(NOW + after_ms, False, amount)


def charged(after_ms: int, amount: int) -> Hold:
    return Hold(NOW + after_ms, True, amount)


# limit, mode, estimate, usage, milliseconds since the window began, holds, expected milliseconds to wait
CASES = {
    "not at all": (limit(10), Mode.STRICT, 5, 5, 1000, [], 0),
    "until the window ends": (limit(10), Mode.POSTPAID, 0, 10, 1000, [], 59_000),
    "until the window ends, whatever is held (postpaid)": (limit(10), Mode.POSTPAID, 0, 10, 1000, [back(90_000, 10)], 59_000),
    "until a lease ends": (limit(10), Mode.CLAMP, 0, 0, 1000, [back(90_000, 10)], 90_000),
    "until the lease that makes room": (
        limit(10),
        Mode.STRICT,
        5,
        0,
        1000,
        [back(7_000, 4), back(5_000, 3), back(9_000, 3)],
        7_000,
    ),
    "until the window ends, for what is held leaves room then": (limit(10), Mode.STRICT, 5, 6, 1000, [back(90_000, 5)], 59_000),
    "until window and lease end": (limit(10), Mode.STRICT, 8, 6, 1000, [back(90_000, 5)], 90_000),
    "until a lease ends within the window": (limit(10), Mode.CLAMP, 0, 6, 1000, [back(5_000, 4)], 5_000),
    "a lease that charges makes no room before its window ends": (limit(10), Mode.CLAMP, 0, 6, 1000, [charged(5_000, 4)], 59_000),
    "a charge in the next window is waited for": (limit(10), Mode.CLAMP, 0, 0, 60_000, [charged(5_000, 10)], 65_000),
    "a charge into a window that runs": (limit(10), Mode.CLAMP, 0, 0, 1000, [charged(5_000, 10)], 59_000),
    "no wait helps who asks for more than the limit": (limit(10), Mode.STRICT, 11, 0, 1000, [], None),
    "nor with holds": (limit(10), Mode.STRICT, 11, 3, 1000, [back(5_000, 4)], None),
    "nor where the window never ends": (limit(10, NEVER), Mode.CLAMP, 0, 10, 1000, [], None),
    "but for holds it does": (limit(10, NEVER), Mode.CLAMP, 0, 6, 1000, [back(5_000, 4)], 5_000),
    "requests know no holds": (limit(1, kind=LimitKind.REQUESTS), Mode.CLAMP, 9, 1, 1000, [], 59_000),
    "no limit": (limit(None), Mode.STRICT, 99, 99, 1000, [], 0),
}


@pytest.mark.parametrize("name", CASES)
def test_how_long_to_wait(name: str):
    planned, mode, estimate, usage, age_ms, holds, expected = CASES[name]
    counter = Counter(usage, NOW - age_ms, sum(hold.amount for hold in holds))
    if age_ms >= planned.window.length_ms:
        counter = Counter(0, NOW, counter.held)  # as a script reads it
    at_ms = fits_at_ms(planned, counter, holds, mode, estimate, NOW)
    assert (None if at_ms is None else at_ms - NOW) == expected
