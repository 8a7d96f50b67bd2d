"""The master becomes a replica and leaves connections open, as a planned failover does: calls go to the new one by themselves."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import ExecAbortError, ReadOnlyError, ResponseError

from service.errors import StoreUnavailable
from service.settings import Settings
from service.store.client import open_redis
from service.store.scripts import Scripts
from tests.redis_servers import binaries, redis_server

HEAD = "--[[\n{}\n\nKEYS\n  [1] a string\nARGV\n  none\nRETURNS\n  its value\nWRITES\n  {}\n]]\n"


class Failover:
    """Two servers, and a name that leads to the first one until the second one takes its place."""

    def __init__(self, folder: Path, first: Redis, second: Redis) -> None:
        self._name = folder / "redis.sock"
        self._name.symlink_to(folder / "first.sock")
        self._folder = folder
        self.url = f"unix://{self._name}"
        self.first, self.second = first, second

    def demote(self, *, serves_stale_data: bool = True) -> None:
        """It closes no connection."""
        self.first.config_set("replica-serve-stale-data", "yes" if serves_stale_data else "no")
        self.first.replicaof("127.0.0.1", "1")

    def lead_to_second(self) -> None:
        other = self._folder / "other.sock"
        other.symlink_to(self._folder / "second.sock")
        other.replace(self._name)


@pytest.fixture(params=binaries().values(), ids=[*binaries()])
def failover(request: pytest.FixtureRequest) -> Iterator[Failover]:
    # The path of a Unix socket may have 107 bytes, those of pytest may have more.
    with tempfile.TemporaryDirectory(prefix="quotad-test-", dir="/tmp") as folder, contextlib.ExitStack() as stack:
        sockets = [str(Path(folder, name)) for name in ("first.sock", "second.sock")]
        urls = [stack.enter_context(redis_server(request.param, "--unixsocket", socket)) for socket in sockets]
        one, two = (stack.enter_context(Redis.from_url(url)) for url in urls)
        yield Failover(Path(folder), one, two)


@pytest.fixture
async def scripts(failover: Failover, tmp_path: Path) -> AsyncIterator[Scripts]:
    (tmp_path / "includes").mkdir()
    (tmp_path / "read.lua").write_text(HEAD.format("read", "nothing") + 'return redis.call("GET", KEYS[1])\n')
    (tmp_path / "write.lua").write_text(HEAD.format("write", "the key") + 'return redis.call("INCR", KEYS[1])\n')
    redis = open_redis(Settings(), failover.url, timeout_ms=5_000)
    made = Scripts(redis, tmp_path, timeout_ms=5_000)
    yield made
    await made.close()
    await redis.aclose()


async def write(scripts: Scripts) -> int:
    return int(await scripts.run("write", ["n"], []))


async def role(scripts: Scripts) -> bytes:
    """Of the server that the pool leads to."""
    return bytes((await scripts._redis.role())[0])


@pytest.mark.parametrize("serves_stale_data", [True, False], ids=["READONLY", "MASTERDOWN"])
async def test_a_demoted_server_is_left(failover: Failover, scripts: Scripts, serves_stale_data: bool):
    assert [await write(scripts) for _ in range(3)] == [1, 2, 3]
    failover.demote(serves_stale_data=serves_stale_data)
    failover.lead_to_second()
    with pytest.raises(StoreUnavailable, match=r"\(write\); try again"):
        await write(scripts)
    # The pool has left, too, whichever of its connections it takes.
    assert await asyncio.gather(*(role(scripts) for _ in range(3))) == [b"master"] * 3
    assert (scripts.possible_losses, await write(scripts), scripts.possible_losses) == (
        0,
        1,
        2,
    )  # another server, without the script
    failover.first.replicaof("NO", "ONE")
    assert (failover.first.get("n"), failover.second.get("n")) == (b"3", b"1")


async def test_of_many_who_are_refused_only_the_first_leaves(failover: Failover, scripts: Scripts):
    await write(scripts)
    failover.demote()
    failover.lead_to_second()
    refused = await asyncio.gather(*(write(scripts) for _ in range(100)), return_exceptions=True)
    assert {type(answer) for answer in refused} == {StoreUnavailable}
    assert [await write(scripts) for _ in range(3)] == [1, 2, 3]
    assert scripts.possible_losses == 2  # connected to anew once, and without the script


async def test_a_call_on_a_connection_of_the_pool_goes_on(failover: Failover, scripts: Scripts):
    await write(scripts)
    failover.demote()
    failover.lead_to_second()
    reads = asyncio.ensure_future(scripts._redis.xread({"s": "$"}, block=200))
    await asyncio.sleep(0.05)
    with pytest.raises(StoreUnavailable):
        await write(scripts)
    assert not await reads
    # Its connection is not used again.
    assert await role(scripts) == b"master"


async def test_calls_without_a_script_leave_a_demoted_server_too(failover: Failover, scripts: Scripts):
    await scripts._redis.set("n", "1")
    failover.demote()
    failover.lead_to_second()
    async with scripts._redis.pipeline(transaction=True) as pipe:
        pipe.set("n", "2")
        with pytest.raises((ReadOnlyError, ExecAbortError)):
            await pipe.execute()
        pipe.set("n", "2")
        assert await pipe.execute() == [True]
    assert failover.second.get("n") == b"2"


async def test_it_is_no_reason_to_leave_when_a_call_is_refused_otherwise(failover: Failover, scripts: Scripts):
    await write(scripts)
    failover.first.set("n", "no number")
    with pytest.raises(ResponseError, match="not an integer"):
        await write(scripts)
    failover.first.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable):
        await write(scripts)
    assert scripts.possible_losses == 0
