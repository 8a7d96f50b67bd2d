"""Reading request bodies: bounded in size, parsed into a model, in the order of checks that clients see."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from pydantic import BaseModel
from starlette.requests import ClientDisconnect, Request

from service.api.services import services_of
from service.errors import InvalidRequest, PayloadTooLarge
from service.models.parsing import InvalidValue, parse

Model = TypeVar("Model", bound=BaseModel)

_LONGEST_LENGTH: Final = 19
"""Digits of a Content-Length worth reading."""


async def read_body(request: Request) -> bytes:
    """The whole body, or PayloadTooLarge as soon as it is known to be larger than the setting allows."""
    return await read_bounded(request, services_of(request).settings.max_body_bytes)


async def read_bounded(request: Request, largest_bytes: int) -> bytes:
    too_large = PayloadTooLarge(f"the body is larger than {largest_bytes} bytes")
    declared = request.headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdecimal()):
        raise InvalidRequest("the Content-Length header is not a number")
    if len(declared) > _LONGEST_LENGTH or int(declared) > largest_bytes:
        raise too_large
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > largest_bytes:
                raise too_large
            chunks.append(chunk)
    except ClientDisconnect as gone:
        # Nobody reads this answer; a client that gives up is no mistake of ours.
        raise InvalidRequest("the connection ended before the body did") from gone
    return b"".join(chunks)


async def parse_body(request: Request, model: type[Model]) -> Model:
    return parse(model, await read_body(request))


async def parse_update(request: Request, model: type[Model], require_entity: Callable[[], Awaitable[None]]) -> Model:
    """What is malformed is refused first, then an unknown id (`require_entity` raises NotFound), then wrong values."""
    body = await read_body(request)
    try:
        return parse(model, body)
    except InvalidValue:
        await require_entity()
        raise
