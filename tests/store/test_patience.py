"""How long a call waits for Redis: a busy event loop costs it nothing, a silent Redis no longer than the limit."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator

import pytest
import uvloop
from redis import Redis
from redis.exceptions import TimeoutError

from service.errors import StoreUnavailable
from service.settings import Settings
from service.store.connection import Store, open_store
from service.store.patience import Patience
from tests.store.peers import Answering, Silent

LIMIT_S = 0.08
BLOCKED_S = 2.5 * LIMIT_S
IN_TIME_S = LIMIT_S + 3
"""Three seconds for a busy machine."""

Runs = Callable[[Coroutine[None, None, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """On either event loop: they differ in what they do first, timers or reading."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


async def hot_call(store: Store) -> None:
    await store.scripts.run("read_quota", [], ["", "[]"])


async def admin_call(store: Store) -> None:
    async with store.redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.time()
        await pipe.execute()


CALLS: list[Callable[[Store], Awaitable[None]]] = [hot_call, admin_call, Store.ping]


def opened(url: str) -> Store:
    return open_store(Settings(), url, timeout_ms=int(LIMIT_S * 1000))


async def with_a_blocked_loop(call: Awaitable[None], after_turns: int) -> None:
    asked = asyncio.ensure_future(call)
    for _ in range(after_turns):
        await asyncio.sleep(0)
    time.sleep(BLOCKED_S)  # noqa: ASYNC251
    await asked


@pytest.mark.parametrize("call", CALLS)
def test_a_loop_that_was_blocked_is_no_failure_of_redis(
    run: Runs, redis: Redis, redis_url: str, call: Callable[[Store], Awaitable[None]]
):
    """Whatever the call was at: waiting for its turn, opening a connection, sending, reading."""

    async def scenario() -> None:
        for turns in (0, 1, 2, 4):
            store = opened(redis_url)
            for _ in ("connects first", "is connected"):
                await with_a_blocked_loop(call(store), turns)
            await store.close()

    run(scenario())


class InPieces(Answering):
    """Begins to answer GET, blocks the event loop that it shares with us, then sends TEXT piece by piece, one each turn.

    So an answer takes many turns of the loop but hardly any time, however slow the machine is: no other process sends it.
    """

    TEXT = "x" * 2000
    _PIECES = 40

    async def _answer(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"$%d\r\n" % len(self.TEXT))
        time.sleep(BLOCKED_S)  # noqa: ASYNC251
        size = len(self.TEXT) // self._PIECES
        for start in range(0, len(self.TEXT), size):
            writer.write(self.TEXT[start : start + size].encode())
            await asyncio.sleep(0)
        writer.write(b"\r\n")


def test_a_reply_that_is_read_in_many_pieces(run: Runs):
    """One turn of the loop is not enough to read what came while it was blocked."""

    async def scenario() -> None:
        async with InPieces() as url:
            store = opened(url)
            assert await store.redis.get("large") == InPieces.TEXT.encode()
            await store.close()

    run(scenario())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("is_blocked", [False, True], ids=["", "in a blocked loop"])
def test_a_silent_redis_fails_in_time(run: Runs, call: Callable[[Store], Awaitable[None]], is_blocked: bool):
    async def scenario() -> None:
        async with Silent() as url:
            store = opened(url)
            started = time.monotonic()
            with pytest.raises((StoreUnavailable, TimeoutError)):
                await (with_a_blocked_loop(call(store), 3) if is_blocked else call(store))
            took_s = time.monotonic() - started
            # A timer counts from when its turn of the loop began.
            assert 0.9 * LIMIT_S <= took_s < IN_TIME_S + BLOCKED_S * is_blocked
            await store.close()

    run(scenario())


def test_whoever_waits_for_a_connection_waits_no_longer(run: Runs):
    async def scenario() -> None:
        async with Silent() as url:
            store = open_store(Settings(redis_connections=1), url, timeout_ms=int(LIMIT_S * 1000))
            started = time.monotonic()
            failed = await asyncio.gather(*(store.ping() for _ in range(20)), return_exceptions=True)
            assert [type(error) for error in failed] == [StoreUnavailable] * 20
            assert time.monotonic() - started < IN_TIME_S + LIMIT_S
            await store.close()

    run(scenario())


def test_whoever_is_cancelled_is_told_so_and_not_of_a_timeout(run: Runs):
    async def scenario() -> None:
        async def wait() -> None:
            with Patience(LIMIT_S):
                await asyncio.sleep(60)

        waiting = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(scenario())


def test_patience_in_patience(run: Runs):
    """The outer limit is the shorter one: it is the one that ends it all."""

    async def scenario() -> None:
        with pytest.raises(TimeoutError), Patience(LIMIT_S), Patience(60):
            await asyncio.sleep(60)

    run(scenario())


def test_what_is_done_in_time_is_not_disturbed_later(run: Runs):
    async def scenario() -> None:
        with Patience(LIMIT_S):
            await asyncio.sleep(0)
        await asyncio.sleep(2 * LIMIT_S)

    run(scenario())
