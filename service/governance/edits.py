"""What a change of configuration does to limits and to their counters: the rules that all owners of limits share."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar
from uuid import uuid4

from service.entities import Budget, CounterEdit, CounterEdits, LimitOwner, RateLimit
from service.errors import InvalidRequest
from service.models.limits import CANNOT_ALIGN, CreateBudgetRequest, RateLimitRequest, UpdateBudgetRequest
from service.money import to_nanousd
from service.windows import (
    CarryOver,
    Window,
    initial_reset_ms,
    period_start_ms,
    window_of,
    window_of_budget,
    windows_of_rate_limit,
)

Owner = TypeVar("Owner", bound=LimitOwner)


@dataclass(frozen=True, slots=True)
class Edited(Generic[Owner]):
    """An owner of limits as it shall be, and what happens to its counters when it is written."""

    entity: Owner
    counters: CounterEdits


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a client decides about a budget."""

    max_limit_nanousd: int
    reset_duration: str
    calendar_aligned: bool


class LimitEditor:
    """One change of one owner of limits.

    Methods return budgets and rate limits as they shall be. What happens to their counters, and which slots are used up,
    is collected on the way. All parts whose counters are slots of the owner go through the same editor; a stored part that
    stays as it is goes through `keep`, because switching on the calendar concerns it too.
    """

    def __init__(self, *, now_ms: int, aligned: bool, was_aligned: bool, next_slot: int) -> None:
        self.aligned = aligned
        self.next_slot = next_slot
        self._was_aligned = was_aligned
        self._now_ms = now_ms
        self._writes: dict[int, CounterEdit] = {}
        self._drops: set[int] = set()

    @classmethod
    def for_new(cls, aligned: bool | None, *, now_ms: int) -> Self:
        return cls(now_ms=now_ms, aligned=bool(aligned), was_aligned=bool(aligned), next_slot=1)

    @classmethod
    def for_stored(cls, owner: LimitOwner, aligned: bool | None, *, now_ms: int) -> Self:
        """`aligned` None: the owner's calendar_aligned stays as it is."""
        becomes = owner.calendar_aligned if aligned is None else aligned
        return cls(now_ms=now_ms, aligned=becomes, was_aligned=owner.calendar_aligned, next_slot=owner.next_slot)

    def counters(self) -> CounterEdits:
        return CounterEdits(writes=dict(self._writes), drops=set(self._drops))

    def create_budgets(self, requests: Iterable[CreateBudgetRequest]) -> tuple[Budget, ...]:
        return tuple(self._new_budget(_terms(request)) for request in requests)

    def edit_budgets(
        self, stored: Sequence[Budget], requests: Sequence[CreateBudgetRequest] | None, *, path: str = "budgets"
    ) -> tuple[Budget, ...]:
        """The list as requested; a stored budget stays when its id, else its reset_duration (as text), is in the request."""
        if requests is None:
            return self._keep_budgets(stored)
        named = _named_by_id(stored, requests, path)
        by_duration = {budget.reset_duration: budget for budget in stored if budget.id not in named}
        budgets = []
        for request in requests:
            old = named[request.id] if request.id else by_duration.pop(request.reset_duration, None)
            terms = _terms(request)
            budgets.append(self._new_budget(terms) if old is None else self._change_budget(old, terms))
        self.drop(by_duration.values(), None)
        return tuple(budgets)

    def edit_single_budget(
        self, stored: Sequence[Budget], request: UpdateBudgetRequest, *, path: str = "budget"
    ) -> tuple[Budget, ...]:
        """The older form, for owners with at most one budget: what is supplied is merged into it."""
        if len(stored) > 1:
            raise _refusal(path, "is not enough to say which of several budgets is meant: send budgets instead")
        if request.removes:
            self.drop(stored, None)
            return ()
        old = stored[0] if stored else None
        merged = _merge(old, request, path)
        return (self._new_budget(merged) if old is None else self._change_budget(old, merged),)

    def edit_rate_limit(self, stored: RateLimit | None, request: RateLimitRequest | None, *, keep_bare: bool) -> RateLimit | None:
        """All four members replaced; usage stays. `keep_bare`: durations without any limit are a rate limit too."""
        if request is None:
            self.keep((), stored)
            return stored
        if request.is_empty or (request.limits_nothing and not keep_bare):
            self.drop((), stored)
            return None
        if stored is None:
            return self._new_rate_limit(request)
        changed = replace(
            stored,
            token_max_limit=request.token_max_limit,
            token_reset_duration=request.token_reset_duration,
            request_max_limit=request.request_max_limit,
            request_reset_duration=request.request_reset_duration,
        )
        self._move_rate_limit(stored, changed)
        return stored if changed == stored else replace(changed, updated_at_ms=self._now_ms)

    def keep(self, budgets: Iterable[Budget], rate_limit: RateLimit | None) -> None:
        """Limits that stay as they are, in windows that may begin to follow the calendar, or cease to."""
        for budget in budgets:
            self._move_budget(budget, budget)
        if rate_limit is not None:
            self._move_rate_limit(rate_limit, rate_limit)

    def reset_usage(self, budgets: Iterable[Budget]) -> None:
        for budget in budgets:
            edit = self._writes.get(budget.slot, CounterEdit(usage=None, last_reset_ms=None))
            self._writes[budget.slot] = replace(edit, usage=0)

    def drop(self, budgets: Iterable[Budget], rate_limit: RateLimit | None) -> None:
        slots = [budget.slot for budget in budgets]
        if rate_limit is not None:
            slots += [rate_limit.token_slot, rate_limit.request_slot]
        for slot in slots:
            self._writes.pop(slot, None)
            self._drops.add(slot)

    def _keep_budgets(self, stored: Sequence[Budget]) -> tuple[Budget, ...]:
        self.keep(stored, None)
        return tuple(stored)

    def _new_budget(self, terms: _Terms) -> Budget:
        budget = Budget(
            id=str(uuid4()),
            slot=self._new_slot(),
            max_limit_nanousd=terms.max_limit_nanousd,
            reset_duration=terms.reset_duration,
            calendar_aligned=terms.calendar_aligned,
            created_at_ms=self._now_ms,
            updated_at_ms=self._now_ms,
        )
        self._begin(budget.slot, window_of_budget(budget, aligned=self.aligned))
        return budget

    def _change_budget(self, stored: Budget, terms: _Terms) -> Budget:
        # Budgets are shown as they count. Whoever sends back what they read does not mean to make the owner's flag their own.
        repeats_owner = self._was_aligned and not stored.calendar_aligned
        changed = replace(
            stored,
            max_limit_nanousd=terms.max_limit_nanousd,
            reset_duration=terms.reset_duration,
            calendar_aligned=terms.calendar_aligned and not repeats_owner,
        )
        self._move_budget(stored, changed)
        return stored if changed == stored else replace(changed, updated_at_ms=self._now_ms)

    def _move_budget(self, stored: Budget, changed: Budget) -> None:
        self._move(
            stored.slot,
            (stored.reset_duration, stored.calendar_aligned or self._was_aligned),
            (changed.reset_duration, changed.calendar_aligned or self.aligned),
        )

    def _new_rate_limit(self, request: RateLimitRequest) -> RateLimit:
        rate_limit = RateLimit(
            id=str(uuid4()),
            token_slot=self._new_slot(),
            request_slot=self._new_slot(),
            token_max_limit=request.token_max_limit,
            token_reset_duration=request.token_reset_duration,
            request_max_limit=request.request_max_limit,
            request_reset_duration=request.request_reset_duration,
            created_at_ms=self._now_ms,
            updated_at_ms=self._now_ms,
        )
        token_window, request_window = windows_of_rate_limit(rate_limit, aligned=self.aligned)
        self._begin(rate_limit.token_slot, token_window)
        self._begin(rate_limit.request_slot, request_window)
        return rate_limit

    def _move_rate_limit(self, stored: RateLimit, changed: RateLimit) -> None:
        self._move(
            stored.token_slot,
            (stored.token_reset_duration, self._was_aligned),
            (changed.token_reset_duration, self.aligned),
        )
        self._move(
            stored.request_slot,
            (stored.request_reset_duration, self._was_aligned),
            (changed.request_reset_duration, self.aligned),
        )

    def _new_slot(self) -> int:
        self.next_slot += 1
        return self.next_slot - 1

    def _begin(self, slot: int, window: Window) -> None:
        self._writes[slot] = CounterEdit(usage=0, last_reset_ms=initial_reset_ms(window, self._now_ms))

    def _move(self, slot: int, was: tuple[str | None, bool], becomes: tuple[str | None, bool]) -> None:
        """From one window (reset_duration, whether it is to be aligned) to another."""
        window_so_far, window = window_of(*was), window_of(*becomes)
        switched_on = becomes[1] and not was[1]
        if switched_on and window.align:
            self._writes[slot] = CounterEdit(usage=0, last_reset_ms=period_start_ms(window.align, self._now_ms))
        elif window != window_so_far:
            # A new duration keeps what is counted, but not what was counted without any, however long ago; a window that just
            # ceases to follow the calendar goes on as it falls.
            into = window if was[0] is not None and becomes[0] != was[0] else None
            self._writes[slot] = CarryOver(usage=None, last_reset_ms=None, was=window_so_far, into=into)


