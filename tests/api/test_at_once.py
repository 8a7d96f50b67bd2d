"""Whole answers: the lines of their headers, and the usual two messages where the server cannot take them at once."""

from typing import Any

import pytest

from service.api.at_once import AT_ONCE, header_lines, send_at_once


def test_headers_as_lines():
    assert header_lines([(b"a", b"1"), (b"b", b'"x";r=1: 2')]) == b'a: 1\r\nb: "x";r=1: 2\r\n'
    assert header_lines([]) == b""


@pytest.mark.parametrize("value", [b"1\r\nset-cookie: a=b", b"1\nb: 2", b"1\rb: 2", b"\r\n", b"1\r\n"])
def test_a_value_cannot_become_another_header(value: bytes):
    for header in ((b"a", value), (value, b"1")):
        with pytest.raises(ValueError, match="end of a line"):
            header_lines([(b"c", b"3"), header])


async def sent(scope: dict[str, Any]) -> list[Any]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    await send_at_once(scope, send, 402, header_lines([(b"a", b"1: 2"), (b"b", b"")]), b"body")
    return messages


USUAL = [
    {
        "type": "http.response.start",
        "status": 402,
        "headers": [(b"content-length", b"4"), (b"a", b"1: 2"), (b"b", b"")],
    },
    {"type": "http.response.body", "body": b"body"},
]


@pytest.mark.parametrize(
    "scope",
    [{}, {"extensions": {}}, {"extensions": {"tls": {}}}, {"extensions": {AT_ONCE: {"write": lambda *_: False}}}],
    ids=["no extensions", "none at all", "others", "not now"],
)
async def test_a_server_without_the_extension_is_sent_usual_messages(scope: dict[str, Any]):
    assert await sent(scope) == USUAL


async def test_a_server_with_the_extension_is_handed_the_whole_answer():
    written: list[Any] = []

    def write(*answer: Any) -> bool:
        written.append(answer)
        return True

    assert await sent({"extensions": {AT_ONCE: {"write": write}}}) == []
    assert written == [(402, b"a: 1: 2\r\nb: \r\n", b"body")]
