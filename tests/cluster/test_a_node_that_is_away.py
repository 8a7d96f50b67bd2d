"""One node of a cluster does not answer: what needs it is a 503, what does not goes on, nothing is charged twice afterwards."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator

import pytest
from redis import Redis, RedisCluster
from redis.crc import key_slot

from service.errors import StoreUnavailable
from service.settings import Settings
from service.store.breaker import Breaker
from service.store.connection import Store, open_store
from tests.store.plans import MINUTE, NOW, create, plan_of, requests, tokens, usage_key
from tests.store.quota_desk import Desk, swept
from tests.store.stored_counters import stored_counters


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


def _node_of(redis: Redis, name: str) -> object:
    assert isinstance(redis, RedisCluster)
    return redis.nodes_manager.get_node_from_slot(key_slot(usage_key(name).encode()))


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


async def test_what_nodes_took_that_are_there_goes_back(redis: Redis, impatient: Store):
    """Though no connection to the other one can be opened, and it was known before."""
    plan = plan_of(tokens("key", 1000), requests("team", 100), tokens("customer", 1000))
    create(redis, plan)
    hurried = Desk(impatient)
    there = [name for name in ("key", "customer") if _node_of(redis, name) != _node_of(redis, "team")]
    assert there
    assert await hurried.call(plan, "reserve", "before", 10) == "granted 10/0"
    with stopped(redis, usage_key("team")):
        for number in range(4):
            with pytest.raises(StoreUnavailable):
                await hurried.call(plan, "reserve", f"meanwhile {number}", 10)
        assert [stored_counters(redis, usage_key(name))[1].held for name in there] == [10] * len(there)


@pytest.mark.parametrize("lease_ms", [10 * MINUTE, 1])
@pytest.mark.parametrize("on_lease_expiry", ["release", "charge"])
async def test_what_a_node_took_that_did_not_answer_goes_back_with_the_next_sweep(
    redis: Redis, impatient: Store, on_lease_expiry: str, lease_ms: int
):
    """Whether it had done what was asked before it stopped, or does that when it goes on; also when the lease has ended by then,
    and what was held is charged.
    """
    plan = plan_of(tokens("key", 1000), requests("team", 100), tokens("customer", 1000))
    create(redis, plan)
    hurried = Desk(impatient, charge_expired=on_lease_expiry == "charge")
    assert await hurried.call(plan, "reserve", "before", 10) == "granted 10/0"
    with stopped(redis, usage_key("team")):
        for number in range(4):
            with pytest.raises(StoreUnavailable):
                await hurried.call(plan, "reserve", f"meanwhile {number}", 10, lease_ms=lease_ms)
        with pytest.raises(StoreUnavailable):
            await swept(hurried.reservations)
    for _ in range(1000):
        if stored_counters(redis, usage_key("team"))[2].usage > 1:
            break  # the node has taken what nobody waited for
        await asyncio.sleep(0.01)
    else:
        pytest.fail("the node is to take what nobody waited for")
    hurried.at(NOW + MINUTE)
    with contextlib.suppress(StoreUnavailable):
        await swept(hurried.reservations)  # the breaker may be open yet
    await swept(hurried.reservations)
    assert await hurried.counters(plan) == "0+10 1+0 0+10"


async def test_plans_are_saved_anew_after_a_node_has_failed(redis: Redis, impatient: Store):
    """A replica that took over may not have them."""
    plan = plan_of(tokens("key", 1000), requests("team", 100))
    create(redis, plan)
    hurried = Desk(impatient)
    assert await hurried.call(plan, "reserve", "before", 10) == "granted 10/0"
    with stopped(redis, usage_key("team")), pytest.raises(StoreUnavailable):
        await hurried.call(plan, "reserve", "meanwhile", 10)
    for key in redis.scan_iter("q1:{plan:*"):
        redis.delete(key)
    assert await hurried.call(plan, "reserve", "after", 10) == "granted 10/0"
    assert await hurried.another_worker().call(plan, "settle", "after", 5) == "settled 5/0"


async def test_scripts_that_are_gone_from_one_node(redis: Redis, desk: Desk):
    plan = plan_of(tokens("key", 1000), requests("team", 100), tokens("customer", 1000))
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 10)
    assert isinstance(redis, RedisCluster)
    for node in redis.get_primaries():
        redis.execute_command("SCRIPT", "FLUSH", target_nodes=node)
        assert await desk.call(plan, "reserve", node.name, 10) == "granted 10/0"
    assert await desk.counters(plan) == "0+40 4+0 0+40"


async def test_withdrawals_from_a_node_that_is_away_leave_calls_of_others_alone(redis: Redis, cluster_url: str):
    """They are tried once a second: three failures in a row would be told to all callers."""
    settings = Settings(redis_url=cluster_url, redis_cluster=True)
    store = open_store(settings, cluster_url, timeout_ms=200, now_ms=str(NOW), breaker=Breaker())
    here = next(name for name in ("key", "customer", "provider") if _node_of(redis, name) != _node_of(redis, "team"))
    plan, of_others = plan_of(requests("team", 100), tokens("key", 1000)), plan_of(tokens(here, 1000))
    create(redis, plan)
    create(redis, of_others)
    hurried = Desk(store)
    for request_id in ("a", "b"):
        assert await hurried.call(of_others, "explain", "", 1) != "", request_id
    with stopped(redis, usage_key("team")):
        with pytest.raises(StoreUnavailable):
            await hurried.call(plan, "reserve", "left", 10)
        await asyncio.sleep(0.3)
        for _ in range(4):
            with contextlib.suppress(StoreUnavailable):
                await anext(hurried.reservations.sweep(lambda: 64))
        assert (await hurried.call(of_others, "explain", "", 1)).startswith("would be granted")
    await store.close()
