"""What a client may not do: fill memory with requests, slip headers behind a body, take its answers never, send no HTTP."""

import asyncio
from typing import Any

import pytest

from service.api.at_once import JSON, header_lines, read_at_once, send_at_once
from tests.test_protocol import (
    ANSWER,
    GET,
    a_few_turns,
    at_once,
    closed_after_s,
    connected,
    in_two_messages,
    pass_s,
    passed_until_s,
)
from tests.test_protocol_clients import POST, reads_and_answers


class Gate:
    """An application whose answers wait until they may go."""

    def __init__(self) -> None:
        self.begun = 0
        self.headers: list[list[tuple[bytes, bytes]]] = []
        self._open = asyncio.Semaphore(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.begun += 1
        await self._open.acquire()
        self.headers.append(scope["headers"])
        await at_once(scope, receive, send)

    async def open(self, count: int = 1) -> None:
        for _ in range(count):
            self._open.release()
            await a_few_turns()


async def test_requests_that_are_sent_at_once_are_read_as_they_are_answered():
    """Each takes many times the memory that it takes to send."""
    gate = Gate()
    protocol, wire = connected(gate)
    count = 10_000
    protocol.data_received(GET * count)
    await a_few_turns()
    assert len(protocol.pipeline) < 200
    await gate.open(500)
    assert len(protocol.pipeline) < 200
    # What comes meanwhile comes behind them.
    protocol.data_received(GET.replace(b"GET", b"HEAD"))
    await gate.open(count - 500 + 1)
    answers = b"".join(wire.written)
    assert answers == ANSWER * count + ANSWER[:-2]
    assert wire.reading


async def test_a_body_behind_many_requests():
    protocol, wire = connected(reads_and_answers)
    body = b"x" * 100_000
    whole = GET * 300 + POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + GET
    for start in range(0, len(whole), 65_536):
        protocol.data_received(whole[start : start + 65_536])
    for _ in range(500):
        await a_few_turns()
    assert b"".join(wire.written).count(b"HTTP/1.1 200 OK") == 302
    assert body in b"".join(wire.written)


async def test_trailers_are_no_headers():
    """However they are cut: they would pass by what a proxy sees and strips."""
    head, end = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n", b"0\r\nAuthorization: Bearer x\r\nX-Bf-Vk: y\r\n\r\n"
    for parts in ([head + end], [head, end], [head + end[:3], end[3:]]):
        gate = Gate()
        protocol, wire = connected(gate)
        for part in parts:
            protocol.data_received(part)
        await gate.open()
        assert [[name for name, _ in headers] for headers in gate.headers] == [[b"host", b"transfer-encoding"]]
        assert wire.written == [ANSWER]


NO_HTTP = b"nonsense\r\n\r\n"


@pytest.mark.parametrize("cut", [False, True])
async def test_what_is_no_http_is_answered_behind_what_came_before(cut: bool):
    gate = Gate()
    protocol, wire = connected(gate)
    for part in [GET, GET, NO_HTTP] if cut else [GET + GET + NO_HTTP]:
        protocol.data_received(part)
    protocol.data_received(GET)
    await a_few_turns()
    assert wire.written == []
    await gate.open(2)
    assert b"".join(wire.written).startswith(ANSWER * 2 + b"HTTP/1.1 400 Bad Request")
    assert wire.is_closing()
    assert gate.begun == 2


async def test_a_body_that_is_no_http_is_answered_in_its_place():
    gate = Gate()
    protocol, wire = connected(gate)
    protocol.data_received(GET + POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"no size\r\n")
    await gate.open()
    answers = b"".join(wire.written)
    assert answers.startswith(ANSWER + b"HTTP/1.1 400 Bad Request")
    assert gate.begun == 1


async def test_a_client_that_takes_no_answers_is_gone_after_a_while():
    protocol, wire = connected(at_once, keep_alive_s=0.1)
    aborted = asyncio.Event()
    wire.abort = aborted.set  # type: ignore[method-assign]
    protocol.pause_writing()
    protocol.data_received(GET)
    assert await passed_until_s(aborted) == pytest.approx(0.1, abs=0.002)
    protocol.connection_lost(None)
    await a_few_turns()


async def test_a_client_that_takes_its_answers_late_is_not(caplog: pytest.LogCaptureFixture):
    protocol, wire = connected(at_once, keep_alive_s=0.2)
    aborted = asyncio.Event()
    wire.abort = aborted.set  # type: ignore[method-assign]
    for _ in range(4):
        protocol.pause_writing()
        protocol.data_received(GET)
        await pass_s(0.1)
        protocol.resume_writing()
        await a_few_turns()
    assert not aborted.is_set()
    assert b"".join(wire.written) == ANSWER * 4
    assert await closed_after_s(wire) == pytest.approx(0.2, abs=0.002)


@pytest.mark.parametrize("count", [2, 1_000])
async def test_who_sends_no_more_still_gets_the_answers(count: int):
    """Also to what is not read yet."""
    protocol, wire = connected(at_once)
    protocol.data_received(GET * count)
    assert protocol.eof_received() is True
    for _ in range(count):
        await a_few_turns()
    assert b"".join(wire.written) == ANSWER * count
    assert wire.is_closing()


@pytest.mark.parametrize("sent", [b"", GET[:-2], POST + b"Content-Length: 9\r\n\r\nhalf"])
async def test_who_sends_no_more_of_a_request_is_gone(sent: bytes):
    protocol, wire = connected(reads_and_answers)
    protocol.data_received(sent)
    await a_few_turns()
    protocol.eof_received()
    await a_few_turns()
    assert wire.is_closing()
    assert wire.written == []


async def test_an_answer_that_waits_to_be_sent_is_sent_to_who_sends_no_more():
    protocol, wire = connected(in_two_messages)
    protocol.data_received(GET)
    await asyncio.sleep(0)
    # The answer is complete, but goes out with the next turn.
    assert wire.written == []
    protocol.eof_received()
    assert wire.written == [ANSWER]
    assert wire.is_closing()


LARGE = POST + b"Content-Length: 10000\r\n\r\n" + b"x" * 10_000


@pytest.mark.parametrize("last, answers", [(LARGE, 1), (LARGE[:-1], 0), (b"\r\n", 0), (GET[:7], 0)])
@pytest.mark.parametrize("count", [1, 2, 64])
@pytest.mark.parametrize("app", [at_once, in_two_messages, reads_and_answers])
async def test_what_came_whole_before_the_end_is_answered(app: Any, count: int, last: bytes, answers: int):
    """Whatever comes behind it, and however late it is read."""
    protocol, wire = connected(app)
    protocol.data_received(GET * count + last)
    protocol.eof_received()
    for _ in range(count + 5):
        await a_few_turns()
    # An application that does not read the body answers without its end, while the connection is there.
    assert count + answers <= b"".join(wire.written).count(b"HTTP/1.1 200 OK") <= count + (last[:4] == b"POST")
    assert wire.is_closing()


@pytest.mark.parametrize("framing", [b"identity", b"gzip", b"xchunked", b"chunked;a=b"])
async def test_a_body_of_unknown_end_behind_a_wish_for_another_protocol(framing: bytes, caplog: pytest.LogCaptureFixture):
    protocol, wire = connected(reads_and_answers)
    wish = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: a\r\nTransfer-Encoding: %b\r\n\r\n" % framing
    protocol.data_received(GET * 3 + wish)
    for _ in range(5):
        await a_few_turns()
    answers = b"".join(wire.written)
    assert (answers.count(b"HTTP/1.1 200 OK"), answers.count(b"HTTP/1.1 400 Bad Request")) == (3, 1)
    assert wire.is_closing()


async def test_a_client_that_takes_a_long_answer_slowly_is_not_gone():
    """Only when it takes nothing any more."""
    protocol, wire = connected(at_once, keep_alive_s=0.01)
    aborted = asyncio.Event()
    wire.abort = aborted.set  # type: ignore[method-assign]
    unsent = [5, 4, 3, 3, 2]
    wire.get_write_buffer_size = lambda: unsent.pop(0)  # type: ignore[method-assign]
    protocol.pause_writing()
    assert await passed_until_s(aborted) == pytest.approx(0.03, abs=0.005)
    assert unsent == [2]
    protocol.connection_lost(None)


async def test_to_go_on_is_said_to_http_1_1_only():
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert read_at_once(scope) is None
        await receive()
        await send_at_once(scope, send, 200, header_lines([JSON]), b"{}")

    for version, told in ((b"1.1", True), (b"1.0", False)):
        protocol, wire = connected(app)
        head = POST.replace(b"1.1", version) + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        protocol.data_received(head)
        await a_few_turns()
        assert any(b"100 Continue" in part for part in wire.written) is told


@pytest.mark.parametrize(
    "lines, version, is_served",
    [
        (b"Host: h\r\n", b"1.1", True),
        (b"", b"1.1", False),
        (b"Host: h\r\nHost: h\r\n", b"1.1", False),
        (b"", b"1.0", True),
        (b"Host: h\r\nHost: g\r\n", b"1.0", False),
    ],
)
async def test_one_host(lines: bytes, version: bytes, is_served: bool):
    """RFC 9112, 3.2."""
    protocol, wire = connected(at_once)
    protocol.data_received(b"GET / HTTP/%b\r\n%b\r\n" % (version, lines))
    await a_few_turns()
    assert b"".join(wire.written).startswith(b"HTTP/1.1 200" if is_served else b"HTTP/1.1 400")
