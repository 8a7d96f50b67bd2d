"""Responses: JSON bodies, and every failure as the standard error body (contract.md 0.2)."""

import logging
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from service.errors import InvalidRequest, PayloadTooLarge, ServiceError

_log = logging.getLogger(__name__)


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def error_body(status: int, message: str, param: str | None = None) -> dict[str, Any]:
    error = {"message": message} if param is None else {"message": message, "param": param}
    return {"is_bifrost_error": False, "status_code": status, "error": error, "extra_fields": {}}


def error_answer(error: ServiceError) -> Response:
    return json_answer(error_body(error.status, error.message, error.param), error.status, error.headers)


async def answer_service_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    if error.status >= 500:
        _log.warning("%s %s answered %d", request.method, request.url.path, error.status, exc_info=error.__cause__)
    return error_answer(error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses: 404 of unknown paths, 405 with Allow."""
    assert isinstance(error, HTTPException)
    message = {
        404: f"there is nothing at {request.url.path}",
        405: f"{request.method} is not possible here",
    }.get(error.status_code, error.detail)
    return json_answer(error_body(error.status_code, message), error.status_code, error.headers)


async def answer_bug(request: Request, error: Exception) -> Response:
    """Nothing of the error goes to the client; the server logs it."""
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return json_answer(error_body(500, "quotad made a mistake; its log says which"), 500)


async def read_body(request: Request, largest_bytes: int) -> bytes:
    """The whole body, or PayloadTooLarge as soon as it is known to be larger."""
    too_large = PayloadTooLarge(f"the body is larger than {largest_bytes} bytes")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal():
        raise InvalidRequest("the Content-Length header is not a number")
    if int(declared) > largest_bytes:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > largest_bytes:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)
