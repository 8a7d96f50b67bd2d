"""GET /api/governance/virtual-keys/quota: what a virtual key has left. Hot: one Redis round trip, nothing consumed.

A raw ASGI endpoint: the key in the headers is the only credential, so no admin check and no router stand before it.
"""

import logging
from typing import Final

import orjson
from starlette.types import Receive, Scope, Send

from service.api.answers import error_body
from service.api.at_once import CHALLENGE, JSON, header_lines, send_at_once
from service.api.calls import render_bug
from service.api.credentials import headers_of, presented_virtual_key
from service.api.enforcement import send_answer
from service.api.rendering.quota import QuotaView
from service.errors import StoreUnavailable
from service.logs import ThrottledLog
from service.quota.decision import KEY_EXPIRED
from service.store.keys import virtual_key_id
from service.store.quota import QuotaReader

_unavailable = ThrottledLog(logging.getLogger(__name__))

PATH: Final = "/api/governance/virtual-keys/quota"


async def answer_quota(scope: Scope, receive: Receive, send: Send, reader: QuotaReader[QuotaView]) -> None:
    value = _presented(scope)
    if value is None:
        return await _refuse(scope, send, 401, {"error": "Missing virtual key"}, CHALLENGE)
    try:
        reading = await reader.read(virtual_key_id(value))
    except StoreUnavailable as error:
        _unavailable.warning("quota read failed: %s", error.reason)
        retry_after = (b"retry-after", error.headers["Retry-After"].encode())
        return await _refuse(scope, send, 503, error_body(503, error.message), retry_after)
    except Exception:
        return await send_answer(scope, send, render_bug("a quota read"))
    if reading is None or not reading.key.has_value(value):
        return await _refuse(scope, send, 401, {"error": "Virtual key not found"}, CHALLENGE)
    key = reading.key
    if key.is_active and key.expires_at_ms is not None and key.expires_at_ms <= reading.now_ms:
        return await _refuse(scope, send, 403, {"error": KEY_EXPIRED})
    headers = reading.view.header_lines(reading.counters, reading.now_ms)
    await send_at_once(scope, send, 200, headers, reading.view.show(reading.counters, reading.now_ms))


def _presented(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        # It comes before all others, and nearly every caller sends it: no need to read all of them.
        if name == b"x-bf-vk":
            if value:
                return str(value, "latin-1")
            break
    return presented_virtual_key(headers_of(scope), any_in_own_header=True)


async def _refuse(scope: Scope, send: Send, status: int, content: object, *headers: tuple[bytes, bytes]) -> None:
    await send_at_once(scope, send, status, header_lines([JSON, *headers]), orjson.dumps(content))
