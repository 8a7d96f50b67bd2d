"""Servers in place of Redis, for what a Redis does not do on demand."""

import asyncio
import contextlib


class Silent:
    """Takes connections, and reads and answers nothing."""

    def __init__(self) -> None:
        self.accepted = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._writers.append(writer)
        with contextlib.suppress(OSError):
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Ends while the connection stays open."""


class Answering(Silent):
    """Takes the greeting of a client, and answers GET with `text`."""

    def __init__(self, text: bytes = b"") -> None:
        super().__init__()
        self._text = text

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            if line == b"SETINFO\r\n":
                writer.write(b"+OK\r\n")
            elif line == b"GET\r\n":
                await self._answer(writer)

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._text)
