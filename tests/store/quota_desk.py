"""Calls on reservations at given times, written and answered as short texts, so that tests are tables.

A call is a tuple such as ("reserve", "a", 600) or ("settle", "a", 500, 7); its answer a text such as "granted 600/0".
Counters are "usage+held" in the order of the plan's limits, as they read at that time.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from service.reservation import (
    Blocked,
    Charge,
    Explain,
    Explained,
    Granted,
    IdConflict,
    Plan,
    Refused,
    Release,
    Released,
    Renew,
    Renewed,
    Replayed,
    Settle,
    Settled,
    Stale,
    Unknown,
)
from service.store.cluster_reservations import reservations_class
from service.store.connection import Store
from service.store.reservations import Reservations
from tests.store.plans import MINUTE, NOW, reserve

RETENTION_MS = 10 * MINUTE

Row = tuple[int, tuple[Any, ...], str, str]
"""Milliseconds since the beginning, call, answer, counters afterwards."""


async def swept(reservations: Reservations) -> int:
    """How many reservations a whole sweep found expired."""
    return sum([part.expired async for part in reservations.sweep(lambda: 64)])


class Desk:
    """One worker's Reservations under a clock that stands still; `another_worker` has nothing of it cached."""

    def __init__(self, store: Store, **options: Any) -> None:
        self._options = options
        self.now_ms = NOW
        self.reservations = reservations_class(store)(replace(store, now_ms=str(NOW)), retention_ms=RETENTION_MS, **options)

    def at(self, now_ms: int) -> "Desk":
        self.now_ms = now_ms
        self.reservations.store = replace(self.reservations.store, now_ms=str(now_ms))
        return self

    def another_worker(self, **options: Any) -> "Desk":
        return Desk(self.reservations.store, **self._options | options).at(self.now_ms)

    async def counters(self, plan: Plan) -> str:
        outcome = await self.reservations.explain(Explain(plan=plan, tokens=0, cost_nanousd=0))
        assert isinstance(outcome, Explained)
        return " ".join(f"{state.usage}+{state.held}" for state in outcome.states)

    async def call(self, plan: Plan, verb: str, *values: Any, **options: Any) -> str:
        return self._text(await self.outcome(plan, verb, *values, **options))

    async def outcome(self, plan: Plan, verb: str, request_id: str = "", *amounts: int, **options: Any) -> Any:
        """Amounts: tokens and cost; the lease in ms of a renewal."""
        tokens, cost = (*amounts, 0, 0)[:2]
        match verb:
            case "reserve":
                return await self.reservations.reserve(reserve(plan, request_id, tokens=tokens, cost=cost, **options))
            case "other body":
                call = reserve(plan, request_id, tokens=tokens, cost=cost, **options)
                return await self.reservations.reserve(call._replace(fingerprint=b"another"))
            case "explain":
                return await self.reservations.explain(Explain(plan=plan, tokens=tokens, cost_nanousd=cost))
            case "settle" | "settle failed" | "settle unreserved" | "settle unreserved failed":
                call_plan = plan if "unreserved" in verb else None
                charge = Charge(cost_nanousd=cost, detail=f'{{"settled":"{request_id}"}}'.encode())
                return await self.reservations.settle(
                    Settle(
                        request_id=request_id,
                        tokens=tokens,
                        success="failed" not in verb,
                        charge_by=lambda _: charge,
                        plan=call_plan,
                    )
                )
            case "release":
                return await self.reservations.release(Release(request_id=request_id))
            case "renew":
                return await self.reservations.renew(Renew(request_id=request_id, lease_ms=amounts[0]))
            case "sweep":
                return await swept(self.reservations)
        raise AssertionError(verb)

    def _text(self, outcome: Any) -> str:
        match outcome:
            case Granted():
                return f"granted {outcome.reserved_tokens}/{outcome.reserved_nanousd}"
            case Replayed(first=first):
                return f"replayed {first.reserved_tokens}/{first.reserved_nanousd}"
            case Refused():
                return f"refused by {_places(outcome.violations)}{self._retry(outcome)}"
            case Blocked():
                return "expired" if outcome.key_expired else "blocked"
            case Explained():
                over = f" over {_places(outcome.over)}" if outcome.over else ""
                return f"would be {self._text(outcome.outcome)}{over}"
            case Settled():
                again = " again" if outcome.replayed else ""
                overrun = outcome.overrun_tokens, outcome.overrun_nanousd
                over = " over by {}/{}".format(*overrun) if any(overrun) else ""
                return f"settled{again} {outcome.tokens}/{outcome.cost_nanousd}{over}"
            case Released():
                return "released" if outcome.released else "nothing to release"
            case Renewed():
                return f"renewed until {outcome.expires_at_ms - NOW}"
            case Stale() | Unknown() | IdConflict():
                return {"Stale": "stale", "Unknown": "unknown", "IdConflict": "conflict"}[type(outcome).__name__]
            case int():
                return f"{outcome} expired"
        raise AssertionError(outcome)

    def _retry(self, outcome: Refused) -> str:
        return "" if outcome.retry_at_ms is None else f", retry at {outcome.retry_at_ms - NOW}"


async def check_rows(desk: Desk, plan: Plan, rows: Sequence[Row]) -> None:
    for number, (after_ms, (verb, *values), answer, counters) in enumerate(rows, start=1):
        desk.at(NOW + after_ms)
        assert (number, await desk.call(plan, verb, *values)) == (number, answer)
        assert (number, await desk.counters(plan)) == (number, counters)


def _places(places: Sequence[int]) -> str:
    return ",".join(map(str, places))
