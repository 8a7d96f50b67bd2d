"""Three nodes on loopback, started once for all tests of a run, emptied for each."""

from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
from redis import Redis, RedisCluster

from service.settings import Settings
from service.store.connection import Store, open_store
from tests.redis_cluster import redis_cluster
from tests.redis_servers import binaries
from tests.store.plans import NOW
from tests.store.quota_desk import Desk


@pytest.fixture(scope="session", params=binaries())
def cluster_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with redis_cluster(binaries()[request.param]) as urls:
        yield urls[0]


@pytest.fixture
def redis(cluster_url: str) -> Iterator[Redis]:
    with RedisCluster.from_url(cluster_url, decode_responses=True) as client:
        client.flushall()
        yield cast("Redis", client)


@pytest.fixture
async def store(redis: Redis, cluster_url: str) -> AsyncIterator[Store]:
    opened = open_store(Settings(redis_cluster=True), cluster_url, timeout_ms=20_000, now_ms=str(NOW))
    yield opened
    await opened.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)
