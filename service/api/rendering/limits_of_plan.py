"""The limits of a plan as answers tell them: in the body tightest first, in the headers in order of checks.

Hot: what the counters say is handled by columns, a tuple of all usages and so on, and filled into texts that were made before.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain, compress
from operator import itemgetter
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import orjson

from service.api.headers import policies_of
from service.api.rendering.enforcement import limit_body
from service.api.rendering.gaps import gap, gapped
from service.api.rendering.times import timestamp
from service.money import NANOUSD_PER_DOLLAR
from service.quota.decision import Reading
from service.remembered import remembered
from service.reservation import LimitKind, LimitState, LimitStates, Plan, PlannedLimit
from service.windows import next_reset_ms

_COUNTED: Final = ("usage", "reserved", "remaining")
"""The members of a limit in a body that change with every answer, in the order in which they stand."""


class Told(NamedTuple):
    """`body` is the list of limits, written out as JSON; `headers` are lines."""

    body: bytes
    headers: bytes


class _ShownLimit:
    """What is remembered is of the window that was asked for last: nearly all answers are of the same one."""

    __slots__ = ("__weakref__", "_began_ms", "_json", "_resets_at_ms", "_undated", "_window", "_written_ms")

    def __init__(self, planned: PlannedLimit, limit: int) -> None:
        body = limit_body(Reading(planned, limit, 0, 0, 0, 0))
        self._undated = gapped({**body, **dict.fromkeys(_COUNTED, gap(0)), "resets_at": gap("")})
        self._window = planned.window
        self._began_ms = self._resets_at_ms = self._written_ms = 0
        self._json = b""

    def resets_at_ms(self, last_reset_ms: int) -> int:
        if last_reset_ms != self._began_ms:
            self._began_ms, self._resets_at_ms = last_reset_ms, next_reset_ms(self._window, last_reset_ms)
        return self._resets_at_ms

    def json(self, last_reset_ms: int) -> bytes:
        """With gaps for what is counted in the window that began then."""
        if last_reset_ms != self._written_ms:
            # Texts are gaps in quotes; no name has such in it, as its quotes are escaped and its percent signs doubled.
            dated = self._undated.replace('"%s"', f'"{timestamp(self.resets_at_ms(last_reset_ms))}"')
            self._written_ms, self._json = last_reset_ms, dated.encode()
        return self._json


_all_shown: Final[WeakValueDictionary[PlannedLimit, _ShownLimit]] = WeakValueDictionary()


class LimitsOfPlan:
    """Those that limit something."""

    def __init__(self, plan: Plan) -> None:
        self._policies = policies_of(plan)
        self._is_shown = [planned.limit is not None for planned in plan.limits for _ in LimitState._fields]
        """For each number of each state."""
        self._shows_all = all(self._is_shown)
        shown = [(planned, planned.limit) for planned in plan.limits if planned.limit is not None]
        self._shown = [_shown(planned, limit) for planned, limit in shown]
        self._limits = [limit for _, limit in shown]
        self._layout = _layout(tuple(planned.kind is LimitKind.BUDGET for planned, _ in shown))
        self._last_resets_ms: tuple[int, ...] = ()
        self._resets_at_ms: list[int] = []
        self._existing: list[int] = []
        self._order: list[int] = []

    def tell(self, states: LimitStates, now_ms: int) -> Told:
        used, held, left = self._read(states)
        return Told(self._write(used, held, left), self._policies.lines(left, self._resets_at_ms, now_ms))

    def body(self, states: LimitStates) -> bytes:
        """Those that an admin has removed since are left out."""
        return self._write(*self._read(states))

    def headers(self, states: LimitStates, now_ms: int, retry_after_s: int | None = None) -> bytes:
        _, _, left = self._read(states)
        return self._policies.lines(left, self._resets_at_ms, now_ms, retry_after_s)

    def _read(self, states: LimitStates) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
        """What is used, held and left of each limit."""
        numbers = states.numbers if self._shows_all else tuple(compress(states.numbers, self._is_shown))
        used, last_resets_ms, held = numbers[0::3], numbers[1::3], numbers[2::3]
        # Few answers see a window begin.
        if last_resets_ms != self._last_resets_ms:
            self._begin_windows(last_resets_ms)
        left = [limit - one - other for limit, one, other in zip(self._limits, used, held, strict=True)]
        if left and min(left) < 0:
            left = [max(one, 0) for one in left]
        return used, held, left

    def _begin_windows(self, last_resets_ms: tuple[int, ...]) -> None:
        self._last_resets_ms = last_resets_ms
        began = zip(self._shown, last_resets_ms, strict=True)
        self._resets_at_ms = [shown.resets_at_ms(last_reset_ms) for shown, last_reset_ms in began]
        self._existing = [place for place, last_reset_ms in enumerate(last_resets_ms) if last_reset_ms >= 0]
        # The next body is arranged anew. A refusal has none, and may be told of a window that begins at that very moment.
        self._order = []

    def _write(self, used: Sequence[int], held: Sequence[int], left: Sequence[int]) -> bytes:
        """By the share that is left; among equals in order of checks."""
        shares = [one / limit for one, limit in zip(left, self._limits, strict=True)]
        order = sorted(self._existing, key=shares.__getitem__)
        if not order:
            return b"[]"
        if order != self._order:
            self._arrange(order)
        numbers: list[float] = [*used, *held, *left]
        numbers += [nanousd / NANOUSD_PER_DOLLAR for nanousd in self._layout.of_budgets(numbers)]
        # As orjson writes floats in all other bodies.
        return self._json % tuple(orjson.dumps(self._told(numbers))[1:-1].split(b","))

    def _arrange(self, order: list[int]) -> None:
        """For bodies with the limits in this order, which few answers change."""
        self._order = order
        self._json = b"[%b]" % b",".join([self._shown[place].json(self._last_resets_ms[place]) for place in order])
        self._told = _at(tuple(chain.from_iterable(self._layout.members[place] for place in order)))


class _Layout(NamedTuple):
    """Of a list of the usages of all limits, what is held of each, what is left of each; then the same of budgets in dollars.

    `of_budgets` takes what becomes dollars out of it; `members` are the places of what is told of each limit.
    """

    of_budgets: Callable[[Sequence[float]], tuple[float, ...]]
    members: list[tuple[int, int, int]]


@lru_cache(maxsize=1024)
def _layout(are_budgets: tuple[bool, ...]) -> _Layout:
    count = len(are_budgets)
    budgets = list(compress(range(count), are_budgets))
    members = [(place, count + place, 2 * count + place) for place in range(count)]
    of_budgets = _at(tuple(column * count + place for column in range(3) for place in budgets))
    for number, place in enumerate(budgets):
        first = 3 * count + number
        members[place] = (first, first + len(budgets), first + 2 * len(budgets))
    return _Layout(of_budgets, members)


@lru_cache(maxsize=16_384)
def _at(places: tuple[int, ...]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """itemgetter, and of no places nothing. Of one place it would not make a tuple, but here there are three for each limit."""
    return itemgetter(*places) if places else lambda _: ()


def _shown(planned: PlannedLimit, limit: int) -> _ShownLimit:
    """The same for all plans with this limit: those of providers and teams are in the plans of many keys."""
    shown = _all_shown.get(planned)
    if shown is None:
        shown = _all_shown[planned] = _ShownLimit(planned, limit)
    return shown


@remembered()
def limits_of(plan: Plan) -> LimitsOfPlan:
    return LimitsOfPlan(plan)