def _named_by_id(stored: Iterable[Budget], requests: Iterable[CreateBudgetRequest], path: str) -> dict[str, Budget]:
    by_id = {budget.id: budget for budget in stored}
    named: dict[str, Budget] = {}
    for index, request in enumerate(requests):
        if not request.id:
            continue
        if request.id not in by_id:
            raise _refusal(f"{path}[{index}].id", "is not that of a budget in this place: leave it out to create one")
        if request.id in named:
            raise _refusal(f"{path}[{index}].id", "must not be that of another entry")
        named[request.id] = by_id[request.id]
    return named


def _terms(request: CreateBudgetRequest) -> _Terms:
    return _Terms(to_nanousd(request.max_limit), request.reset_duration, bool(request.calendar_aligned))


def _merge(stored: Budget | None, request: UpdateBudgetRequest, path: str) -> _Terms:
    """What is supplied, else what is stored, else it is missing."""
    if request.max_limit is not None:
        max_limit_nanousd = to_nanousd(request.max_limit)
    elif stored is not None:
        max_limit_nanousd = stored.max_limit_nanousd
    else:
        raise _refusal(f"{path}.max_limit", "is required: there is no budget yet")
    reset_duration = request.reset_duration or (stored.reset_duration if stored is not None else None)
    if reset_duration is None:
        raise _refusal(f"{path}.reset_duration", "is required: there is no budget yet")
    calendar_aligned = request.calendar_aligned
    if calendar_aligned is None:
        calendar_aligned = stored is not None and stored.calendar_aligned
    if calendar_aligned and not window_of(reset_duration, aligned=True).align:
        raise _refusal(f"{path}.calendar_aligned", CANNOT_ALIGN)
    return _Terms(max_limit_nanousd, reset_duration, calendar_aligned)


def _refusal(param: str, wanted: str) -> InvalidRequest:
    return InvalidRequest(f"{param} {wanted}", param=param)
