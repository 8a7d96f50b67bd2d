"""Merges the calls that one event-loop tick makes into one script call: the same answers for far fewer round trips.

A lone call goes out in the tick it was made in; while `concurrent` calls are on their way, later ones gather for the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from redis.exceptions import TimeoutError

from service.errors import StoreUnavailable

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batch(Generic[Item, Answer]):
    """`run` gets up to `largest` items and returns their answers in the same order. If it raises, every caller gets the error; a
    StoreUnavailable in place of one answer goes to that caller alone. After a timeout all who wait fail, too: else each batch of
    them would wait for another timeout.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | StoreUnavailable]]],
        *,
        largest: int = 64,
        concurrent: int = 2,
    ) -> None:
        self._run = run
        self._largest = largest
        self._free = concurrent
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._is_gathering = False
        self._tasks: set[asyncio.Task[None]] = set()

    def call(self, item: Item) -> "asyncio.Future[Answer]":
        """To be awaited by one caller, as a coroutine would be."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._gather()
        return future

    def _gather(self) -> None:
        """Has a task take what waits, if anything does, when its turn comes: that is all of this tick."""
        if self._is_gathering or not self._free or not self._waiting:
            return
        self._is_gathering = True
        self._free -= 1
        task = asyncio.get_running_loop().create_task(self._answer())
        # The loop keeps only weak references to tasks.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self) -> None:
        self._is_gathering = False
        calls, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
        self._gather()
        try:
            answers = await self._run([item for item, _ in calls]) if calls else ()
            for (_, future), answer in zip(calls, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, StoreUnavailable):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
        except Exception as error:
            if isinstance(error, StoreUnavailable) and isinstance(error.__cause__, TimeoutError):
                calls, self._waiting = calls + self._waiting, []
            for _, future in calls:
                if not future.done():
                    future.set_exception(error)
        except asyncio.CancelledError:
            # The loop is about to end: a task begun now would outlive it.
            calls, self._waiting = calls + self._waiting, []
            for _, future in calls:
                future.cancel()
            raise
        finally:
            self._free += 1
            self._gather()
