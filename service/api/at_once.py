"""Takes a whole body from the server and hands it a whole answer, at once where that is possible. Hot.

The ASGI messages for it cost a fifth of a small answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.types import Scope, Send

AT_ONCE: Final = "quotad.at_once"
"""The ASGI extension of our server (protocol.py): its `read` answers the body, its `write` takes what send_at_once does.

It answers None or False when it cannot do that now; then they go the usual way.
"""

JSON: Final = (b"content-type", b"application/json")
CHALLENGE: Final = (b"www-authenticate", b"Bearer")

_NO_EXTENSIONS: Final[Mapping[str, Any]] = {}


def header_lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """As HTTP writes them. Names and values are ours, or were checked where they came in; this is the last gate."""
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    if lines.count(b"\n") != len(headers) or lines.count(b"\r") != len(headers):
        raise ValueError("a header holds the end of a line, so what follows would pass for another header")
    return lines


JSON_LINE: Final = header_lines([JSON])


def read_at_once(scope: Scope) -> bytes | None:
    """The whole body, if it has come."""
    extension = scope.get("extensions", _NO_EXTENSIONS).get(AT_ONCE)
    body: bytes | None = extension["read"]() if extension is not None else None
    return body


async def send_at_once(scope: Scope, send: Send, status: int, lines: bytes, body: bytes) -> None:
    """`lines` as header_lines makes them, without the length of the body."""
    extension = scope.get("extensions", _NO_EXTENSIONS).get(AT_ONCE)
    if extension is not None and extension["write"](status, lines, body):
        return
    headers = [tuple(line.split(b": ", 1)) for line in lines.split(b"\r\n")[:-1]]
    headers.insert(0, (b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
