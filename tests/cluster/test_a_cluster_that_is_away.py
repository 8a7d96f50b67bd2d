"""No node of a cluster answers, or not for all slots: callers are told so in time, or admitted where the operator wants it."""

import asyncio
import contextlib
import gc
import os
import signal
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from redis import Redis
from redis.asyncio import RedisCluster

from service.app import create_app
from service.settings import Settings
from service.store.connection import open_store
from tests.api.gateway import CALL, OPENAI, admitted, call, create_key, rate_limit
from tests.ports import reserved_port
from tests.redis_cluster import SLOTS, redis_cluster
from tests.redis_servers import binaries

Trouble = Callable[[Redis], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="module", params=binaries())
def node(request: pytest.FixtureRequest) -> Iterator[Redis]:
    """All of a cluster."""
    with redis_cluster(binaries()[request.param], nodes=1) as (url,), Redis.from_url(url, decode_responses=True) as client:
        yield client


@contextlib.asynccontextmanager
async def application(port: int, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    limits = {"redis_timeout_ms": 300, "redis_admin_timeout_ms": 1_000}
    app: Any = create_app(Settings(redis_url=f"redis://127.0.0.1:{port}", redis_cluster=True, **{**limits, **settings}))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/governance") as client:
        yield client
    await app.services.close()
    # Connections to nodes that redis-py gave up; it leaves them to the garbage collector.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


def port_of(node: Redis) -> int:
    port: int = node.connection_pool.connection_kwargs["port"]
    return port


@contextlib.contextmanager
def stopped(node: Redis) -> Iterator[None]:
    process_id = node.info("server")["process_id"]
    os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process_id, signal.SIGCONT)


@contextlib.contextmanager
def without_slots(node: Redis) -> Iterator[None]:
    node.execute_command("CLUSTER", "DELSLOTS", *range(SLOTS))
    try:
        yield
    finally:
        node.execute_command("CLUSTER", "ADDSLOTS", *range(SLOTS))


async def assert_told_in_time(client: httpx.AsyncClient, key: dict[str, Any]) -> None:
    for operation, body in (
        ("reserve", {**CALL, "virtual_key": key["value"], "request_id": "meanwhile"}),
        ("settle", {"reservation_id": "before", "cost": 1}),
        ("explain", {**CALL, "virtual_key": key["value"]}),
    ) * 2:
        started = time.monotonic()
        response = await call(client, operation, **body)
        assert (response.status_code, response.headers.get("retry-after")) == (503, "1"), (operation, response.text)
        assert time.monotonic() - started < 3
    for path in ("/virtual-keys/quota", "/virtual-keys", "http://localhost/readyz", "http://localhost/health"):
        response = await client.get(path, headers={"x-bf-vk": key["value"]})
        assert response.status_code == 503, (path, response.text)


@pytest.mark.parametrize("trouble", [stopped, without_slots])
async def test_all_is_well_again_afterwards(node: Redis, trouble: Trouble):
    node.flushall()
    async with application(port_of(node)) as client:
        key = await create_key(client, rate_limit=rate_limit(requests=10))
        await admitted(client, key, request_id="before")
        with trouble(node):
            await assert_told_in_time(client, key)
        end = time.monotonic() + 60
        while (await call(client, "reserve", key, request_id="meanwhile", **CALL)).status_code != 200:
            assert time.monotonic() < end
        # Whether what was told to be unknown was done or not, it counts once.
        answer = await admitted(client, key, request_id="afterwards")
        assert answer["limits"][0]["usage"] == 3


async def test_where_it_never_was(node: Redis):
    with reserved_port() as port:
        async with application(port) as client:
            await assert_told_in_time(client, {"value": "sk-bf-some"})


@pytest.mark.parametrize("trouble", [stopped, without_slots])
async def test_open_admits_uncounted(node: Redis, trouble: Trouble):
    node.flushall()
    async with application(port_of(node), on_store_failure="open") as client:
        key = await create_key(client, provider_configs=[OPENAI])
        await admitted(client, key)
        with trouble(node):
            for _ in range(5):
                assert (await admitted(client, key))["degraded"] is True


async def test_who_waits_for_the_layout_outlives_that_redis_py_begins_anew(node: Redis, monkeypatch: pytest.MonkeyPatch):
    """It closes its client, and goes on with it, when a node says that the cluster is down."""
    store = open_store(Settings(redis_cluster=True), f"redis://127.0.0.1:{port_of(node)}", timeout_ms=5_000)
    look, may_look = RedisCluster.initialize, asyncio.Event()

    async def look_late(self: Any, *arguments: Any) -> Any:
        await may_look.wait()
        return await look(self, *arguments)

    monkeypatch.setattr(RedisCluster, "initialize", look_late)
    waiting = asyncio.create_task(store.ping())
    await asyncio.sleep(0.01)
    await store.redis.aclose()
    may_look.set()
    await waiting
    await store.close()
