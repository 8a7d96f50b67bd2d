"""The limits of a plan as admissions and settlements tell them: in the body tightest first, in the headers in order of checks.

Hot: body and headers are written in one pass over the counters, into what was made once for the plan.
"""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

import orjson

from service.api.headers import LARGEST_INTEGER, Left, RawHeaders, policies_of
from service.api.rendering.enforcement import limit_body
from service.api.rendering.times import timestamp
from service.money import NANOUSD_PER_DOLLAR
from service.quota.decision import Reading, read_limits
from service.remembered import remembered
from service.reservation import LimitKind, LimitState, Plan
from service.windows import Window, next_reset_ms

_SHARE: Final = itemgetter(0)


class Told(NamedTuple):
    """`body` is the list of limits, written out."""

    body: orjson.Fragment
    headers: RawHeaders


class _Row(NamedTuple):
    """One limit: `place` in the plan, `body` as it is shown, `start` of its state in the header."""

    place: int
    limit: int
    window: Window
    in_dollars: bool
    body: dict[str, Any]
    start: str
    per_unit: int

    def fill(self, usage: int, last_reset_ms: int, held: int) -> Left:
        """Into the body."""
        _, limit, window, in_dollars, body, _, _ = self
        left = limit - usage - held
        if left < 0:
            left = 0
        if in_dollars:
            body["usage"] = usage / NANOUSD_PER_DOLLAR
            body["reserved"] = held / NANOUSD_PER_DOLLAR
            body["remaining"] = left / NANOUSD_PER_DOLLAR
        else:
            body["usage"], body["reserved"], body["remaining"] = usage, held, left
        resets_at_ms = next_reset_ms(window, last_reset_ms)
        body["resets_at"] = timestamp(resets_at_ms)
        return limit, left, resets_at_ms


class LimitsOfPlan:
    """Those that limit something. What is filled in is written out before anybody else can fill in."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._policies = policies_of(plan)
        limited = [(place, planned) for place, planned in enumerate(plan.limits) if planned.limit is not None]
        self._rows = [
            _Row(
                place,
                planned.limit or 0,
                planned.window,
                planned.kind is LimitKind.BUDGET,
                limit_body(Reading(planned, planned.limit or 0, 0, 0, 0, 0)),
                *start,
            )
            for (place, planned), start in zip(limited, self._policies.starts, strict=True)
        ]

    def tell(self, states: Sequence[LimitState], now_ms: int) -> Told:
        by_share, told, lefts = [], [], []
        for row in self._rows:
            usage, last_reset_ms, held, _ = states[row.place]
            limit, left, resets_at_ms = counted = row.fill(usage, last_reset_ms, held)
            by_share.append((left / limit, row.body))
            lefts.append(counted)
            wait_s = (resets_at_ms - now_ms + 999) // 1000
            units = left // row.per_unit
            told.append(f"{row.start}{units if units < LARGEST_INTEGER else LARGEST_INTEGER};t={wait_s if wait_s > 0 else 0}")
        return Told(_tightest_first(by_share), self._policies.with_states(told, lefts, now_ms) if lefts else [])

    def headers(self, states: Sequence[LimitState], now_ms: int) -> RawHeaders:
        return self._policies.headers(read_limits(self._plan, states), now_ms)

    def body(self, states: Sequence[LimitState]) -> orjson.Fragment:
        """Those that an admin has removed since are left out: they were never reset."""
        by_share = []
        for row in self._rows:
            usage, last_reset_ms, held, _ = states[row.place]
            if last_reset_ms:
                limit, left, _ = row.fill(usage, last_reset_ms, held)
                by_share.append((left / limit, row.body))
        return _tightest_first(by_share)


def _tightest_first(by_share: list[tuple[float, dict[str, Any]]]) -> orjson.Fragment:
    """By the share that is left; among equals in order of checks."""
    by_share.sort(key=_SHARE)
    return orjson.Fragment(orjson.dumps([body for _, body in by_share]))


@remembered(largest=20_000)
def limits_of(plan: Plan) -> LimitsOfPlan:
    return LimitsOfPlan(plan)
