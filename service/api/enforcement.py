"""POST /api/governance/quota/{reserve,settle,release,renew,explain,cost,batch}: what gateways call around every request. Hot.

A raw ASGI endpoint in front of Starlette's router: who calls, what, and the answer on the wire; the calls are in calls.py.
"""

import logging
from collections.abc import Awaitable, Mapping
from time import perf_counter
from typing import Final

import orjson
from starlette.types import Receive, Scope, Send

from service import metrics
from service.api.answers import error_body
from service.api.at_once import JSON_LINE, header_lines, send_at_once
from service.api.bodies import receive_body
from service.api.calls import CALLS, Answer, Call, Caller, render_bug, render_error
from service.api.cost import answer_cost
from service.api.credentials import headers_of, presented_virtual_key, require_gateway
from service.api.services import Services
from service.errors import ServiceError, StoreUnavailable
from service.logs import ThrottledLog

_unavailable = ThrottledLog(logging.getLogger(__name__))

PREFIX: Final = "/api/governance/quota/"
CALLS_BY_PATH: Final[Mapping[str, Call]] = {PREFIX + name: call for name, call in {**CALLS, "cost": answer_cost}.items()}

_PROBLEM: Final = "application/problem+json"
_ALLOW_LINE: Final = header_lines([(b"allow", b"POST")])
_PROBLEM_LINE: Final = header_lines([(b"content-type", _PROBLEM.encode())])


async def answer_call(scope: Scope, receive: Receive, send: Send, call: Call, services: Services) -> None:
    started = perf_counter()
    headers = headers_of(scope)
    wants_problem = _PROBLEM in headers.get("accept", "").lower()
    caller = Caller(presented_virtual_key(headers, any_in_own_header=True), headers.get("idempotency-key"), wants_problem)
    settings = services.settings
    try:
        if scope["method"] != "POST":
            refusal = orjson.dumps(error_body(405, f"{scope['method']} is not possible here"))
            return await send_answer(scope, send, Answer(405, refusal, _ALLOW_LINE))
        require_gateway(headers, settings)
        body = await receive_body(scope, receive, headers, settings.max_body_bytes)
        answer = await call(services.enforcer, body, caller)
    except ServiceError as error:
        answer = render_failure(scope, error, caller)
    except Exception:
        answer = render_bug(scope["path"])
    metrics.call_seconds(scope["path"].removeprefix(PREFIX)).observe(perf_counter() - started)
    await send_answer(scope, send, answer)


def render_failure(scope: Scope, error: ServiceError, caller: Caller) -> Answer:
    if isinstance(error, StoreUnavailable):
        _unavailable.warning("%s answered %d: %s", scope["path"], error.status, error.reason)
    return render_error(error, caller)


def send_answer(scope: Scope, send: Send, answer: Answer) -> Awaitable[None]:
    lines = (_PROBLEM_LINE if answer.is_problem else JSON_LINE) + answer.lines
    return send_at_once(scope, send, answer.status, lines, answer.body)
