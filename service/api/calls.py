"""The calls of gateways, one function each: a body in, an answer out. Alone or as part of a batch makes no difference."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import orjson

from service import metrics
from service.api.answers import BUG, error_body
from service.api.at_once import header_lines
from service.api.credentials import as_utf8
from service.api.headers import refusal_lines
from service.api.rendering.enforcement import (
    admission_body,
    degraded_body,
    explanation_body,
    problem_body,
    refusal_body,
    refusal_problem,
    settlement_body,
)
from service.api.rendering.limits_of_plan import limits_of
from service.api.rendering.times import timestamp
from service.errors import InvalidRequest, ServiceError
from service.models.enforcement import (
    MAX_REQUEST_ID,
    BatchRequest,
    ExplainRequest,
    ReleaseRequest,
    RenewRequest,
    ReserveRequest,
    SettleRequest,
)
from service.models.parsing import parse
from service.quota.decision import ALLOW, Verdict
from service.quota.enforcer import Enforcer
from service.quota.explain import explain
from service.quota.release import release
from service.quota.renew import renew
from service.quota.reserve import Admission, DegradedAdmission, reserve
from service.quota.settle import settle

_log = logging.getLogger(__name__)

_DEGRADED: Final = (b"x-quota-degraded", b"true")


class Caller(NamedTuple):
    """What the headers say: whose quota it is, which request (as sent), and how to be told of a failure.

    A proxy reads no body, an item of a batch has no headers: what nobody reads is not written.
    """

    key_value: str | None = None
    idempotency_key: str | None = None
    wants_problem: bool = False
    reads_body: bool = True
    reads_headers: bool = True


class Answer(NamedTuple):
    """`body` is JSON; `lines` are of headers, without the type of the body."""

    status: int
    body: bytes
    lines: bytes = b""
    is_problem: bool = False


Body = bytes | Mapping[str, Any]
"""As sent, or decoded already as part of a batch."""

Call = Callable[[Enforcer, bytes, Caller], Awaitable[Answer]]


def _reserve(enforcer: Enforcer, body: Body, caller: Caller) -> Awaitable[Answer]:
    return answer_reserve(enforcer, parse(ReserveRequest, body), caller)


async def answer_reserve(enforcer: Enforcer, request: ReserveRequest, caller: Caller, *, by_rules: bool = True) -> Answer:
    key_value = request.virtual_key or caller.key_value
    outcome = await reserve(enforcer, request, key_value, _request_id(request, caller), by_rules=by_rules)
    if isinstance(outcome, Verdict):
        metrics.decisions("refuse", outcome.decision, outcome.violations[0].planned.scope if outcome.violations else "").inc()
        return _refuse(outcome, caller)
    if isinstance(outcome, DegradedAdmission):
        metrics.decisions("degraded", "store_unavailable", "").inc()
        metrics.uncharged("degraded").inc()
        if not caller.reads_body:
            return Answer(200, b"", header_lines([_reservation(outcome), _DEGRADED]))
        return Answer(200, orjson.dumps(degraded_body(outcome)))
    metrics.decisions("allow", ALLOW, "").inc()
    limits, states = limits_of(outcome.plan), outcome.granted.states
    if not caller.reads_body:
        return Answer(200, b"", header_lines([_reservation(outcome)]) + limits.headers(states, outcome.granted.now_ms))
    if not caller.reads_headers:
        return Answer(200, admission_body(outcome, limits.body(states)))
    body, lines = limits.tell(states, outcome.granted.now_ms)
    return Answer(200, admission_body(outcome, body), lines)


async def _settle(enforcer: Enforcer, body: Body, caller: Caller) -> Answer:
    request = parse(SettleRequest, body)
    outcome = await settle(enforcer, request, request.virtual_key or caller.key_value)
    if isinstance(outcome, Verdict):
        return _refuse(outcome, caller)
    return Answer(200, settlement_body(outcome, limits_of(outcome.plan).body(outcome.states)))


async def _release(enforcer: Enforcer, body: Body, caller: Caller) -> Answer:
    return Answer(200, orjson.dumps({"released": await release(enforcer, parse(ReleaseRequest, body))}))


async def _renew(enforcer: Enforcer, body: Body, caller: Caller) -> Answer:
    return Answer(200, orjson.dumps({"expires_at": timestamp(await renew(enforcer, parse(RenewRequest, body)))}))


async def _explain(enforcer: Enforcer, body: Body, caller: Caller) -> Answer:
    request = parse(ExplainRequest, body)
    key_value = request.virtual_key or caller.key_value
    explanation = await explain(enforcer, request, key_value, _request_id(request, caller))
    return Answer(200, orjson.dumps(explanation_body(explanation)))


_SINGLE_CALLS: Final[Mapping[str, Callable[[Enforcer, Body, Caller], Awaitable[Answer]]]] = {
    "reserve": _reserve,
    "settle": _settle,
    "release": _release,
    "renew": _renew,
    "explain": _explain,
}


async def _batch(enforcer: Enforcer, body: bytes, caller: Caller) -> Answer:
    """All at once, so that the store gets them together; those of one reservation one after the other, as they were sent.
    Batches themselves take turns.
    """
    operations = parse(BatchRequest, body).operations
    groups: dict[object, list[int]] = {}
    for place, operation in enumerate(operations):
        groups.setdefault(_reservation_of(operation, place), []).append(place)
    answers: dict[int, Answer] = {}
    # The key of the caller goes for all that name none; an id cannot.
    caller_of_each = Caller(caller.key_value, reads_headers=False)

    async def run(places: list[int]) -> None:
        for place in places:
            answers[place] = await _answer_operation(enforcer, operations[place], caller_of_each)

    async with enforcer.batch_turns, asyncio.TaskGroup() as group:
        for places in groups.values():
            group.create_task(run(places))
    in_order = [answers[place] for place in range(len(operations))]
    results = [b'{"status":%d,"body":%b}' % (answer.status, answer.body) for answer in in_order]
    return Answer(200, b'{"results":[%b]}' % b",".join(results))


CALLS: Final[Mapping[str, Call]] = {**_SINGLE_CALLS, "batch": _batch}


def render_bug(call: str) -> Answer:
    """While the error is being handled: it is logged with its traceback."""
    _log.exception("%s failed", call)
    return Answer(500, orjson.dumps(error_body(500, BUG)))


def _reservation_of(operation: object, place: int) -> object:
    if not isinstance(operation, dict):
        return place
    named = operation.get("reservation_id") or operation.get("request_id")
    return named if isinstance(named, str) else place


async def _answer_operation(enforcer: Enforcer, operation: object, caller: Caller) -> Answer:
    if not isinstance(operation, dict):
        return render_error(InvalidRequest("an operation must be an object"), caller)
    name = operation.get("op")
    call = _SINGLE_CALLS.get(name) if isinstance(name, str) else None
    try:
        if call is None:
            raise InvalidRequest(f"op must be one of {', '.join(_SINGLE_CALLS)}", param="op")
        return await call(enforcer, operation, caller)
    except ServiceError as error:
        return render_error(error, caller)
    except Exception:
        return render_bug(f"{name} in a batch")


def _refuse(verdict: Verdict, caller: Caller) -> Answer:
    body = orjson.dumps(refusal_problem(verdict) if caller.wants_problem else refusal_body(verdict))
    lines = b""
    if caller.reads_headers:
        if verdict.plan is not None and verdict.states:
            lines = limits_of(verdict.plan).refusal_headers(verdict.states, verdict.now_ms, verdict.over, verdict.retry_after_s)
        lines += refusal_lines(verdict)
    return Answer(verdict.status, body, lines, caller.wants_problem)


def render_error(error: ServiceError, caller: Caller) -> Answer:
    lines = header_lines([(name.lower().encode(), value.encode()) for name, value in error.headers.items()])
    if caller.wants_problem:
        problem = problem_body(error.status, HTTPStatus(error.status).phrase, error.message)
        return Answer(error.status, orjson.dumps(problem), lines, is_problem=True)
    return Answer(error.status, orjson.dumps(error_body(error.status, error.message, error.param)), lines)


def _reservation(admission: Admission | DegradedAdmission) -> tuple[bytes, bytes]:
    """The header that names it to a proxy."""
    return b"x-quota-reservation", admission.request_id.encode()


def _request_id(request: ReserveRequest, caller: Caller) -> str:
    if request.request_id is not None:
        return request.request_id
    return secrets.token_hex(16) if caller.idempotency_key is None else _idempotency_key(caller.idempotency_key)


def _idempotency_key(text: str) -> str:
    """The Idempotency-Key header, with the quotes of its draft or without, as many clients send it."""
    text = as_utf8(text)
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not (1 <= len(text) <= MAX_REQUEST_ID and text.isprintable()):
        raise InvalidRequest(f"the Idempotency-Key header must hold 1 to {MAX_REQUEST_ID} printable characters")
    return text
