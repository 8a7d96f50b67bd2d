"""A desk on every Redis that this machine has (the wheel's, one on PATH), alone and as a cluster, and on fakeredis with Lua."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis, FakeRedis, FakeServer
from redis import Redis

from service.settings import Settings
from service.store.connection import Store, open_store
from service.store.scripts import Scripts
from tests.conftest import TEST_REDIS_URL
from tests.redis_cluster import cluster_client, redis_cluster
from tests.redis_servers import binaries, redis_server
from tests.store.quota_desk import Desk

FAKE = "fakeredis"
CLUSTER = " cluster"
SERVERS = [FAKE, "given"] if TEST_REDIS_URL else [FAKE, *(name + kind for name in binaries() for kind in ("", CLUSTER))]

# fakeredis has no cmsgpack; what our scripts pack they alone unpack.
PACK_AS_JSON = "local cmsgpack = { pack = cjson.encode, unpack = cjson.decode }\n"


class FakeClient(FakeAsyncRedis):
    """fakeredis has no INFO, from which the version of the server is read."""

    async def info(self, *_args: Any, **_options: Any) -> dict[str, Any]:
        return {"redis_version": "6.2.0"}


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
        return FakeRedis(server=server.fake, decode_responses=True)
    return cluster_client(server.url) if server.clustered else Redis.from_url(server.url, decode_responses=True)


@pytest.fixture
async def desk(server: Server, redis: Redis) -> AsyncIterator[Desk]:
    if server.fake is None:
        settings = Settings(redis_cluster=server.clustered, redis_connections=100)
        store = open_store(settings, server.url, timeout_ms=20_000)
    else:
        client = FakeClient(server=server.fake)
        store = Store(client, Scripts(client))
        store.scripts._texts = {name: PACK_AS_JSON + text for name, text in store.scripts._texts.items()}
    yield Desk(store)
    await store.close()
