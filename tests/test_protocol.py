"""Our part of uvicorn's protocol, on a transport that the test holds: what is written when, and in which order."""

import asyncio
import gc
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from service.api.at_once import AT_ONCE, JSON, header_lines, read_at_once, send_at_once
from service.protocol import Protocol

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 2\r\ncontent-type: application/json\r\n"
ANSWER = HEAD + b"\r\n{}"


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = asyncio.Event()
        self.reading = True

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed.set()

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


async def at_once(scope: Any, receive: Any, send: Any) -> None:
    assert AT_ONCE in scope["extensions"]
    await send_at_once(scope, send, 200, header_lines([JSON]), b"{}")


async def in_two_messages(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2"), JSON]})
    await send({"type": "http.response.body", "body": b"{}"})


def connected(app: Any, keep_alive_s: float = 5) -> tuple[Protocol, Wire]:
    """The clock stands still from now on: what a slow machine takes for a test is no time that a client let pass."""
    loop = asyncio.get_running_loop()
    stopped_at = float(int(loop.time()))
    setattr(loop, "time", lambda: stopped_at)  # noqa: B010
    state = ServerState()
    state.default_headers = [(b"date", b"today")]
    config = uvicorn.Config(app, ws="none", log_config=None, timeout_keep_alive=keep_alive_s)  # type: ignore[arg-type]
    protocol = Protocol(config=config, server_state=state, app_state={})
    wire = Wire()
    protocol.connection_made(wire)
    return protocol, wire


async def a_few_turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def pass_s(seconds: float) -> None:
    """Puts the clock forward once what is under way is done; what is due by then is done, too."""
    await a_few_turns()
    loop = asyncio.get_running_loop()
    put_to = loop.time() + seconds
    setattr(loop, "time", lambda: put_to)  # noqa: B010
    await a_few_turns()


@pytest.mark.parametrize("app", [at_once, in_two_messages])
@pytest.mark.parametrize(
    "asked, answered",
    [
        (GET, ANSWER),
        (GET.replace(b"GET", b"HEAD"), HEAD + b"\r\n"),
        (GET.replace(b"1.1", b"1.0"), HEAD + b"connection: close\r\n\r\n{}"),
        (GET.replace(b"Host: h", b"Host: h\r\nConnection: close"), HEAD + b"connection: close\r\n\r\n{}"),
    ],
    ids=["GET", "HEAD", "HTTP/1.0", "to be closed"],
)
async def test_both_ways_write_the_same_in_one_call(app: Any, asked: bytes, answered: bytes):
    protocol, wire = connected(app)
    protocol.data_received(asked)
    await a_few_turns()
    assert wire.written == [answered]
    assert wire.is_closing() == (b"close" in answered)
    protocol.connection_lost(None)


@pytest.mark.parametrize(
    "sent, read",
    [
        ([b"Content-Length: 4\r\n\r\nbody"], b"body"),
        ([b"Content-Length: 0\r\n\r\n"], b""),
        ([b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"], b"body"),
        ([b"Content-Length: 4\r\n\r\nbo", b"dy"], None),
        ([b"Content-Length: 4\r\n\r\n", b"body"], None),
        ([b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\nbody"], None),
    ],
    ids=["whole", "empty", "in chunks", "in parts", "later", "when asked for"],
)
async def test_a_body_that_has_come_is_read_at_once(sent: list[bytes], read: bytes | None):
    """Any other, and what comes after it, is received as usual."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(read_at_once(scope))
        body = found[0] or b""
        while (message := await receive())["type"] != "http.disconnect":
            body += message["body"]
        found.append(body)

    protocol, _ = connected(app)
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: h\r\n" + sent[0])
    await a_few_turns()
    for part in sent[1:]:
        protocol.data_received(part)
        await a_few_turns()
    assert found == [read]
    protocol.connection_lost(None)
    await a_few_turns()
    assert found == [read, b"body" if read != b"" else b""]


async def test_the_date_of_another_second():
    protocol, wire = connected(at_once)
    for day in (b"today", b"tomorrow", b"later", b"much later"):
        protocol.server_state.default_headers = [(b"date", day)]
        protocol.data_received(GET)
        await a_few_turns()
        assert wire.written.pop() == ANSWER.replace(b"today", day)


async def test_nothing_is_written_while_the_client_takes_nothing():
    protocol, wire = connected(at_once)
    protocol.pause_writing()
    protocol.data_received(GET + GET)
    await a_few_turns()
    assert wire.written == []
    protocol.resume_writing()
    await a_few_turns()
    assert b"".join(wire.written) == ANSWER + ANSWER


async def test_what_came_first_is_written_first():
    """One answer in two messages, then one at once, all within one turn of the loop."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await (at_once if scope["path"] == "/" else in_two_messages)(scope, receive, send)

    protocol, wire = connected(app)
    protocol.data_received(GET.replace(b"/ ", b"/two ") + GET + GET.replace(b"/ ", b"/two ") + GET)
    await a_few_turns()
    assert b"".join(wire.written) == ANSWER * 4


async def test_a_client_that_has_gone_is_written_nothing():
    gone = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gone.wait()
        await at_once(scope, receive, send)

    protocol, wire = connected(app)
    protocol.data_received(GET)
    await a_few_turns()
    protocol.connection_lost(ConnectionResetError())
    gone.set()
    await a_few_turns()
    assert wire.written == []


async def passed_until_s(event: asyncio.Event) -> float:
    """In steps of about a millisecond, whose sums are exact; 2 seconds where it does not come."""
    for steps in range(2_048):
        if event.is_set():
            return steps / 1_024
        await pass_s(1 / 1_024)
    return 2.0


async def closed_after_s(wire: Wire) -> float:
    return await passed_until_s(wire.closed)


async def test_an_idle_connection_is_closed_when_it_was_idle_long_enough():
    protocol, wire = connected(at_once, keep_alive_s=0.2)
    for _ in range(3):
        protocol.data_received(GET)
        await pass_s(0.12)
        assert not wire.is_closing()
    # The last answer was 0.12 s ago.
    assert await closed_after_s(wire) == pytest.approx(0.08, abs=0.002)


async def test_a_connection_is_not_idle_while_its_request_is_answered():
    answered = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/":
            await answered.wait()
        await at_once(scope, receive, send)

    protocol, wire = connected(app, keep_alive_s=0.05)
    protocol.data_received(GET)
    await a_few_turns()
    protocol.data_received(GET.replace(b"/ ", b"/slow ", 1))
    await pass_s(0.2)
    assert not wire.is_closing()
    answered.set()
    assert await closed_after_s(wire) == pytest.approx(0.05, abs=0.002)
    assert b"".join(wire.written) == ANSWER + ANSWER


async def test_nothing_is_left_of_a_connection_that_broke():
    protocol, _ = connected(at_once)
    protocol.data_received(GET)
    await a_few_turns()
    protocol.connection_lost(ConnectionResetError())
    assert protocol.timeout_keep_alive_task is not None
    assert protocol.timeout_keep_alive_task.cancelled()
    assert protocol not in protocol.server_state.connections


async def test_a_request_leaves_nothing_to_the_garbage_collector():
    """Whatever it left would be found by a collection, for which all requests wait."""
    protocol, wire = connected(at_once)
    protocol.data_received(GET)
    await a_few_turns()
    gc.collect()
    for _ in range(100):
        protocol.data_received(GET)
        await a_few_turns()
    assert gc.collect() < 50
    assert b"".join(wire.written) == ANSWER * 101
