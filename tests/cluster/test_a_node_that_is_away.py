"""One node of a cluster does not answer: what needs it is a 503, what does not goes on, nothing is charged twice afterwards."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis import Redis, RedisCluster
from redis.crc import key_slot

from service.errors import StoreUnavailable
from service.settings import Settings
from service.store.connection import Store, open_store
from tests.store.plans import NOW, create, plan_of, requests, tokens, usage_key
from tests.store.quota_desk import Desk

PAUSE_MS = 600


@pytest.fixture
async def impatient(redis: Redis, cluster_url: str) -> AsyncIterator[Store]:
    opened = open_store(Settings(redis_cluster=True), cluster_url, timeout_ms=150, now_ms=str(NOW))
    yield opened
    await opened.close()


def pause(redis: Redis, key: str) -> None:
    """The node where this key lives answers nobody for a while."""
    assert isinstance(redis, RedisCluster)
    node = redis.nodes_manager.get_node_from_slot(key_slot(key.encode()))
    redis.execute_command("CLIENT", "PAUSE", PAUSE_MS, target_nodes=node)


async def test_a_paused_node(redis: Redis, impatient: Store):
    plan = plan_of(tokens("key", 1000), requests("team", 100), tokens("customer", 1000))
    nodes = {key_slot(usage_key(name).encode()) * 3 // 16_384 for name in ("key", "team", "customer")}
    assert len(nodes) > 1, "the owners are to live on several nodes"
    create(redis, plan)
    desk = Desk(impatient)
    assert await desk.call(plan, "reserve", "before", 10) == "granted 10/0"
    pause(redis, usage_key("team"))
    with pytest.raises(StoreUnavailable):
        await desk.call(plan, "reserve", "meanwhile", 10)
    with pytest.raises(StoreUnavailable):
        await desk.call(plan, "settle", "before", 7)
    await asyncio.sleep(PAUSE_MS / 1000)
    # The same calls once more: whatever of the first ones was done is not done again.
    assert await desk.call(plan, "settle", "before", 7) in ("settled 7/0", "settled again 7/0")
    assert await desk.call(plan, "reserve", "meanwhile", 10) in ("granted 10/0", "replayed 10/0")
    assert await desk.call(plan, "settle", "meanwhile", 8) == "settled 8/0"
    assert await desk.counters(plan) == "15+0 2+0 15+0"


async def test_scripts_that_are_gone_from_one_node(redis: Redis, desk: Desk):
    plan = plan_of(tokens("key", 1000), requests("team", 100), tokens("customer", 1000))
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 10)
    assert isinstance(redis, RedisCluster)
    for node in redis.get_primaries():
        redis.execute_command("SCRIPT", "FLUSH", target_nodes=node)
        assert await desk.call(plan, "reserve", node.name, 10) == "granted 10/0"
    assert await desk.counters(plan) == "0+40 4+0 0+40"
