"""When a refused request would be admitted if nobody else took what comes free: the future of one counter, played forward."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from service.durations import LONGEST_MS
from service.entities import Counter
from service.reservation import LimitKind, LimitStates, Mode, Plan, PlannedLimit
from service.windows import current, next_reset_ms


class Hold(NamedTuple):
    """What requests in flight hold of one counter until `expires_at_ms`; `charged` to its usage then, or given back."""

    expires_at_ms: int
    charged: bool
    amount: int


def retry_at_ms(
    plan: Plan,
    over: Sequence[int],
    states: LimitStates,
    held: Mapping[int, Sequence[Hold]],
    tokens: int,
    cost_nanousd: int,
    now_ms: int,
) -> int | None:
    """When all limits that refuse admit the request, unless something else refuses it by then. `over`: their places, by which
    `held` is, too.
    """
    if plan.blocked is not None:
        return None
    latest = now_ms
    for place in over:
        limit = plan.limits[place]
        estimate = cost_nanousd if limit.kind is LimitKind.BUDGET else tokens
        at_ms = fits_at_ms(limit, states[place], held.get(place, ()), plan.mode, estimate, now_ms)
        if at_ms is None:
            return None
        latest = max(latest, at_ms)
    return None if plan.has_expired(latest) else latest


def is_within(limit: PlannedLimit, counter: Counter, mode: Mode, estimate: int) -> bool:
    """The same as lua/includes/decide.lua."""
    if limit.limit is None:
        return True
    if limit.kind is LimitKind.REQUESTS:
        return counter.usage + 1 <= limit.limit
    if mode is Mode.POSTPAID:
        return counter.usage < limit.limit
    taken = counter.usage + counter.held
    return taken < limit.limit and (mode is Mode.CLAMP or taken + estimate <= limit.limit)


def fits_at_ms(
    limit: PlannedLimit, counter: Counter, holds: Sequence[Hold], mode: Mode, estimate: int, now_ms: int
) -> int | None:
    """The first moment from now on at which the limit admits the request; None when waiting does not help.

    Usage goes when its window ends, which a hold survives; a hold goes when its lease runs out.
    """
    waiting = sorted(holds, reverse=True)
    if not limit.window.align and counter.usage == 0 and counter.last_reset_ms == now_ms:
        # Read as over, begun by nobody yet: the next charge begins it.
        counter = Counter(0, now_ms - limit.window.length_ms, counter.held)
    at_ms = now_ms
    while True:
        as_read = current(counter, limit.window, at_ms)
        if is_within(limit, as_read, mode, estimate):
            return at_ms
        reset_ms = next_reset_ms(limit.window, as_read.last_reset_ms)
        if waiting and (as_read.usage == 0 or waiting[-1].expires_at_ms <= reset_ms):
            hold = waiting.pop()
            at_ms = hold.expires_at_ms
            if hold.charged:
                then = current(counter, limit.window, at_ms)
                counter = then._replace(usage=then.usage + hold.amount, held=then.held - hold.amount)
            else:
                counter = counter._replace(held=counter.held - hold.amount)
        elif as_read.usage and limit.window.length_ms < LONGEST_MS:
            at_ms = reset_ms
        else:
            return None
