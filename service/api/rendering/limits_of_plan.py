"""The limits of a plan as answers tell them: in the body tightest first, in the headers in order of checks.

Hot: what the counters say is handled by columns, a tuple of all usages and so on, and filled into texts that were made before.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain, compress
from operator import add, itemgetter, sub, truediv
from typing import Final, NamedTuple

import orjson

from service.api.headers import policy_lines
from service.api.rendering.enforcement import limit_body
from service.api.rendering.templates import fill, json_template, placeholder_for
from service.api.rendering.times import timestamp_bytes
from service.entities import Counter
from service.money import NANOUSD_PER_DOLLAR
from service.quota.decision import Reading
from service.remembered import remembered
from service.reservation import LimitKind, LimitStates, Plan, PlannedLimit
from service.windows import next_reset_ms

_COUNTED: Final = ("usage", "reserved", "remaining")
"""The members of a limit in a body that change with every answer, in the order in which they stand."""
_COLUMNS: Final = 4
"""Those, and when the limit starts anew."""
_BETWEEN: Final = b'"},'
_END: Final = b'"}]'
"""Behind the last text of a limit in a list: where another one follows, and where none does."""
_PLACEHOLDERS: Final = {**dict.fromkeys(_COUNTED, placeholder_for(0)), "resets_at": placeholder_for("")}
_REMOVED: Final = -1
"""When the window of a counter began that is no more (LimitStates)."""
_NEVER: Final = -2
"""No window begins then."""


class Told(NamedTuple):
    """`body` is the list of limits, written out as JSON; `headers` are lines."""

    body: bytes
    headers: bytes


class LimitsOfPlan:
    """Those that limit something."""

    __slots__ = (
        "_aligned",
        "_dollars",
        "_in_body_order",
        "_is_shown",
        "_last_resets_ms",
        "_lengths_ms",
        "_limits",
        "_lines",
        "_order",
        "_parts",
        "_resets_at",
        "_resets_at_ms",
        "_shown",
    )

    def __init__(self, plan: Plan) -> None:
        self._lines = policy_lines(plan.limits)
        limits = [(planned, planned.limit) for planned in plan.limits if planned.limit is not None]
        self._is_shown = None
        if len(limits) < len(plan.limits):
            self._is_shown = [planned.limit is not None for planned in plan.limits for _ in Counter._fields]
        """For each number of each state; None: all are."""
        self._shown = [_shown(planned) for planned, _ in limits]
        self._limits = [limit for _, limit in limits]
        self._dollars = _dollars(tuple([planned.kind is LimitKind.BUDGET for planned, _ in limits]))
        windows = [planned.window for planned, _ in limits]
        self._lengths_ms = [window.length_ms for window in windows]
        self._aligned = [(place, window) for place, window in enumerate(windows) if window.align]
        self._last_resets_ms = (_NEVER,) * len(limits)
        self._resets_at_ms = [0] * len(limits)
        self._resets_at: list[bytes] | None = None
        """The same as bodies write it; None: not written yet, as headers need no text."""
        self._order: list[int] = []

    def tell(self, states: LimitStates, now_ms: int) -> Told:
        used, held, left = self._read(states)
        return Told(self._write(used, held, left), self._lines.fill(left, self._resets_at_ms, now_ms))

    def body(self, states: LimitStates) -> bytes:
        """Those that an admin has removed since are left out."""
        return self._write(*self._read(states))

    def headers(self, states: LimitStates, now_ms: int) -> bytes:
        _, _, left = self._read(states)
        return self._lines.fill(left, self._resets_at_ms, now_ms)

    def refusal_headers(self, states: LimitStates, now_ms: int, over: Sequence[int], retry_after_s: int | None) -> bytes:
        """`over`: places in the plan of the limits that refuse; `retry_after_s`: when they would admit the request."""
        _, _, left = self._read(states)
        if self._is_shown is not None:
            over = [sum(self._is_shown[: 3 * place : 3]) for place in over]
        return self._lines.fill(left, self._resets_at_ms, now_ms, over, retry_after_s)

    def _read(self, states: LimitStates) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """What is used, held and left of each limit."""
        numbers = states.numbers if self._is_shown is None else tuple(compress(states.numbers, self._is_shown))
        used, last_resets_ms, held = numbers[0::3], numbers[1::3], numbers[2::3]
        if last_resets_ms != self._last_resets_ms:
            self._begin_windows(last_resets_ms)
        left = list(map(sub, map(sub, self._limits, used), held))
        if left and min(left) < 0:
            left = [max(one, 0) for one in left]
        return used, held, left

    def _begin_windows(self, last_resets_ms: tuple[int, ...]) -> None:
        """Few answers see one begin, unless nothing was counted in it yet: then it is told to begin now."""
        before, self._last_resets_ms = self._last_resets_ms, last_resets_ms
        resets_at_ms = list(map(add, last_resets_ms, self._lengths_ms))
        for place, window in self._aligned:
            has_begun = last_resets_ms[place] != before[place]
            resets_at_ms[place] = next_reset_ms(window, last_resets_ms[place]) if has_begun else self._resets_at_ms[place]
        self._resets_at_ms, self._resets_at = resets_at_ms, None

    def _write(self, used: Sequence[int], held: Sequence[int], left: Sequence[int]) -> bytes:
        """By the share that is left; among equals in order of checks."""
        shares = list(map(truediv, left, self._limits))
        existing: Iterable[int] = range(len(shares))
        if _REMOVED in self._last_resets_ms:
            existing = [place for place, last_reset_ms in enumerate(self._last_resets_ms) if last_reset_ms != _REMOVED]
        order = sorted(existing, key=shares.__getitem__)
        if not order:
            return b"[]"
        if order != self._order:
            self._arrange(order)
        numbers: list[float] = [*used, *held, *left]
        for place in self._dollars:
            numbers[place] /= NANOUSD_PER_DOLLAR
        # As orjson writes floats in all other bodies.
        texts = orjson.dumps(numbers)[1:-1].split(b",")
        if self._resets_at is None:
            self._resets_at = list(map(timestamp_bytes, self._resets_at_ms))
        texts += self._resets_at
        return fill(self._parts, self._in_body_order(texts))

    def _arrange(self, order: list[int]) -> None:
        """For bodies with the limits in this order, which few answers change."""
        self._order = order
        self._parts = [*chain.from_iterable(map(self._shown.__getitem__, order)), _END]
        self._parts[0] = b"[" + self._parts[0].removeprefix(_BETWEEN)
        self._in_body_order = _at(len(self._shown), tuple(order))


@lru_cache(maxsize=1024)
def _dollars(are_budgets: tuple[bool, ...]) -> tuple[int, ...]:
    """Which are dollars of the usages of all limits, what is held of each, what is left of each."""
    return tuple(compress(range(3 * len(are_budgets)), 3 * are_budgets))


@lru_cache(maxsize=16_384)
def _at(count: int, order: tuple[int, ...]) -> Callable[[Sequence[bytes]], tuple[bytes, ...]]:
    """Of columns of `count` texts those of one limit after the other. Shared by all plans with their limits in this order."""
    return itemgetter(*(place for first in order for place in range(first, _COLUMNS * count, count)))


@remembered()
def _shown(planned: PlannedLimit) -> Sequence[bytes]:
    """Parts of its JSON behind another limit, each with the placeholder that follows it: of what is counted, and of when that
    starts anew. Once for all plans with this limit: those of providers and teams are in the plans of many keys.
    """
    assert planned.limit is not None, "only what limits something is shown"
    head, *later, _ = json_template(limit_body(Reading(planned, planned.limit, 0, 0, 0, 0)) | _PLACEHOLDERS)
    return [_BETWEEN + head, *later]


@remembered()
def limits_of(plan: Plan) -> LimitsOfPlan:
    return LimitsOfPlan(plan)
