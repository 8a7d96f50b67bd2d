"""A keep-alive HTTP client of a few lines: counts exactly what was asked and answered, which a load generator does not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


class Connection:
    """One request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, request: bytes) -> Answer:
        """Expects an answer with a content-length, or one without a body."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        _, named, rest = head.partition(b"content-length:")
        length = int(rest.split(b"\r\n", 1)[0]) if named else 0
        return Answer(int(head[9:12]), await self._reader.readexactly(length))

    def close(self) -> None:
        self._writer.close()


@contextlib.asynccontextmanager
async def connections(url: str, count: int) -> AsyncIterator[list[Connection]]:
    address = urlsplit(url)
    made = [Connection(*await asyncio.open_connection(address.hostname, address.port)) for _ in range(count)]
    try:
        yield made
    finally:
        for connection in made:
            connection.close()


def ask(url: str, requests: Sequence[bytes], *, at_once: int = 1) -> list[Answer]:
    """The answers in the order of the requests, `at_once` of which are under way together."""
    return asyncio.run(_ask(url, requests, at_once))


async def _ask(url: str, requests: Sequence[bytes], at_once: int) -> list[Answer]:
    answers: list[Answer | None] = [None] * len(requests)
    places = iter(range(len(requests)))

    async def work(connection: Connection) -> None:
        for place in places:
            answers[place] = await connection.send(requests[place])

    async with connections(url, min(at_once, max(1, len(requests)))) as made:
        await asyncio.gather(*(work(connection) for connection in made))
    return [answer for answer in answers if answer is not None]
