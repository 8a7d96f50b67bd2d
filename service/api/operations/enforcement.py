"""What gateways, and proxies, call around every request."""

from collections.abc import Mapping
from typing import Any, Final

from service.api.operations.operation import Answer, Model, Operation, Parameter, in_query
from service.models.costs import CostRequest, CostResponse
from service.models.enforcement import (
    BatchRequest,
    ExplainRequest,
    ReleaseRequest,
    RenewRequest,
    ReserveRequest,
    SettleRequest,
)
from service.models.enforcement_responses import (
    BatchResponse,
    ExplainResponse,
    ProblemResponse,
    RefusalResponse,
    ReleaseResponse,
    RenewResponse,
    ReserveResponse,
    SettleResponse,
)
from service.models.limits import LARGEST_COUNT
from service.models.responses import BifrostError
from service.money import MAX_DOLLARS

_PREFIX: Final = "/api/governance/quota/"
_SECURITY: Final = ("BearerAuth", "QuotaTokenAuth", "BasicAuth", "ApiKeyAuth")
_PROBLEM: Final[Mapping[str, Model]] = {"application/problem+json": ProblemResponse}

LIMIT_HEADERS: Final = (
    "RateLimit",
    "RateLimit-Policy",
    *(f"x-ratelimit-{part}-{noun}" for noun in ("requests", "tokens") for part in ("limit", "remaining", "reset")),
)
"""Left out where nothing limits the request."""

_VIRTUAL_KEY: Final = Parameter(
    name="x-bf-vk",
    place="header",
    description="The virtual key whose quota is used, unless the body names one.",
    schema={"type": "string"},
)
_IDEMPOTENCY_KEY: Final = Parameter(
    name="Idempotency-Key",
    place="header",
    description="The request_id, unless the body has one; with quotes or without.",
    schema={"type": "string"},
)


def _failed(description: str, *headers: str) -> Answer:
    return Answer(description=description, schema=BifrostError, also=_PROBLEM, headers=headers)


def _refused(description: str, *, optional_headers: tuple[str, ...] = (), headers: tuple[str, ...] = ()) -> Answer:
    return Answer(
        description=description, schema=RefusalResponse, also=_PROBLEM, headers=headers, optional_headers=optional_headers
    )


_BAD_CALLS: Final[Mapping[int, Answer]] = {
    400: _failed("The request is wrong; `error.param` names the member at fault."),
    401: _refused("No gateway or admin token, or no virtual key that is known.", headers=("WWW-Authenticate",)),
    403: _failed("No token is configured, and the caller is not on this machine."),
    413: _failed("The body is too large."),
    500: _failed("A mistake of the service; its log says which."),
    503: _failed("Redis did not answer: try again with the same id.", "Retry-After"),
}
_REFUSALS: Final[Mapping[int, Answer]] = {
    402: _refused("A budget is used up.", optional_headers=("Retry-After", *LIMIT_HEADERS)),
    403: _refused(
        "The virtual key is inactive or expired, or may not use this provider or model.", optional_headers=LIMIT_HEADERS
    ),
    429: _refused("A rate limit is used up.", optional_headers=("Retry-After", *LIMIT_HEADERS)),
}
_OTHER_REQUEST: Final = _failed("The id belongs to another request.")
_GONE: Final = _failed("There is no such reservation (any more).")


def _call(
    name: str,
    operation_id: str,
    summary: str,
    description: str,
    body: Model,
    answer: Answer,
    *others: Mapping[int, Answer],
    parameters: tuple[Parameter, ...] = (),
) -> Operation:
    answers: dict[int, Answer] = {200: answer, **_BAD_CALLS}
    for more in others:
        answers |= more
    return Operation(
        id=operation_id,
        method="post",
        path=_PREFIX + name,
        summary=summary,
        description=description,
        tag="Enforcement",
        parameters=parameters,
        body=body,
        answers=answers,
        security=_SECURITY,
    )


