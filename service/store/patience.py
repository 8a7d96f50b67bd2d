"""A time limit for an answer of Redis that a busy event loop does not use up.

With asyncio.timeout a worker that was at something else for longer than the limit would blame Redis, though the answer lies
unread in the socket: the loop runs its timers before it reads.
"""

import asyncio
from types import TracebackType
from typing import Final

from redis.exceptions import TimeoutError

_TURNS: Final = 4
"""The limit runs out in so many turns of the loop, one after the other: between two of them it reads what has come, however
late they are. So while the loop is blocked, little time passes."""


class Patience:
    """`with Patience(limit_s):` raises the TimeoutError of redis-py where its body still waits when the limit has run out."""

    __slots__ = ("_cancellations", "_is_over", "_loop", "_task", "_timer", "_turn_s", "_turns_left")

    def __init__(self, limit_s: float) -> None:
        self._turn_s = limit_s / _TURNS
        self._turns_left = _TURNS
        self._is_over = False

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancellations = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle = self._loop.call_later(self._turn_s, self._next_turn)

    def _next_turn(self) -> None:
        self._turns_left -= 1
        if self._turns_left:
            self._timer = self._loop.call_later(self._turn_s, self._next_turn)
        else:
            # What was read before this turn has woken its task already, so that is before us in the queue.
            self._timer = self._loop.call_soon(self._end)

    def _end(self) -> None:
        self._is_over = True
        self._task.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._timer.cancel()
        if self._is_over and self._task.uncancel() <= self._cancellations and kind is asyncio.CancelledError:
            raise TimeoutError("Redis did not answer in time") from error
