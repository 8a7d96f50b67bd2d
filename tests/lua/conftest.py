"""A desk on every Redis that this machine has (the wheel's, one on PATH) and on fakeredis, which runs Lua too."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from service.store.connection import Store
from service.store.scripts import Scripts
from tests.conftest import TEST_REDIS_URL
from tests.redis_servers import binaries, redis_server
from tests.store.quota_desk import Desk

FAKE = "fakeredis"
SERVERS = [FAKE, "given"] if TEST_REDIS_URL else [FAKE, *binaries()]

# fakeredis has no cmsgpack; what our scripts pack they alone unpack.
PACK_AS_JSON = "local cmsgpack = { pack = cjson.encode, unpack = cjson.decode }\n"


class FakeClient(FakeAsyncRedis):
    """fakeredis has no INFO, from which the version of the server is read."""

    async def info(self, *_args: Any, **_options: Any) -> dict[str, Any]:
        return {"redis_version": "6.2.0"}


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[str | FakeServer]:
    if request.param == FAKE:
        yield FakeServer()
    elif TEST_REDIS_URL:
        yield TEST_REDIS_URL
    else:
        with redis_server(binaries()[request.param]) as url:
            yield url


@pytest.fixture
def redis(server: str | FakeServer) -> Iterator[Redis]:
    client = FakeRedis(server=server, decode_responses=True) if isinstance(server, FakeServer) else _connect(server)
    client.flushall()
    with client:
        yield client


@pytest.fixture
async def desk(server: str | FakeServer, redis: Redis) -> AsyncIterator[Desk]:
    client: AsyncRedis = FakeClient(server=server) if isinstance(server, FakeServer) else AsyncRedis.from_url(server)
    scripts = Scripts(client)
    if isinstance(server, FakeServer):
        scripts._texts = {name: PACK_AS_JSON + text for name, text in scripts._texts.items()}
    yield Desk(Store(client, scripts))
    await client.aclose()


def _connect(url: str) -> Redis:
    return Redis.from_url(url, decode_responses=True)
