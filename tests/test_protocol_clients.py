"""Clients that are slow, leave, ask for more than they wait for, wish for another protocol, or send heads without end."""

import asyncio
import json
from typing import Any

import pytest

from service.api.at_once import JSON, header_lines, read_at_once, send_at_once
from tests.test_protocol import ANSWER, GET, Wire, a_few_turns, at_once, closed_after_s, connected, in_two_messages, pass_s

# Idle without an answer, or behind one.


async def reads_and_answers(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what was asked for, as the application got it."""
    body, message = read_at_once(scope), None
    if body is None:
        body = b""
        while message is None or message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
    found = json.dumps([scope["method"], scope["path"], body.decode()]).encode()
    await send_at_once(scope, send, 200, header_lines([JSON]), found)


POST = b"POST /p HTTP/1.1\r\nHost: h\r\n"

SILENT = {
    "nothing": [],
    "half a head": [b"GET / HT"],
    "empty lines": [b"\r\n"],
    "half a body": [POST + b"Content-Length: 9\r\n\r\nhalf"],
    "an answered request and half a head": [GET, GET[:-2]],
}


@pytest.mark.parametrize("sent", SILENT.values(), ids=SILENT)
async def test_a_client_that_sends_no_whole_request_is_idle(sent: list[bytes]):
    protocol, wire = connected(reads_and_answers, keep_alive_s=0.1)
    for part in sent:
        protocol.data_received(part)
        await a_few_turns()
    assert await closed_after_s(wire) == pytest.approx(0.1, abs=0.002)


async def test_a_body_that_comes_behind_its_answer_starts_the_time_again():
    protocol, wire = connected(at_once, keep_alive_s=0.2)
    protocol.data_received(POST + b"Content-Length: 4\r\n\r\n")
    for part in (b"bo", b"dy"):
        await pass_s(0.12)
        protocol.data_received(part)
    assert wire.written == [ANSWER]
    await pass_s(0.12)
    assert not wire.is_closing()
    assert await closed_after_s(wire) == pytest.approx(0.08, abs=0.002)


async def test_a_client_is_not_idle_while_it_is_not_read():
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await reads_and_answers(scope, receive, send)

    protocol, wire = connected(app, keep_alive_s=0.05)
    protocol.data_received(POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 70_000)
    await pass_s(0.2)
    assert not wire.reading
    assert not wire.is_closing()
    go_on.set()
    await a_few_turns()
    assert wire.reading
    assert await closed_after_s(wire) == pytest.approx(0.05, abs=0.002)


async def test_a_client_that_goes_away_with_requests_queued(caplog: pytest.LogCaptureFixture):
    """Neither the answer that is under way nor those of the queued ones are written."""
    gone, begun, messages = asyncio.Event(), [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(scope["path"])
        await receive()
        messages.append(await receive())
        await gone.wait()
        await in_two_messages(scope, receive, send)

    protocol, wire = connected(app)
    protocol.data_received(GET * 3)
    await a_few_turns()
    protocol.connection_lost(ConnectionResetError())
    await a_few_turns()
    assert messages == [{"type": "http.disconnect"}]
    gone.set()
    await a_few_turns()
    assert begun == ["/"]
    assert wire.written == []
    assert not protocol.pipeline
    assert caplog.records == []


async def test_what_waits_to_be_sent_is_not_written_to_a_closed_transport():
    protocol, wire = connected(in_two_messages)
    protocol.data_received(GET)
    await asyncio.sleep(0)
    wire.close()
    await a_few_turns()
    assert wire.written == []


# Pipelining.


async def test_nothing_is_read_while_requests_are_queued():
    answers = asyncio.Semaphore(0)
    begun: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.append(read_at_once(scope) if len(begun) % 2 else (await receive())["body"])
        await answers.acquire()
        await at_once(scope, receive, send)

    protocol, wire = connected(app)
    protocol.data_received(GET * 4)
    read_while = []
    for _ in range(4):
        await a_few_turns()
        read_while.append(wire.reading)
        answers.release()
    assert read_while == [False, False, False, True]
    await a_few_turns()
    assert begun == [b""] * 4
    assert b"".join(wire.written) == ANSWER * 4


@pytest.mark.parametrize("large", [False, True], ids=["small", "that pauses reading"])
async def test_the_last_request_that_is_queued_still_gets_its_body(large: bool):
    part = b"x" * 70_000 if large else b"x"
    protocol, wire = connected(reads_and_answers)
    protocol.data_received(GET + GET + POST + b"Content-Length: %d\r\n\r\n" % (2 * len(part)) + part)
    assert not wire.reading
    await a_few_turns()
    assert wire.reading
    protocol.data_received(part + GET)
    await a_few_turns()
    answers = b"".join(wire.written)
    assert answers.count(b"HTTP/1.1 200 OK") == 4
    assert json.dumps(["POST", "/p", (2 * part).decode()]).encode() in answers
    assert wire.reading


# An upgrade that is ignored.

WISH = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"

WISHES = {
    "with a length": (WISH + b"Content-Length: 4\r\n\r\nbody", "body"),
    "in chunks": (WISH + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\nSome: trailer\r\n\r\n", "body"),
    "without a body": (WISH + b"\r\n", ""),
    "with an empty body": (WISH + b"Content-Length: 0\r\n\r\n", ""),
    "with a request as body": (WISH + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, SMUGGLED.decode()),
    "with a request as chunk": (
        WISH + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
        SMUGGLED.decode(),
    ),
    "for a websocket": (WISH.replace(b"h2c", b"websocket") + b"Content-Length: 4\r\n\r\nbody", "body"),
}


def answered(wire: Wire) -> list[Any]:
    bodies = b"".join(wire.written).split(b"HTTP/1.1 200 OK\r\n")[1:]
    return [json.loads(body.partition(b"\r\n\r\n")[2]) for body in bodies]


@pytest.mark.parametrize("at_a_time", [1, 7, 1_000_000])
@pytest.mark.parametrize("sent, body", WISHES.values(), ids=WISHES)
async def test_a_wish_for_another_protocol_costs_no_body(
    sent: bytes, body: str, at_a_time: int, caplog: pytest.LogCaptureFixture
):
    """However it is cut, and with another one and a usual request behind it."""
    protocol, wire = connected(reads_and_answers)
    whole = sent + sent + NEXT
    for start in range(0, len(whole), at_a_time):
        protocol.data_received(whole[start : start + at_a_time])
        await a_few_turns()
    await a_few_turns()
    assert answered(wire) == [["POST", "/p", body], ["POST", "/p", body], ["GET", "/next", ""]]
    assert not wire.is_closing()
    assert caplog.records == []


async def test_a_wish_for_another_protocol_and_for_an_end():
    protocol, wire = connected(reads_and_answers)
    protocol.data_received(WISH.replace(b"Upgrade,", b"close, Upgrade,") + b"Content-Length: 4\r\n\r\nbo")
    await a_few_turns()
    protocol.data_received(b"dy" + NEXT)
    await a_few_turns()
    assert answered(wire) == [["POST", "/p", "body"]]
    assert b"connection: close" in wire.written[0]
    assert wire.is_closing()


async def test_many_wishes_at_once():
    protocol, wire = connected(reads_and_answers)
    protocol.data_received((WISH + b"\r\n") * 1500 + NEXT)
    for _ in range(1_000):
        await a_few_turns()
    assert len(answered(wire)) == 1501
    assert answered(wire)[-1] == ["GET", "/next", ""]


# Heads and trailers without end.

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "a header": GET[:-2] + b"x: " + b"a" * 300_000,
    "the name of a header": GET[:-2] + b"x" * 300_000,
    "headers": GET[:-2] + b"x: a\r\n" * 50_000,
    "small headers": GET[:-2] + b"x:\r\n" * 2_500,
    "trailers": CHUNKED + b"0\r\n" + b"x: a\r\n" * 50_000,
}


@pytest.mark.parametrize("at_a_time", [1_000, 40_000])
@pytest.mark.parametrize("sent", ENDLESS.values(), ids=ENDLESS)
async def test_what_does_not_end_is_refused(sent: bytes, at_a_time: int):
    protocol, wire = connected(in_two_messages if sent.startswith(b"GET") else reads_and_answers)
    for start in range(0, len(sent), at_a_time):
        if not wire.is_closing():
            protocol.data_received(sent[start : start + at_a_time])
    head, _, body = b"".join(wire.written).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"connection: close" in head
    assert json.loads(body)["status_code"] == 431
    assert wire.is_closing()


async def test_spaces_around_a_value_are_no_part_of_it():
    """RFC 9110, 5.5. A key with a space behind it was not known, a model with one escaped its limits."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        found.append(dict(scope["headers"]))
        await at_once(scope, receive, send)

    protocol, wire = connected(app)
    spaced = b"x-a:\t b c \t\r\nx-b: \r\nContent-Length: 4 \r\nExpect: 100-continue \r\n\r\n"
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: h \r\n" + spaced)
    await a_few_turns()
    assert found == [{b"host": b"h", b"x-a": b"b c", b"x-b": b"", b"content-length": b"4", b"expect": b"100-continue"}]
    assert wire.written == [ANSWER]


async def test_many_headers_are_read():
    protocol, wire = connected(reads_and_answers)
    head = GET[:-2] + b"".join([b"x-%d: %032d\r\n" % (number, number) for number in range(700)]) + b"\r\n"
    protocol.data_received(head)
    await a_few_turns()
    assert len(answered(wire)) == 1


@pytest.mark.parametrize("at_a_time", [1_000, 40_000, 1_000_000])
async def test_large_heads_and_bodies_are_not_counted_together(at_a_time: int):
    large_head = GET[:-2] + b"x: " + b"a" * 60_000 + b"\r\n\r\n"
    chunk = b"%x\r\n" % 990 + b"c" * 990 + b"\r\n"
    whole = (large_head + CHUNKED + chunk * 200 + b"0\r\nx: a\r\n\r\n") * 2 + GET
    protocol, wire = connected(reads_and_answers)
    for start in range(0, len(whole), at_a_time):
        protocol.data_received(whole[start : start + at_a_time])
        await a_few_turns()
    await a_few_turns()
    assert [(method, len(body)) for method, _, body in answered(wire)] == [("GET", 0), ("POST", 198_000)] * 2 + [("GET", 0)]
