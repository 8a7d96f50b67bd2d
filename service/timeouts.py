"""Closes the connection of a client that does nothing: sends no request, or takes no answer.

One timer a connection, which looks whether that was so all the time: uvicorn makes and cancels one for each answer.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.transport import CoalescingTransport


class TimedProtocol(HttpToolsProtocol):
    """What speaks HTTP on top of it sets `_idle_since` to None when something comes, and calls `_wait_for_client` when it is the
    client's turn again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle_since: float | None = None
        """Since then it is the client's turn; None: it is ours."""
        self._blocked_since: float | None = None
        """Since then the client has taken nothing of what fills the transport."""
        self._unsent = 0
        """Bytes that it had not taken by then."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._out = CoalescingTransport(transport, self.loop)
        super().connection_made(self._out)
        self._wait_for_client()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()

    def _wait_for_client(self) -> None:
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_after(self.timeout_keep_alive)

    def _look_after(self, wait_s: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(wait_s, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._blocked_since is not None:
            return self._look_after_blocked(self._blocked_since)
        if self._idle_since is None:
            return None  # the end of the answer that is under way sets it again
        if self.flow.read_paused:
            # It is we who let the client wait.
            self._idle_since = self.loop.time()
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._look_after(left_s)
        else:
            super().timeout_keep_alive_handler()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._blocked_since, self._unsent = self.loop.time(), self._out.unsent()
        if self.timeout_keep_alive_task is None:
            self._look_after(self.timeout_keep_alive)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._blocked_since = None

    def _look_after_blocked(self, since: float) -> None:
        """A client that does not take its answers is as good as gone; one that takes them slowly is not."""
        unsent = self._out.unsent()
        if unsent < self._unsent:
            since = self._blocked_since = self.loop.time()
            self._unsent = unsent
        left_s = since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._look_after(left_s)
        else:
            self._out.abort()
