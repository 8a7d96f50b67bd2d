"""Responses: JSON bodies, and every failure as the standard error body."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.errors import ServiceError, StoreUnavailable
from service.logs import ThrottledLog

_log = logging.getLogger(__name__)
_unavailable = ThrottledLog(_log)

BUG: Final = "quotad made a mistake; its log says which"
"""Nothing of the error itself goes to the client."""

_LONGEST_MESSAGE: Final = 500
"""A message repeats ids and paths of the client, which may be as long as it likes."""


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def error_body(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}..."
    error = {"message": message} if param is None else {"message": message, "param": param}
    return {"is_bifrost_error": False, "status_code": status, "error": error, "extra_fields": {}}


def error_response(error: ServiceError) -> Response:
    return json_answer(error_body(error.status, error.message, error.param), error.status, error.headers)


async def answer_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if isinstance(error, StoreUnavailable):
        _unavailable.warning("%s %s answered %d: %s", request.method, request.url.path, error.status, error.reason)
    return error_response(error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses: 404 of unknown paths, 405 with Allow."""
    assert isinstance(error, HTTPException)
    message = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not possible here",
    }.get(error.status_code, error.detail)
    return json_answer(error_body(error.status_code, message), error.status_code, error.headers)


async def answer_bug(request: Request, error: Exception) -> Response:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return json_answer(error_body(500, BUG), 500)
