"""The words of a decision: its name, its HTTP status, a sentence for people, and the limits behind it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from service.entities import NEVER_COUNTED, Counter, Counters
from service.money import NANOUSD_PER_DOLLAR
from service.reservation import NO_STATES, Blocked, LimitKind, LimitStates, Plan, PlannedLimit, Refused
from service.windows import current, next_reset_ms

ALLOW: Final = "allow"
KEY_EXPIRED: Final = "Virtual key has expired"

STATUSES: Final = {
    ALLOW: 200,
    "virtual_key_not_found": 401,
    "virtual_key_required": 401,
    "virtual_key_blocked": 403,
    "provider_blocked": 403,
    "model_blocked": 403,
    "budget_exceeded": 402,
    "token_limited": 429,
    "request_limited": 429,
    "rate_limited": 429,
}

_OVER: Final = {LimitKind.BUDGET: "budget_exceeded", LimitKind.TOKENS: "token_limited", LimitKind.REQUESTS: "request_limited"}

_NOUNS: Final = {
    "budget_exceeded": "budget",
    "token_limited": "token limit",
    "request_limited": "request limit",
    "rate_limited": "rate limit",
}

_LEVELS: Final = {
    "provider": "Provider",
    "model_config": "Model",
    "provider_config": "Provider config",
    "virtual_key": "Virtual key",
    "team": "Team",
    "customer": "Customer",
}

UNPRICED: Final = b"null"
"""What answers say of the price where nobody knows one; JSON, as is every price that is told."""


class Estimate(NamedTuple):
    """What a request is expected to use. `price`: where its cost comes from, or UNPRICED."""

    tokens: int
    cost_nanousd: int
    price: bytes


class Reading(NamedTuple):
    """One limit as an answer shows it: in nano-dollars for budgets."""

    planned: PlannedLimit
    limit: int
    usage: int
    held: int
    remaining: int
    resets_at_ms: int


class Verdict(NamedTuple):
    """Why a request may not go. `violations`: readings of all limits that are over, in order of checks; the first one is named.
    `over`: their places in the plan.

    `plan` is None when not even the key is known; `states` are of its limits, none where none was asked. `retry_after_s` is None
    when waiting does not help. `route`: the rules that led to what refuses.
    """

    decision: str
    message: str
    now_ms: int = 0
    plan: Plan | None = None
    violations: tuple[Reading, ...] = ()
    over: tuple[int, ...] = ()
    states: LimitStates = NO_STATES
    retry_after_s: int | None = None
    route: Mapping[str, Any] | None = None

    @property
    def status(self) -> int:
        return STATUSES[self.decision]


KEY_NOT_FOUND: Final = Verdict(decision="virtual_key_not_found", message="Virtual key not found")
KEY_REQUIRED: Final = Verdict(
    decision="virtual_key_required", message="A virtual key is required: send it as x-bf-vk, or in the body as virtual_key"
)


def read_limits(plan: Plan, states: Iterable[Counter]) -> tuple[Reading, ...]:
    """Those that limit something, in order of checks; not those that an admin has removed since: what they counted is gone."""
    return tuple(
        _reading(planned, planned.limit, state)
        for planned, state in zip(plan.limits, states, strict=True)
        if planned.limit is not None and state.last_reset_ms >= 0
    )


def _reading(planned: PlannedLimit, limit: int, counter: Counter) -> Reading:
    usage, last_reset_ms, held = counter
    left = limit - usage - held
    return Reading(planned, limit, usage, held, left if left > 0 else 0, next_reset_ms(planned.window, last_reset_ms))


def read_counters(limits: Iterable[PlannedLimit], counters: Counters, now_ms: int) -> list[Reading]:
    """The same from counters as stored, all of one owner."""
    readings = []
    for planned in limits:
        if planned.limit is not None:
            counter = current(counters.get(planned.slot, NEVER_COUNTED), planned.window, now_ms)
            readings.append(_reading(planned, planned.limit, counter))
    return readings


def earliest(*times: int | None) -> int | None:
    """None: never."""
    return min([time for time in times if time is not None], default=None)


def sooner(first: Verdict | None, other: Verdict) -> Verdict:
    """The first of two ways to go says why it is closed; trying again makes sense as soon as either is open."""
    if first is None:
        return other
    return first._replace(retry_after_s=earliest(first.retry_after_s, other.retry_after_s))


def refused(
    plan: Plan,
    outcome: Refused,
    estimate: Estimate,
    route: Mapping[str, Any] | None = None,
    others_free_at_ms: int | None = None,
) -> Verdict:
    """`others_free_at_ms`: when the request could go another way."""
    # A key that is shut out anyway is not told what else would refuse it.
    is_open = plan.blocked is None and not plan.has_expired(outcome.now_ms)
    over = outcome.over if is_open else outcome.violations
    violations = tuple([_reading(plan.limits[place], plan.limits[place].limit or 0, outcome.states[place]) for place in over])
    decision, named = _decide(violations)
    retry_at_ms = earliest(outcome.retry_at_ms, others_free_at_ms)
    retry_after_s = None if retry_at_ms is None else _whole_seconds(retry_at_ms - outcome.now_ms)
    sentence = _sentence(decision, named, estimate)
    return Verdict(decision, sentence, outcome.now_ms, plan, violations, over, outcome.states, retry_after_s, route)


def _whole_seconds(wait_ms: int) -> int:
    """Never too early, and never at once."""
    return max(1, -(-wait_ms // 1000))


def blocked(plan: Plan, outcome: Blocked, route: Mapping[str, Any] | None) -> Verdict:
    decision, message = "virtual_key_blocked", KEY_EXPIRED
    if not outcome.key_expired and plan.blocked is not None:
        decision, message = plan.blocked.decision, plan.blocked.reason
    return Verdict(decision=decision, message=message, now_ms=outcome.now_ms, plan=plan, states=outcome.states, route=route)


def _decide(over: tuple[Reading, ...]) -> tuple[str, list[Reading]]:
    """The first limit in order of checks decides; where both counters of its rate limit are over, both are named."""
    first = over[0]
    of_same_limit = [reading for reading in over if reading.planned.limit_id == first.planned.limit_id]
    return (_OVER[first.planned.kind], [first]) if len(of_same_limit) == 1 else ("rate_limited", of_same_limit)


def _sentence(decision: str, named: list[Reading], estimate: Estimate) -> str:
    """Level, usage, limit and window: "Team token limit exceeded: 900 tokens used and 100 held of 1000 per 1h"."""
    level = _LEVELS[named[0].planned.scope]
    accounts = [describe_usage(reading) + _too_little_left(reading, estimate) for reading in named]
    return f"{level} {_NOUNS[decision]} exceeded: {', '.join(accounts)}"


def describe_usage(reading: Reading) -> str:
    """What is used of one limit, for people."""
    show, used = (_dollars, "spent") if reading.planned.kind is LimitKind.BUDGET else (str, f"{reading.planned.kind} used")
    held = f" and {show(reading.held)} held" if reading.held else ""
    return f"{show(reading.usage)} {used}{held} of {show(reading.limit)} per {reading.planned.reset_duration}"


def _too_little_left(reading: Reading, estimate: Estimate) -> str:
    """Only strict enforcement refuses while something is left."""
    if reading.usage + reading.held >= reading.limit:
        return ""
    if reading.planned.kind is LimitKind.BUDGET:
        return f", less is left than the {_dollars(estimate.cost_nanousd)} this request may cost"
    return f", less is left than the {estimate.tokens} this request may use"


def _dollars(nanousd: int) -> str:
    whole, parts = divmod(nanousd, NANOUSD_PER_DOLLAR)
    return f"${whole}.{parts:09}".rstrip("0").rstrip(".")
