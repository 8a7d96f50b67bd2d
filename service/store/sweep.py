"""Gives back what expired leases still hold: finds them by the indexes of open reservations, a part at a time."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from service.store.packed_plan import OwnersOfPlan, PackedPlan
from service.store.plans import ATTEMPTS

_DUE_OF_AN_INDEX: Final = 16
"""Of each of the 64 indexes so many are looked up at once."""
_SWEPT_IN_A_ROW: Final = 4096
"""Looked up before any is expired: among so many are several of one plan, whose owners are then written once for all of them."""


class Swept(NamedTuple):
    """Progress of a sweep. `asked`: reservations just processed (0 after a look-up). `expired`: how many of them this call took
    off the index. `late_ms`: how long ago the lease that ended last, of those found, ran out.
    """

    asked: int
    expired: int
    late_ms: int


class Due(NamedTuple):
    """A reservation whose lease has ended, and what to expire it by: the owners of its plan (quickest), its whole plan (where
    they are to be charged), or None (its record has to be read first).
    """

    open_index: str
    request_id: str
    late_ms: int
    by: OwnersOfPlan | PackedPlan | None
    attempts_left: int = ATTEMPTS


Outcome = bool | Due | BaseException | None
"""Whether this call took it off the index; how to ask again; why it cannot be done; None: not yet."""


async def sweep(
    find_due: Callable[[Mapping[str, int], int], Awaitable[list[Due]]],
    expire: Callable[[Sequence[Due]], Awaitable[Sequence[Outcome]]],
    size_of_part: Callable[[], int],
) -> AsyncIterator[Swept]:
    """In parts, so that whoever sweeps can count and rest after each, and say how many reservations the next may have.

    `find_due(passed_over, most)`: of each index the first `most` that have run out, after as many as are passed over there.
    """
    any_expired = False
    # One that fails (its plan is lost) must not keep the others from being returned and counted.
    passed_over: Counter[str] = Counter()
    failure: BaseException | None = None
    is_last = False
    while not is_last:
        due: list[Due] = []
        seen = passed_over.copy()
        while not is_last and len(due) < _SWEPT_IN_A_ROW:
            more = await find_due(seen, _DUE_OF_AN_INDEX)
            counts = Counter(one.open_index for one in more)
            seen += counts
            due += more
            is_last = max(counts.values(), default=0) < _DUE_OF_AN_INDEX
            yield Swept(0, 0, 0)
        # How late the latest lease is: one that fails at every sweep is the earliest for ever.
        late_ms = min((one.late_ms for one in due), default=0)
        again: list[Due] = []
        due.sort(key=_plan_of)
        while due:
            part = due[: size_of_part()]
            outcomes = await expire(part)
            for one, outcome in zip(part, outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    passed_over[one.open_index] += 1
                    failure = outcome
                elif outcome is None:
                    passed_over[one.open_index] += 1
                elif isinstance(outcome, Due):
                    again.append(outcome)
            due = due[len(part) :]
            if not due:
                # By now their plans are known.
                due, again = sorted(again, key=_plan_of), []
            expired = sum(outcome is True for outcome in outcomes)
            any_expired = any_expired or expired > 0
            yield Swept(len(part), expired, late_ms)
    if failure is not None and not any_expired:
        raise failure


def _plan_of(due: Due) -> str:
    """Nothing where it has to be asked first."""
    return due.by.digest if due.by is not None else ""
