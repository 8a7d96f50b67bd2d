"""How uvicorn speaks HTTP for quotad: the standard error body for what is no HTTP, answers written in one system call."""

import asyncio
import logging
from collections import deque
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import httptools
import orjson
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.api.at_once import AT_ONCE, JSON, header_lines
from service.logs import ThrottledLog
from service.remembered import LONGEST_REMEMBERED
from service.timeouts import TimedProtocol
from service.transport import Flow

_LONGEST_FIELDS: Final = 131_072
"""Most bytes of a head, or of trailers, behind the segment in which they begin: all of them are kept in memory."""

_FIELD_BYTES: Final = 128
"""Counted for each field of a head on top of its own bytes: a field of a few bytes takes many times as much memory."""

_FED_AT_ONCE: Final = 4_096
"""Bytes that the parser is given before we look whether requests are queued: small ones cost us many times what they cost the
client.
"""

_FRAMING: Final = (b"content-length", b"transfer-encoding")
"""Headers that say where a body ends."""

_NOWHERE: Final[Any] = deque(maxlen=0)
"""A list that keeps nothing."""
_NOT_HTTP: Final = "this is no HTTP request that quotad can read"

_unread = ThrottledLog(logging.getLogger("quotad"))


class _Malformed(Exception):
    """HTTP that the parser takes, and that must not be taken (RFC 9112, 3.2)."""


