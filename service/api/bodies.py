"""Reading request bodies: bounded in size, parsed into a model, in the order of checks that clients see."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.types import Receive, Scope

from service.api.at_once import read_at_once
from service.api.services import services_of
from service.errors import InvalidRequest, PayloadTooLarge
from service.models.parsing import InvalidValue, parse

Model = TypeVar("Model", bound=BaseModel)

_LONGEST_LENGTH: Final = 19
"""Digits of a Content-Length worth reading."""


async def read_body(request: Request) -> bytes:
    """The whole body, or PayloadTooLarge as soon as it is known to be larger than the setting allows."""
    return await receive_body(request.scope, request.receive, request.headers, services_of(request).settings.max_body_bytes)


async def receive_body(scope: Scope, receive: Receive, headers: Mapping[str, str], largest_bytes: int) -> bytes:
    body = read_at_once(scope)
    if body is None:
        return await _receive(receive, headers, largest_bytes)
    if len(body) > largest_bytes:
        raise _too_large(largest_bytes)
    return body


async def _receive(receive: Receive, headers: Mapping[str, str], largest_bytes: int) -> bytes:
    declared = headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdecimal()):
        raise InvalidRequest("the Content-Length header is not a number")
    if len(declared) > _LONGEST_LENGTH or int(declared) > largest_bytes:
        raise _too_large(largest_bytes)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # Nobody reads this answer; a client that gives up is no mistake of ours.
            raise InvalidRequest("the connection ended before the body did")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > largest_bytes:
            raise _too_large(largest_bytes)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(largest_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body is larger than {largest_bytes} bytes")


async def parse_body(request: Request, model: type[Model]) -> Model:
    return parse(model, await read_body(request))


async def parse_update(request: Request, model: type[Model], require_entity: Callable[[], Awaitable[object]]) -> Model:
    """What is malformed is refused first, then an unknown id (`require_entity` raises NotFound), then wrong values."""
    body = await read_body(request)
    try:
        return parse(model, body)
    except InvalidValue:
        await require_entity()
        raise