def _authorize(operation_id: str, path: str, *parameters: Parameter) -> Operation:
    return Operation(
        id=operation_id,
        method="get",
        path=path,
        summary="Authorize",
        description="For proxies that ask with a sub-request, by any method (nginx auth_request, Traefik ForwardAuth, Envoy "
        "ext_authz, Caddy forward_auth). No body is read. Counts one request and refuses where reserve would; the virtual key "
        "comes in the usual headers of a request, the gateway token in x-quota-token.",
        tag="Enforcement",
        parameters=(*parameters, _VIRTUAL_KEY),
        answers={
            200: Answer(
                description="The request may go",
                schema=None,
                headers=("x-quota-reservation",),
                optional_headers=("x-quota-degraded", *LIMIT_HEADERS),
            ),
            **{status: answer for status, answer in _BAD_CALLS.items() if status != 413},
            402: _REFUSALS[402],
            403: _refused(
                "As in reserve; with nginx=1 every refusal but 401.",
                optional_headers=("Retry-After", "x-quota-status", *LIMIT_HEADERS),
            ),
            429: _REFUSALS[429],
        },
        security=_SECURITY,
    )


_AUTHORIZE_MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "provider": {},
    "model": {},
    "tokens": {"type": "integer", "minimum": 0, "maximum": LARGEST_COUNT},
    "cost": {"type": "number", "minimum": 0, "maximum": MAX_DOLLARS},
}

OPERATIONS: Final = (
    _call(
        "reserve",
        "reserveQuota",
        "Reserve quota",
        "May this request go? Checks every limit that applies and takes what it asks from all of them, or from none. Repeated "
        "with the same request_id and body it gives the first answer and takes nothing.",
        ReserveRequest,
        Answer(description="The request may go", schema=ReserveResponse, optional_headers=LIMIT_HEADERS),
        _REFUSALS,
        {409: _OTHER_REQUEST},
        parameters=(_VIRTUAL_KEY, _IDEMPOTENCY_KEY),
    ),
    _call(
        "settle",
        "settleQuota",
        "Settle a reservation",
        "Charges what was really used and gives the rest back. Repeated, it gives the first answer. A reservation that ran out "
        "is charged all the same; so is one that is not known when provider, model and key are sent, too.",
        SettleRequest,
        Answer(description="Charged", schema=SettleResponse),
        {404: _GONE},
        parameters=(_VIRTUAL_KEY,),
    ),
    _call(
        "release",
        "releaseQuota",
        "Release a reservation",
        "The request never ran: gives everything back.",
        ReleaseRequest,
        Answer(description="Nothing is held any more", schema=ReleaseResponse),
        {409: _failed("It was settled; what is charged is not given back.")},
    ),
    _call(
        "renew",
        "renewQuota",
        "Renew a reservation",
        "A stream is still running: what it holds is held for `ttl` from now.",
        RenewRequest,
        Answer(description="Held for longer", schema=RenewResponse),
        {404: _GONE},
    ),
    _call(
        "explain",
        "explainQuota",
        "Explain a decision",
        "What reserve would answer now, with every check on the way. Changes nothing.",
        ExplainRequest,
        Answer(description="The decision", schema=ExplainResponse),
        parameters=(_VIRTUAL_KEY,),
    ),
    _call(
        "cost",
        "priceUsage",
        "Price a usage",
        "What settle would charge for this usage, with the working line by line. Charges nothing.",
        CostRequest,
        Answer(description="The cost", schema=CostResponse),
        parameters=(_VIRTUAL_KEY,),
    ),
    _call(
        "batch",
        "batchQuota",
        "Several calls at once",
        "Up to 256 calls of reserve, settle, release, renew and explain. Each is answered as if made alone; those of one "
        "reservation run in their order.",
        BatchRequest,
        Answer(description="What each was answered", schema=BatchResponse),
        parameters=(_VIRTUAL_KEY,),
    ),
    _authorize(
        "authorizeRequest",
        _PREFIX + "authorize",
        *(
            in_query(name, f"As in reserve; without it the header x-quota-{name}.", **schema)
            for name, schema in _AUTHORIZE_MEMBERS.items()
        ),
        in_query("ttl", "As in reserve: how long the hold lasts, 1s to 24h. No header stands in for it."),
        in_query("nginx", "1: refusals that nginx would not understand are 403 with the true status in x-quota-status."),
    ),
    _authorize(
        "authorizeRequestBelow",
        _PREFIX + "authorize/{anything}",
        Parameter(
            name="anything",
            place="path",
            description="Whatever path the proxy appends; it may have slashes and plays no part, nor does the query.",
            schema={"type": "string"},
        ),
        *(
            Parameter(name=f"x-quota-{name}", place="header", description="As in reserve.", schema={"type": "string", **schema})
            for name, schema in _AUTHORIZE_MEMBERS.items()
        ),
    ),
)
