"""Between uvicorn and a socket: answers in one system call, and when to read on."""

import asyncio
import contextlib
import fcntl
import sys
import termios
from collections.abc import Sized
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl


class CoalescingTransport(asyncio.Transport):
    """The parts of a transport that uvicorn uses. Sends what is written in one turn of the event loop in one system call:
    uvicorn writes head and body of an answer apart, and each would cost a fifth of an answer's time.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._written: list[bytes | bytearray | memoryview[int]] = []

    def write(self, data: "bytes | bytearray | memoryview[int]") -> None:
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def write_now(self, data: bytes) -> None:
        """For what is whole; behind what waits to be sent, as on every transport."""
        if self._written:
            self._written.append(data)
        else:
            self._transport.write(data)

    def _send(self) -> None:
        written, self._written = self._written, []
        if written and not self.is_closing():
            self._transport.write(b"".join(written))

    def close(self) -> None:
        self._send()
        self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def unsent(self) -> int:
        """Bytes that the client has not taken: those that wait here, and those that wait in the kernel."""
        size = self._transport.get_write_buffer_size()
        socket = self._transport.get_extra_info("socket")
        if socket is not None:
            with contextlib.suppress(OSError):
                size += int.from_bytes(fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return size

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()


class Flow(FlowControl):
    """Reads nothing while requests are queued, so that a client fills no memory with them.

    Only the last one may lack a part of its body, and it gets that: when its turn comes, the queue is empty.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if self.read_paused and not self._pipeline:
            super().resume_reading()
