"""What the scripts answer about reservations, as outcomes."""

from collections.abc import Iterator, Sequence

from service.reservation import (
    Blocked,
    Explain,
    Explained,
    Granted,
    IdConflict,
    LimitStates,
    Plan,
    Refused,
    Released,
    ReleaseOutcome,
    Replayed,
    Settled,
)
from service.store.packed_integers import unpack_states
from service.store.reservation_calls import Answer
from service.waiting import Hold, retry_at_ms


def granted(answer: Answer) -> Granted:
    return _granted(answer.now_ms, *answer.rest[:4])


def replayed(answer: Answer, plan: Plan) -> Replayed:
    _, _, *first, detail, _ = answer.rest
    return Replayed(first=_granted(*first), plan=plan, detail=detail)


def settled(answer: Answer, plan: Plan) -> Settled:
    _, now_ms, tokens, cost_nanousd, overrun_tokens, overrun_nanousd, counters, detail = answer.rest
    states, is_replayed = unpack_states(counters), answer.word == "replayed"
    return Settled(now_ms, plan, tokens, cost_nanousd, overrun_tokens, overrun_nanousd, states, detail, is_replayed)


def refused_or_blocked(answer: Answer, plan: Plan, tokens: int, cost_nanousd: int) -> Refused | Blocked:
    if answer.word == "refused":
        violated, over, counters, holds = answer.rest
        return _refused(answer.now_ms, plan, tokens, cost_nanousd, violated, over, unpack_states(counters), holds)
    return Blocked(now_ms=answer.now_ms, key_expired=answer.word == "expired", states=unpack_states(answer.rest[0]))


def explained(answer: Answer, call: Explain) -> Explained:
    violated, over, counters, holds, *reserved = answer.rest
    states = unpack_states(counters)
    outcome: Granted | Refused | Blocked
    match answer.word:
        case "granted":
            tokens, cost_nanousd = reserved
            outcome = _granted(answer.now_ms, answer.now_ms, tokens, cost_nanousd, counters)
        case "refused":
            outcome = _refused(answer.now_ms, call.plan, call.tokens, call.cost_nanousd, violated, over, states, holds)
        case _:
            outcome = Blocked(now_ms=answer.now_ms, key_expired=answer.word == "expired", states=states)
    return Explained(now_ms=answer.now_ms, states=states, over=_places(over), outcome=outcome)


def _granted(now_ms: int, expires_at_ms: int, tokens: int, cost_nanousd: int, counters: bytes) -> Granted:
    return Granted(now_ms, expires_at_ms, tokens, cost_nanousd, unpack_states(counters))


def _refused(
    now_ms: int,
    plan: Plan,
    tokens: int,
    cost_nanousd: int,
    violated: Sequence[int],
    over: Sequence[int],
    states: LimitStates,
    holds: Sequence[int],
) -> Refused:
    held: dict[int, list[Hold]] = {}
    for number, charged, expires_at_ms, amount in hold_by_hold(holds):
        held.setdefault(number - 1, []).append(Hold(expires_at_ms, bool(charged), amount))
    places = _places(over)
    violations = places if violated == over else _places(violated)
    return Refused(now_ms, violations, places, states, retry_at_ms(plan, places, states, held, tokens, cost_nanousd, now_ms))


def released(answer: Answer) -> ReleaseOutcome:
    if answer.word == "conflict":
        return IdConflict()
    is_released = answer.word == "released"
    return Released(is_released, replayed=is_released and answer.rest[1] == 1)


def hold_by_hold(numbers: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """Of a list as lua/includes/list_holds.lua makes it: number of the limit, 1 when it is charged then, when (ms), amount."""
    one_by_one = iter(numbers)
    return zip(one_by_one, one_by_one, one_by_one, one_by_one, strict=True)


def _places(numbers: Sequence[int]) -> tuple[int, ...]:
    """Lua counts from 1."""
    return tuple([number - 1 for number in numbers])
