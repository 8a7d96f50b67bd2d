"""/api/governance/quota/authorize, any method, any path below: for proxies that ask with a sub-request. No body is read.

Routing rules play no part: a proxy could not be told to go elsewhere.

What the proxy's own configuration says comes as query parameters and beats the headers, which clients may send, too. A proxy
that appends the client's path (Envoy) appends its query as well: below the path headers alone count. Headers could not beat a
query there: Envoy leaves out those without a value, so that a client would say what its operator does not.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from time import perf_counter
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from service import metrics
from service.api.at_once import header_lines, send_at_once
from service.api.calls import Answer, Caller, answer_reserve, render_bug
from service.api.credentials import as_utf8, headers_of, presented_virtual_key, require_gateway
from service.api.enforcement import PREFIX, render_failure, send_answer
from service.api.services import Services
from service.errors import InvalidRequest, ServiceError
from service.models.enforcement import ReserveRequest
from service.models.parsing import parse
from service.remembered import LONGEST_REMEMBERED

PATH: Final = PREFIX + "authorize"

_MEMBERS: Final = ("provider", "model", "tokens", "cost")
_MOST_PARAMETERS: Final = 1_000
_UNDERSTOOD_BY_NGINX: Final = (200, 401, 403)


def is_authorize(path: str) -> bool:
    return path.startswith(PATH) and (len(path) == len(PATH) or path[len(PATH)] == "/")


async def answer_authorize(scope: Scope, receive: Receive, send: Send, services: Services) -> None:
    started = perf_counter()
    headers = headers_of(scope)
    params: Mapping[str, str] = {}
    caller = Caller(presented_virtual_key(headers, any_in_own_header=False), reads_body=False)
    try:
        require_gateway(headers, services.settings)
        query = scope["query_string"] if len(scope["path"]) == len(PATH) else b""
        params = (_params_of if len(query) <= LONGEST_REMEMBERED else _parse_params)(query)
        request = _request_of(params, headers)
        answer = await answer_reserve(services.enforcer, request, caller, by_rules=False)
    except ServiceError as error:
        answer = render_failure(scope, error, caller)
    except Exception:
        answer = render_bug(scope["path"])
    metrics.call_seconds("authorize").observe(perf_counter() - started)
    if answer.status == 200:
        # The proxy passes the request on; the headers are for it, and for the client.
        return await send_at_once(scope, send, 200, answer.lines, b"")
    await send_answer(scope, send, _for_nginx(answer) if params.get("nginx") in ("1", "true") else answer)


def _parse_params(query: bytes) -> Mapping[str, str]:
    """The first of several with one name counts: what comes behind it may be appended."""
    try:
        return dict(reversed(parse_qsl(query.decode("latin-1"), max_num_fields=_MOST_PARAMETERS)))
    except ValueError:
        raise InvalidRequest(f"the query has more than {_MOST_PARAMETERS} parameters") from None


_params_of: Final = lru_cache(maxsize=128)(_parse_params)
"""A proxy asks with what its configuration says, the same every time."""


def _request_of(params: Mapping[str, str], headers: Mapping[str, str]) -> ReserveRequest:
    provider, model, tokens, cost = (params.get(name) or as_utf8(headers.get(f"x-quota-{name}", "")) for name in _MEMBERS)
    return _request(provider, model, _number("tokens", tokens), _number("cost", cost), params.get("ttl") or None)


@lru_cache(maxsize=1024, typed=True)
def _request(provider: str, model: str, tokens: float | int | None, cost: float | int | None, ttl: str | None) -> ReserveRequest:
    """Remembered as well."""
    asked = {"provider": provider or None, "model": model or None, "tokens": tokens, "cost": cost, "ttl": ttl}
    return parse(ReserveRequest, asked)


def _number(name: str, text: str) -> float | int | None:
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= 16:
        return int(text)
    try:
        # Python also reads 1_0, and the digits of other scripts.
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidRequest(f"{name} must be a number", param=name)
    return number


def _for_nginx(answer: Answer) -> Answer:
    """auth_request knows 2xx, 401 and 403 and makes a 500 of everything else: the true status comes in a header."""
    if answer.status in _UNDERSTOOD_BY_NGINX:
        return answer
    return Answer(403, answer.body, answer.lines + header_lines([(b"x-quota-status", b"%d" % answer.status)]))
