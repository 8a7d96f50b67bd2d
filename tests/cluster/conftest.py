"""Three nodes on loopback, started once for all tests of a run, emptied for each."""

import gc
import warnings
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis

from service.settings import Settings
from service.store.connection import Store, open_store
from tests.redis_cluster import cluster_client, redis_cluster
from tests.redis_servers import binaries
from tests.store.plans import NOW
from tests.store.quota_desk import Desk


@pytest.fixture(scope="session", params=binaries())
def cluster_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with redis_cluster(binaries()[request.param]) as urls:
        yield urls[0]


@pytest.fixture
def redis(cluster_url: str) -> Iterator[Redis]:
    with cluster_client(cluster_url) as client:
        client.flushall()
        yield client
    # After a failure redis-py looks at the cluster anew and leaves the nodes it knew before to the garbage collector:
    # here, so that no later test is blamed.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


@pytest.fixture
async def store(redis: Redis, cluster_url: str) -> AsyncIterator[Store]:
    opened = open_store(Settings(redis_url=cluster_url, redis_cluster=True), cluster_url, timeout_ms=20_000, now_ms=str(NOW))
    yield opened
    await opened.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)
