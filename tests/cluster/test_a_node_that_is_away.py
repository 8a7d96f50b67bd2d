"""One node of a cluster does not answer: what needs it is a 503, what does not goes on, nothing is charged twice afterwards."""

import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis, RedisCluster
from redis.crc import key_slot

from service.errors import StoreUnavailable
from service.settings import Settings
from service.store.connection import Store, open_store
from tests.store.plans import NOW, create, plan_of, requests, tokens, usage_key
from tests.store.quota_desk import Desk


@pytest.fixture
async def impatient(redis: Redis, cluster_url: str) -> AsyncIterator[Store]:
    opened = open_store(Settings(redis_url=cluster_url, redis_cluster=True), cluster_url, timeout_ms=200, now_ms=str(NOW))
    yield opened
    await opened.close()


@contextlib.contextmanager
def stopped(redis: Redis, key: str) -> Iterator[None]:
    """The node where this key lives answers nobody meanwhile."""
    assert isinstance(redis, RedisCluster)
    node = redis.nodes_manager.get_node_from_slot(key_slot(key.encode()))
    process_id = redis.info("server", target_nodes=node)["process_id"]
    os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process_id, signal.SIGCONT)


async def test_a_stopped_node(redis: Redis, desk: Desk, impatient: Store):
    plan = plan_of(tokens("key", 1000), requests("team", 100), tokens("customer", 1000))
    nodes = {key_slot(usage_key(name).encode()) * 3 // 16_384 for name in ("key", "team", "customer")}
    assert len(nodes) > 1, "the owners are to live on several nodes"
    create(redis, plan)
    assert await desk.call(plan, "reserve", "before", 10) == "granted 10/0"
    hurried = Desk(impatient)
    with stopped(redis, usage_key("team")):
        for verb, request_id in (("reserve", "meanwhile"), ("settle", "before")):
            with pytest.raises(StoreUnavailable):
                await hurried.call(plan, verb, request_id, 10)
    # The same calls once more, when it is back: whatever of the first ones was done is not done again.
    assert await desk.call(plan, "settle", "before", 10) in ("settled 10/0", "settled again 10/0")
    assert await desk.call(plan, "reserve", "meanwhile", 10) in ("granted 10/0", "replayed 10/0")
    assert await desk.call(plan, "settle", "meanwhile", 8) == "settled 8/0"
    assert await desk.counters(plan) == "18+0 2+0 18+0"


async def test_scripts_that_are_gone_from_one_node(redis: Redis, desk: Desk):
    plan = plan_of(tokens("key", 1000), requests("team", 100), tokens("customer", 1000))
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 10)
    assert isinstance(redis, RedisCluster)
    for node in redis.get_primaries():
        redis.execute_command("SCRIPT", "FLUSH", target_nodes=node)
        assert await desk.call(plan, "reserve", node.name, 10) == "granted 10/0"
    assert await desk.counters(plan) == "0+40 4+0 0+40"
