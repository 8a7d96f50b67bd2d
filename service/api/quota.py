"""GET /api/governance/virtual-keys/quota: what a virtual key has left. Hot: one Redis round trip, nothing consumed.

A raw ASGI endpoint: the key in the headers is the only credential, so no admin check and no router stand before it.
"""

import logging
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from service.api.answers import error_body
from service.api.credentials import presented_virtual_key, same_secret
from service.api.rendering.quota import QuotaView
from service.errors import StoreUnavailable
from service.logs import SparingLog
from service.store.keys import virtual_key_id
from service.store.quota import QuotaReader

_unavailable = SparingLog(logging.getLogger(__name__))

PATH: Final = "/api/governance/virtual-keys/quota"

_JSON: Final = (b"content-type", b"application/json")
_CHALLENGE: Final = (b"www-authenticate", b"Bearer")


async def answer_quota(scope: Scope, receive: Receive, send: Send, reader: QuotaReader[QuotaView]) -> None:
    value = presented_virtual_key(Headers(scope=scope), any_in_own_header=True)
    if value is None:
        return await _refuse(send, 401, {"error": "Missing virtual key"}, _CHALLENGE)
    try:
        reading = await reader.read(virtual_key_id(value))
    except StoreUnavailable as error:
        _unavailable.warning("quota read failed: %r", error.__cause__)
        retry_after = (b"retry-after", error.headers["Retry-After"].encode())
        return await _refuse(send, 503, error_body(503, error.message), retry_after)
    if reading is None or not same_secret(value, reading.key.value):
        return await _refuse(send, 401, {"error": "Virtual key not found"}, _CHALLENGE)
    key = reading.key
    if key.is_active and key.expires_at_ms is not None and key.expires_at_ms <= reading.now_ms:
        return await _refuse(send, 403, {"error": "Virtual key has expired"})
    body = reading.view.show(reading.counters, reading.now_ms)
    await _send_json(send, 200, body, *reading.view.headers(reading.counters, reading.now_ms))


async def _refuse(send: Send, status: int, content: object, *headers: tuple[bytes, bytes]) -> None:
    await _send_json(send, status, orjson.dumps(content), *headers)


async def _send_json(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})
