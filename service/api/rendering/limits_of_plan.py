"""The limits of a plan as answers tell them: in the body tightest first, in the headers in order of checks.

Hot: what the counters say is filled into what was made once for every limit.
"""

from collections.abc import Sequence
from itertools import compress
from operator import itemgetter
from typing import Any, Final, NamedTuple
from weakref import WeakValueDictionary

import orjson

from service.api.headers import Left, RawHeaders, policies_of
from service.api.rendering.enforcement import limit_body
from service.api.rendering.times import timestamp
from service.money import NANOUSD_PER_DOLLAR
from service.quota.decision import Reading
from service.remembered import remembered
from service.reservation import LimitKind, LimitState, Plan, PlannedLimit
from service.windows import next_reset_ms

_SHARE: Final = itemgetter(0)


class Told(NamedTuple):
    """`body` is the list of limits, written out as JSON."""

    body: bytes
    headers: RawHeaders


class _ShownLimit:
    """`body` says when the window ends that began at `last_reset_ms`; few answers see another one begin."""

    __slots__ = ("__weakref__", "_window", "body", "in_dollars", "last_reset_ms", "limit", "resets_at_ms")

    def __init__(self, planned: PlannedLimit, limit: int) -> None:
        self.limit = limit
        self.in_dollars = planned.kind is LimitKind.BUDGET
        self.body = limit_body(Reading(planned, limit, 0, 0, 0, 0))
        self.last_reset_ms = 0
        self.resets_at_ms = 0
        self._window = planned.window

    def begin_window(self, last_reset_ms: int) -> None:
        self.last_reset_ms = last_reset_ms
        self.resets_at_ms = next_reset_ms(self._window, last_reset_ms)
        self.body["resets_at"] = timestamp(self.resets_at_ms)


_Share = tuple[float, dict[str, Any]]
"""How much is left of a limit (0 to 1), and the limit as a body shows it."""


_all_shown: Final[WeakValueDictionary[PlannedLimit, _ShownLimit]] = WeakValueDictionary()


class LimitsOfPlan:
    """Those that limit something. What is filled in is written out before anybody else can fill in."""

    def __init__(self, plan: Plan) -> None:
        self._policies = policies_of(plan)
        self._is_shown = [planned.limit is not None for planned in plan.limits]
        self._limits = [_shown(planned, planned.limit) for planned in plan.limits if planned.limit is not None]

    def tell(self, states: Sequence[LimitState], now_ms: int) -> Told:
        shares, lefts = self._fill(states)
        return Told(_tightest_first(shares), self._policies.tell(lefts, now_ms))

    def body(self, states: Sequence[LimitState]) -> bytes:
        """Those that an admin has removed since are left out."""
        shares, _ = self._fill(states)
        return _tightest_first(shares)

    def headers(self, states: Sequence[LimitState], now_ms: int, retry_after_s: int | None = None) -> RawHeaders:
        lefts: list[Left] = []
        for shown, (usage, last_reset_ms, held) in zip(self._limits, compress(states, self._is_shown), strict=True):
            if last_reset_ms != shown.last_reset_ms:
                shown.begin_window(last_reset_ms)
            left = shown.limit - usage - held
            lefts.append((left if left > 0 else 0, shown.resets_at_ms))
        return self._policies.tell(lefts, now_ms, retry_after_s)

    def _fill(self, states: Sequence[LimitState]) -> tuple[list[_Share], list[Left]]:
        """Into the bodies."""
        shares: list[_Share] = []
        lefts: list[Left] = []
        for shown, (usage, last_reset_ms, held) in zip(self._limits, compress(states, self._is_shown), strict=True):
            if last_reset_ms < 0:
                continue
            if last_reset_ms != shown.last_reset_ms:
                shown.begin_window(last_reset_ms)
            limit, body = shown.limit, shown.body
            left = limit - usage - held
            if left < 0:
                left = 0
            if shown.in_dollars:
                body["usage"] = usage / NANOUSD_PER_DOLLAR
                body["reserved"] = held / NANOUSD_PER_DOLLAR
                body["remaining"] = left / NANOUSD_PER_DOLLAR
            else:
                body["usage"], body["reserved"], body["remaining"] = usage, held, left
            shares.append((left / limit, body))
            lefts.append((left, shown.resets_at_ms))
        return shares, lefts


def _shown(planned: PlannedLimit, limit: int) -> _ShownLimit:
    """The same for all plans with this limit: those of providers and teams are in the plans of many keys."""
    shown = _all_shown.get(planned)
    if shown is None:
        shown = _all_shown[planned] = _ShownLimit(planned, limit)
    return shown


def _tightest_first(shares: list[_Share]) -> bytes:
    """By the share that is left; among equals in order of checks."""
    shares.sort(key=_SHARE)
    return orjson.dumps([body for _, body in shares])


@remembered()
def limits_of(plan: Plan) -> LimitsOfPlan:
    return LimitsOfPlan(plan)