class Protocol(TimedProtocol):
    """One connection. From top to bottom: bytes that come, the last answer and the end, requests as the parser finds them, their
    bodies and answers at once (api/at_once.py).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # uvicorn would make a line for every answer, and nobody would read it.
        self.access_log = False
        # One for all requests: in each it would be part of a cycle, which only the garbage collector could resolve.
        self._extensions: dict[str, Any] = {AT_ONCE: {"read": self._read_at_once, "write": self._write_at_once}}
        self._answering: RequestResponseCycle | None = None
        """The request that the application answers now, or has answered last."""
        # Headers of every answer, such as the date: another list every second.
        self._default_headers = self.server_state.default_headers
        self._default_lines = header_lines(self._default_headers)
        self._fields: object | None = None
        """Another object for each head and for the trailers of each body, while they come; else None."""
        self._fields_bytes = 0
        """Bytes of them that have come in later segments."""
        self._head_is_known = False
        """The head that comes is the one that _ignore_upgrade repeats."""
        self._host_count = 0
        """Host headers in the head that comes."""
        self._unfed: bytes | memoryview[int] = b""
        """What came behind queued requests."""
        self._refusal = b""
        """The last answer of the connection, behind those that are under way."""
        self._ends = False
        """No further request is to come."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(self._out, self.pipeline)

    def data_received(self, data: bytes) -> None:
        self._idle_since = None
        if len(data) > _FED_AT_ONCE or self.pipeline or self._unfed or self._refusal:
            self._feed_in_parts(data)
        elif (taken := self._feed(data)) < len(data):
            self._feed_in_parts(memoryview(data)[taken:])

    def _feed_in_parts(self, data: "bytes | memoryview[int]") -> None:
        """What comes behind queued requests waits for them."""
        rest = memoryview(b"".join((self._unfed, data)))
        while rest and not self._refusal:
            if self.pipeline:
                self._unfed = rest
                return
            rest = rest[self._feed(rest[:_FED_AT_ONCE]) :]
        self._unfed = b""
        if self._ends:
            self._end()

    def _feed_rest(self) -> None:
        if not self.transport.is_closing():
            self._feed_in_parts(b"")

    def _feed(self, part: "bytes | memoryview[int]") -> int:
        """Gives the parser a part, and says how many of its bytes were taken."""
        taken, fields = len(part), self._fields
        try:
            taken = self._parse(part)
        except httptools.HttpParserError as error:
            complaint = str(error.__context__) if isinstance(error.__context__, _Malformed) else _NOT_HTTP
            _unread.warning("refused what is no HTTP request: %s", complaint)
            self._refuse(400, complaint)
            return taken
        if fields is not None and fields is self._fields:
            self._fields_bytes += taken
            if self._fields_bytes + len(self.headers) * _FIELD_BYTES > _LONGEST_FIELDS:
                self._refuse(431, f"the target and the headers are larger than {_LONGEST_FIELDS} bytes, or too many")
                return taken
        cycle = self.cycle
        if cycle is None or cycle.more_body or cycle.response_complete:
            self._wait_for_client()
        return taken

    def _parse(self, part: "bytes | memoryview[int]") -> int:
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as upgrade:
            # What follows CONNECT is for whoever it was sent to connect to, which we do not.
            if self.cycle.scope["method"] != "CONNECT":
                self._ignore_upgrade()
                return int(upgrade.args[0])
        return len(part)

    def _ignore_upgrade(self) -> None:
        """As RFC 9110, 7.8 allows. The parser takes what follows the head for another protocol, and the request for complete.
        Another parser reads what frames the body, without the wish, and is to go on with the body.
        """
        cycle = self.cycle
        # The task of the cycle has not run yet, so nobody has seen it complete.
        cycle.more_body = True
        cycle.message_event.clear()
        framing = header_lines([header for header in cycle.scope["headers"] if header[0] in _FRAMING])
        self._head_is_known = True
        self.parser = httptools.HttpRequestParser(self)
        # As uvicorn does: a request behind one that closes the connection is no error.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"POST / HTTP/%b\r\n%b\r\n" % (cycle.scope["http_version"].encode(), framing))

    def _refuse(self, status: int, message: str) -> None:
        """The last answer of this connection. Requests that came as a whole before are answered first."""
        # Not at the top: it brings Starlette, which is imported while the embedded Redis starts (server.import_application).
        from service.api.answers import error_body

        body = orjson.dumps(error_body(status, message))
        lines = header_lines([JSON, (b"content-length", b"%d" % len(body)), (b"connection", b"close")])
        self._refusal = b"".join((STATUS_LINE[status], lines, b"\r\n", body))
        self._ends = True
        if self.pipeline and self.pipeline[0][0].more_body:
            # It is the body of the last one that is wrong.
            self.pipeline.popleft()
        self._end()

    def eof_received(self) -> bool:  # type: ignore[override]
        """True: the connection stays for the answers that are under way."""
        self._ends = True
        self._end()
        return True

    def _end(self) -> None:
        """Where no further request is to come: once nothing is left that has come as a whole and is not answered yet."""
        answering = self._answering
        is_answering = answering is not None and not answering.response_complete and not answering.more_body
        if is_answering or self.pipeline or self._unfed or self.transport.is_closing():
            return
        self._abandon()
        if self._refusal:
            self.transport.write(self._refusal)
        self.transport.close()

    def _abandon(self) -> None:
        """Nobody will read the answers that are still to come; uvicorn tells so to the last request only."""
        self.pipeline.clear()
        cycle = self._answering
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._abandon()
        self._extensions.clear()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._begin(*self.pipeline.pop())
            if self._unfed and not self.pipeline:
                self.loop.call_soon(self._feed_rest)
        else:
            self._wait_for_client()
        self.flow.resume_reading()
        if self._ends:
            self._end()

    # What the parser calls, in this order. uvicorn's own methods ask it three times about an upgrade, which we never make.

    def on_message_begin(self) -> None:
        self.url = b""
        self.expect_100_continue = False
        self._fields = self.headers = []
        self._fields_bytes = self._host_count = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        name, value = name.lower(), value.rstrip(b" \t")  # spaces behind it are no part of it (RFC 9110, 5.5)
        if name == b"host":
            self._host_count += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._fields = None
        if self._head_is_known:
            self._head_is_known = False
            return
        version = self.parser.get_http_version()
        if self._host_count != 1 and (self._host_count or version == "1.1"):
            raise _Malformed("a request needs one Host header, not more and, in HTTP/1.1, not less")
        if self.expect_100_continue and version == "1.0":
            self.expect_100_continue = False
        path, raw_path, query = (_target if len(self.url) <= LONGEST_REMEMBERED else _parse_target)(self.url)
        before = self.cycle
        self.cycle = _Cycle(
            self,
            {
                "type": "http",
                "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
                "http_version": version,
                "server": self.server,
                "client": self.client,
                "scheme": self.scheme or "http",
                "root_path": self.root_path,
                "headers": self.headers,
                "state": self.app_state.copy(),
                "method": self.parser.get_method().decode("ascii"),
                "path": path,
                "raw_path": raw_path,
                "query_string": query,
                "extensions": self._extensions,
            },
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
        )
        # Trailers are no headers: what they say of the caller nobody in front of us has seen.
        self.headers = _NOWHERE
        if before is None or before.response_complete:
            self._begin(self.cycle, self.app)
        else:
            # It was sent before the one before it is answered.
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_chunk_header(self) -> None:
        # Trailers follow, if it is the last chunk.
        self._fields, self._fields_bytes = object(), 0

    def on_chunk_complete(self) -> None:
        self._fields = None

    def on_body(self, body: bytes) -> None:
        self._fields = None
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.more_body = False
            cycle.message_event.set()

    def _begin(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Has the application answer a request; the next one is begun when this one is answered."""
        self._answering = cycle
        self._start_asgi_task(cycle, app)

    def _read_at_once(self) -> bytes | None:
        """What RequestResponseCycle.receive gives, for a body that is there as a whole."""
        cycle = self._answering
        assert cycle is not None
        if cycle.more_body or cycle.disconnected or cycle.waiting_for_100_continue or not cycle.message_event.is_set():
            return None
        self.flow.resume_reading()
        cycle.message_event.clear()
        body, cycle.body = bytes(cycle.body), bytearray()
        return body

    def _write_at_once(self, status: int, lines: bytes, body: bytes) -> bool:
        """What RequestResponseCycle.send does, for an answer that is there as a whole."""
        cycle = self._answering
        assert cycle is not None
        if cycle.disconnected:
            return True
        if self.flow.write_paused or cycle.response_started:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        length = b"content-length: %d\r\n" % len(body)
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        if cycle.scope["method"] == "HEAD":
            body = b""
        if self._default_headers is not self.server_state.default_headers:
            self._default_headers = self.server_state.default_headers
            self._default_lines = header_lines(self._default_headers)
        self._out.write_now(b"".join((STATUS_LINE[status], self._default_lines, length, lines, end, body)))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True


class _Cycle(RequestResponseCycle):
    """A request and its answer. What is the same at the beginning of all belongs to the class: half the work to make one."""

    access_log = False
    disconnected = False
    more_body = True
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0

    def __init__(self, protocol: Protocol, scope: Any, *, keep_alive: bool) -> None:
        self.scope = scope
        self.transport = protocol.transport
        self.flow = protocol.flow
        self.logger = protocol.logger
        self.default_headers = protocol.server_state.default_headers
        self.message_event = asyncio.Event()
        self.on_response = protocol.on_response_complete
        self.keep_alive = keep_alive
        self.waiting_for_100_continue = protocol.expect_100_continue
        self.body = bytearray()


def _parse_target(url: bytes) -> tuple[str, bytes, bytes]:
    """The path, the same as it was sent, and the query."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


_target: Final = lru_cache(maxsize=1024)(_parse_target)
"""Gateways and proxies ask for the same few."""
