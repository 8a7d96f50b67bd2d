"""A desk on every Redis that this machine has (the wheel's, one on PATH), alone and as a cluster, and on fakeredis with Lua."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from redis import Redis

from service.settings import Settings
from service.store import packed_plan, reservation_calls
from service.store.connection import Store, open_store
from service.store.packed_integers import pack_integers
from service.store.scripts import Arg, Scripts
from tests.conftest import TEST_REDIS_URL
from tests.redis_cluster import cluster_client, redis_cluster
from tests.redis_servers import binaries, redis_server
from tests.store.quota_desk import Desk
from tests.store.stored_counters import PACKED_AS_TEXT, UNDECODED, integers

FAKE = "fakeredis"
CLUSTER = " cluster"
SERVERS = [FAKE, "given"] if TEST_REDIS_URL else [FAKE, *(name + kind for name in binaries() for kind in ("", CLUSTER))]

# fakeredis has neither cmsgpack nor struct, and its strings must be text. What cmsgpack packs only our scripts unpack.
PACKERS = """
local cmsgpack = { pack = cjson.encode, unpack = cjson.decode }
local struct = {}
function struct.pack(_, ...)
  local numbers = {}
  for place, number in ipairs({ ... }) do
    numbers[place] = string.format('%.0f', number)
  end
  return 'integers:' .. table.concat(numbers, ',')
end
-- As text is not as long as what the format was made for, it counts only where a part is asked for.
function struct.unpack(format, packed, from)
  local first = ((from or 1) - 1) / 8 + 1
  local last = from and first + select(2, string.gsub(format, 'i8', '')) - 1 or math.huge
  local numbers, place = {}, 0
  for number in string.gmatch(packed, '-?%d+') do
    place = place + 1
    if place >= first and place <= last then
      numbers[#numbers + 1] = tonumber(number)
    end
  end
  numbers[#numbers + 1] = 8 * last + 1
  return unpack(numbers)
end
"""


def packed_as_text(*numbers: int) -> bytes:
    return (PACKED_AS_TEXT + ",".join(str(int(number)) for number in numbers)).encode()


class FakeClient(FakeAsyncRedis):
    """fakeredis has no INFO, from which the version of the server is read."""

    async def info(self, *_args: Any, **_options: Any) -> dict[str, Any]:
        return {"redis_version": "6.2.0"}


class FakeScripts(Scripts):
    async def run(self, *args: Any) -> Any:
        return with_integers(await super().run(*args))

    async def _evalsha(self, sha: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """There is no socket to share."""
        return await self._redis.evalsha(sha, len(keys), *keys, *args)


def with_integers(reply: Any) -> Any:
    """What struct would have packed."""
    if isinstance(reply, list):
        return [with_integers(part) for part in reply]
    if isinstance(reply, bytes) and reply.startswith(PACKED_AS_TEXT.encode()):
        return pack_integers(*integers(reply.decode()))
    return reply


@dataclass(frozen=True)
class Server:
    """Either of `fake` and `url`."""

    fake: FakeServer | None = None
    url: str = ""
    clustered: bool = False


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    name = str(request.param)
    if name == FAKE:
        yield Server(fake=FakeServer())
    elif TEST_REDIS_URL:
        yield Server(url=TEST_REDIS_URL)
    elif name.endswith(CLUSTER):
        with redis_cluster(binaries()[name.removesuffix(CLUSTER)]) as urls:
            yield Server(url=urls[0], clustered=True)
    else:
        with redis_server(binaries()[name]) as url:
            yield Server(url=url)


@pytest.fixture
def redis(server: Server) -> Iterator[Redis]:
    with _client(server) as client:
        client.flushall()
        yield client


def _client(server: Server) -> AbstractContextManager[Redis]:
    if server.fake is not None:
        return FakeRedis(server=server.fake, decode_responses=True, encoding_errors=UNDECODED)
    return (
        cluster_client(server.url)
        if server.clustered
        else Redis.from_url(server.url, decode_responses=True, encoding_errors=UNDECODED)
    )


@pytest.fixture
async def desk(server: Server, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    if server.fake is None:
        settings = Settings(redis_cluster=server.clustered, redis_connections=100)
        store = open_store(settings, server.url, timeout_ms=20_000)
    else:
        client = FakeClient(server=server.fake)
        store = Store(client, FakeScripts(client))
        store.scripts._texts = {name: PACKERS + text for name, text in store.scripts._texts.items()}
        monkeypatch.setattr(packed_plan, "pack_integers", packed_as_text)
        monkeypatch.setattr(reservation_calls, "pack_integers", packed_as_text)
        forget_what_is_packed()
    yield Desk(store)
    await store.close()
    if server.fake is not None:
        forget_what_is_packed()


def forget_what_is_packed() -> None:
    """What was made for one kind of server is packed otherwise for the other."""
    packed_plan._shape.cache_clear()
    packed_plan.owners_of.cache_clear()
