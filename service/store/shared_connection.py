"""A connection to Redis that all script calls of a worker share: each is sent at once, answers come in the order of the calls.

A pool lends a connection to one call at a time, which costs locks, a stream and turns of the event loop: a tenth of the time of a
worker that is not busy enough to merge many calls (`python -m bench --only latency`).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from hiredis import HiredisError, Reader, pack_command
from redis.asyncio import Redis
from redis.asyncio.connection import DefaultParser
from redis.exceptions import ConnectionError, TimeoutError

from service.store.failures import is_from_replica

_TURNS: Final = 8
"""A call is given up after so many turns of a timer, not at a time: see patience.py. So it may be an eighth early."""


class SharedConnection:
    """Opened by the first call, and again by the first one after it was lost or led to a replica. Nothing is sent twice."""

    def __init__(self, redis: "Redis", *, limit_s: float, on_reopened: Callable[[], None] = lambda: None) -> None:
        """`redis` knows where and how to connect; `limit_s` is for an answer, not for connecting. `on_reopened`: whoever answers
        from now on may be another server, or the same one without its last second.
        """
        self._redis = redis
        self._limit_s = limit_s
        self._on_reopened = on_reopened
        self._open: _Answers | None = None
        self._opening: asyncio.Task[_Answers] | None = None

    async def call(self, *command: str | int | bytes) -> Any:
        """The reply; one that is an error is raised. TimeoutError, ConnectionError: the command may have run."""
        answers = self._open
        if answers is None or answers.is_left:
            answers = await self._connected()
        # redis-py takes longer to pack hundreds of arguments than Redis to use them.
        packed: bytes = pack_command(cast("Any", command))
        reply = await answers.to(packed)
        if isinstance(reply, Exception):
            # Only who is refused first: by then the connection that is open may be another one.
            if not answers.is_left and is_from_replica(reply):
                self._leave_server()
            raise reply
        return reply

    def _leave_server(self) -> None:
        """The next call, also one by the pool, connects by name again, which may lead to another server by now."""
        if self._open is not None:
            self._open.leave()
        pool: Any = self._redis.connection_pool
        # All in one turn of the event loop, or a call could get one of them that is about to be closed.
        for idle in pool._available_connections:
            idle._close()
        for busy in pool._in_use_connections:
            busy.mark_for_reconnect()

    async def _connected(self) -> "_Answers":
        # All that come meanwhile wait for the same attempt, and for no other one where it fails.
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._connect())
        return await asyncio.shield(self._opening)

    async def _connect(self) -> "_Answers":
        """By redis-py, which knows about URLs, TLS and passwords; then its socket is ours."""
        pool: Any = self._redis.connection_pool
        connection = pool.make_connection()
        await connection.connect()
        if self._open is not None:
            self._on_reopened()
        self._open = _Answers(connection, limit_s=self._limit_s)
        return self._open

    async def close(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._open is not None:
            self._open.lose(ConnectionError("the connection to Redis is closed"))


class _Answers(asyncio.Protocol):
    """What comes back on an open connection, and who waits for it."""

    def __init__(self, connection: Any, *, limit_s: float) -> None:
        self._connection = connection
        self._transport: asyncio.Transport = connection._writer.transport
        self._transport.set_protocol(self)
        self._reader = Reader(replyError=DefaultParser.parse_error)
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[asyncio.Future[Any], int]] = deque()
        """Each with the turn in which it was sent."""
        self._turn_s = limit_s / _TURNS
        self._turn = 0
        self._timer: asyncio.TimerHandle | None = None
        self.is_lost = False
        self.is_left = False
        """No more is sent: it is lost, or will be closed when all who wait are answered."""

    def to(self, command: bytes) -> "asyncio.Future[Any]":
        if self.is_left:
            # Since it was opened: whoever waited for that comes a few turns of the event loop later.
            raise ConnectionError("the connection to Redis was lost as soon as it was opened")
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((answer, self._turn))
        if self._timer is None:
            self._timer = self._loop.call_later(self._turn_s, self._next_turn)
        self._transport.write(command)
        return answer

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                answer, _ = self._waiting.popleft()
                if not answer.done():
                    answer.set_result(reply)
        except (HiredisError, IndexError) as error:
            self.lose(ConnectionError(f"Redis says what is no answer: {error!r}"))
        if self.is_left:
            self.leave()

    def connection_lost(self, error: Exception | None) -> None:
        self.lose(ConnectionError(f"the connection to Redis was lost: {error or 'Redis closed it'}"))

    def _next_turn(self) -> None:
        self._timer = None
        self._turn += 1
        if not self._waiting:
            return
        _, sent_in = self._waiting[0]
        if self._turn - sent_in >= _TURNS:
            self.lose(TimeoutError("Redis did not answer in time"))
        else:
            self._timer = self._loop.call_later(self._turn_s, self._next_turn)

    def leave(self) -> None:
        """A replica still answers what reads."""
        self.is_left = True
        if not self._waiting:
            self.lose(ConnectionError("this server of Redis is a replica now"))

    def lose(self, error: Exception) -> None:
        """Whoever waits gets `error`: which answer is whose would not be known any more."""
        if self.is_lost:
            return
        self.is_lost = self.is_left = True
        if self._timer is not None:
            self._timer.cancel()
        # Or redis-py complains that nobody closed it.
        self._connection._close()
        self._transport.abort()
        for answer, _ in self._waiting:
            if not answer.done():
                answer.set_exception(error)
        self._waiting.clear()
