"""The connection that script calls share: whose answer is whose, and who is told what when it is lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ConnectionError, NoScriptError, ResponseError

from service.settings import Settings
from service.store.client import open_redis
from service.store.shared_connection import SharedConnection
from tests.store.peers import Answering

LIMIT_S = 20
GET = ("GET", "n")


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[SharedConnection]:
    async with AsyncRedis.from_url(redis_url) as client:
        made = SharedConnection(client, limit_s=LIMIT_S)
        yield made
        await made.close()


def connections(redis: Redis) -> int:
    return int(redis.info("stats")["total_connections_received"])


async def test_all_calls_share_one_connection_and_get_their_own_answers(connection: SharedConnection, redis: Redis):
    before = connections(redis)
    for _ in range(2):
        calls = (connection.call("ECHO", f"{number}" * number * 100) for number in range(100))
        assert await asyncio.gather(*calls) == [f"{number}".encode() * number * 100 for number in range(100)]
    assert connections(redis) == before + 1


async def test_an_error_goes_to_its_caller_alone(connection: SharedConnection, redis: Redis):
    calls = [("SET", "n", "1"), ("HGET", "n", "f"), ("EVALSHA", "0" * 40, "0"), ("GET", "n")]
    done, wrong, unknown, found = await asyncio.gather(*(connection.call(*call) for call in calls), return_exceptions=True)
    assert (done, found) == (b"OK", b"1")
    assert isinstance(wrong, ResponseError)
    assert isinstance(unknown, NoScriptError)


async def test_a_caller_who_gives_up_leaves_others_their_answers(connection: SharedConnection):
    await connection.call(*GET)
    waiting = [asyncio.ensure_future(connection.call("ECHO", str(number))) for number in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
    assert (first, third) == (b"0", b"2")
    assert isinstance(second, asyncio.CancelledError)
    assert await connection.call("ECHO", "3") == b"3"


async def test_a_caller_who_gives_up_while_it_is_opened_leaves_it_to_others(connection: SharedConnection, redis: Redis):
    before = connections(redis)
    first = asyncio.ensure_future(connection.call(*GET))
    second = asyncio.ensure_future(connection.call("ECHO", "2"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == b"2"
    assert connections(redis) == before + 1


async def test_the_next_call_connects_again_when_it_was_lost(connection: SharedConnection, redis: Redis):
    own_id = await connection.call("CLIENT", "ID")
    # Answered by nobody: a command that blocks, so that its client can be killed meanwhile.
    blocked = [asyncio.ensure_future(connection.call("BLPOP", "nothing", "0")) for _ in range(2)]
    await asyncio.sleep(0.05)
    redis.client_kill_filter(_id=own_id)
    for error in await asyncio.gather(*blocked, return_exceptions=True):
        assert isinstance(error, ConnectionError)
        assert "lost" in str(error)
    redis.set("n", "1")
    assert await connection.call(*GET) == b"1"


async def test_a_call_that_finds_it_lost_as_soon_as_it_is_opened_does_not_wait(
    connection: SharedConnection, monkeypatch: pytest.MonkeyPatch
):
    connect = SharedConnection._connect

    async def connect_in_vain(self: SharedConnection) -> Any:
        opened = await connect(self)
        opened.lose(ConnectionError("gone"))
        return opened

    monkeypatch.setattr(SharedConnection, "_connect", connect_in_vain)
    with pytest.raises(ConnectionError, match="as soon as it was opened"):
        await asyncio.wait_for(connection.call(*GET), 5)


async def test_what_is_closed_is_told_to_who_waits(connection: SharedConnection):
    await connection.call(*GET)
    blocked = asyncio.ensure_future(connection.call("BLPOP", "nothing", "0"))
    await asyncio.sleep(0)
    await connection.close()
    with pytest.raises(ConnectionError, match="closed"):
        await blocked


@pytest.mark.parametrize(
    "text, answered", [(b"?what\r\n", False), (b"$1\r\n1\r\n$1\r\n2\r\n", True)], ids=["no RESP", "more than was asked for"]
)
async def test_a_redis_that_cannot_be_understood_is_left(text: bytes, answered: bool):
    """Its next answer could be anybody's."""
    peer = Answering(text)
    async with peer as url:
        client = open_redis(Settings(), url, timeout_ms=LIMIT_S * 1000)
        connection = SharedConnection(client, limit_s=LIMIT_S)
        for attempt in (1, 2):
            answers = await asyncio.gather(connection.call(*GET), return_exceptions=True)
            assert [*answers] == [b"1"] if answered else isinstance(answers[0], ConnectionError)
            assert peer.accepted == attempt
        await connection.close()
        await client.aclose()


async def test_all_who_wait_for_a_redis_that_is_not_there_are_told_by_one_attempt(monkeypatch: pytest.MonkeyPatch):
    async with AsyncRedis.from_url("unix:///nowhere/redis.sock") as client:
        pool = client.connection_pool
        made = []
        make = pool.make_connection

        def count():
            made.append(make())
            return made[-1]

        monkeypatch.setattr(pool, "make_connection", count)
        connection = SharedConnection(client, limit_s=LIMIT_S)
        answers = await asyncio.gather(*(connection.call(*GET) for _ in range(10)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ConnectionError] * 10
        assert len(made) == 1
        await connection.close()
