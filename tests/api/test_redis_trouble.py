"""Redis in trouble: every call that needs it answers 503 in time, nothing is half written, and after it all is well again."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from service.app import create_app
from service.errors import StoreUnavailable
from service.settings import Settings
from service.store.breaker import FAILURES_TO_OPEN, Breaker
from service.store.connection import open_store
from tests.api import calls
from tests.api.calls import CUSTOMERS, MODEL_CONFIGS, PRICING_OVERRIDES, ROUTING_RULES, TEAMS, VIRTUAL_KEYS
from tests.api.documented import assert_documented
from tests.api.redis_process import RedisProcess, eventually
from tests.api.redis_state import contents
from tests.api.redis_troubles import AWAY, REFUSES_WRITES, Trouble, stopped
from tests.api.refusals import assert_refused
from tests.store.consistency import assert_consistent

TIMEOUT_MS, ADMIN_TIMEOUT_MS = 150, 300
IN_TIME_S = 3 * ADMIN_TIMEOUT_MS / 1000 + 10
"""To get a connection from the pool, to open it, to wait for the answer; and ten seconds for a busy machine."""
PATIENCE_S = 60

LIMITS = {"budgets": [{"max_limit": 1, "reset_duration": "1d"}]}
RULE = {"cel_expression": "", "scope": "global", "targets": [{"weight": 1}]}
OVERRIDE = {"scope_kind": "global", "match_type": "exact", "pattern": "x", "request_types": ["rerank"]}

Clients = Callable[..., contextlib.AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    process = RedisProcess(tmp_path_factory.mktemp("redis"))
    yield process
    process.close()


@contextlib.asynccontextmanager
async def application(
    url: str, timeout_ms: int = TIMEOUT_MS, admin_timeout_ms: int = ADMIN_TIMEOUT_MS
) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(redis_url=url, redis_timeout_ms=timeout_ms, redis_admin_timeout_ms=admin_timeout_ms)
    app: Any = create_app(settings)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    hooks: Any = {"response": [assert_documented]}
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api/governance", event_hooks=hooks) as client:
        yield client
    await app.services.close()


class World:
    """One entity of each kind, made by a `patient` client, and the calls that need Redis."""

    def __init__(self, client: httpx.AsyncClient, patient: httpx.AsyncClient) -> None:
        self.client = client
        self._patient = patient
        self.ids: dict[str, str] = {}
        self.value = ""
        self._number = 0

    async def fill(self) -> None:
        patient = self._patient
        customer = await calls.create(patient, CUSTOMERS, **LIMITS)
        team = await calls.create(patient, TEAMS, customer_id=customer["id"], **LIMITS)
        key = await calls.create(patient, VIRTUAL_KEYS, team_id=team["id"], **LIMITS)
        config = await calls.create(patient, MODEL_CONFIGS, model_name="m", scope="virtual_key", scope_id=key["id"], **LIMITS)
        rule = await calls.create(patient, ROUTING_RULES, priority=-1, **RULE)
        override = await calls.create(patient, PRICING_OVERRIDES, **OVERRIDE)
        kinds = (MODEL_CONFIGS, VIRTUAL_KEYS, TEAMS, CUSTOMERS, ROUTING_RULES, PRICING_OVERRIDES)
        self.ids = dict(zip(kinds, (one["id"] for one in (config, key, team, customer, rule, override)), strict=True))
        self.value = key["value"]
        assert (await patient.put("/providers/openai", json=LIMITS)).status_code == 200

    def reads(self) -> list[Awaitable[httpx.Response]]:
        """Lists, single entities and the quota."""
        by_id = [self.client.get(f"/{kind}/{self.ids[kind]}") for kind in self.ids if kind != PRICING_OVERRIDES]
        lists = [self.client.get(f"/{name}") for name in (*self.ids, "budgets", "rate-limits", "providers")]
        pages = [self.client.get(f"/{name}", params={"limit": 1}) for name in (TEAMS, VIRTUAL_KEYS)]
        return [*by_id, *lists, *pages, self.quota()]

    def quota(self) -> Awaitable[httpx.Response]:
        return self.client.get("/virtual-keys/quota", headers={"x-bf-vk": self.value})

    def writes(self) -> list[Awaitable[httpx.Response]]:
        """A creation and a change of each kind."""
        self._number += 1
        name, changed = f"new {self._number}", f"changed {self._number}"
        bodies: dict[str, Any] = {
            CUSTOMERS: {**LIMITS},
            TEAMS: {**LIMITS},
            VIRTUAL_KEYS: {"provider_configs": [{"provider": "openai", **LIMITS}], **LIMITS},
            MODEL_CONFIGS: {"model_name": name, **LIMITS},
            ROUTING_RULES: {"priority": self._number, **RULE},
            PRICING_OVERRIDES: OVERRIDE,
        }
        creations = [self.client.post(f"/{kind}", json={"name": name, **body}) for kind, body in bodies.items()]
        changes = [
            self.client.put(f"/{kind}/{self.ids[kind]}", json={"name": changed, "model_name": changed, "calendar_aligned": True})
            for kind in self.ids
        ]
        provider = self.client.put("/providers/openai", json={"budgets": [{"max_limit": self._number, "reset_duration": "1d"}]})
        return [*creations, *changes, provider]

    def deletions(self) -> list[Awaitable[httpx.Response]]:
        return [self.client.delete(path) for path in self.paths()]

    def deletion(self, path: str) -> list[Awaitable[httpx.Response]]:
        return [self.client.delete(path)]

    def paths(self) -> list[str]:
        """What is in another first."""
        return [f"/{kind}/{entity_id}" for kind, entity_id in {**self.ids, "providers": "openai"}.items()]


@pytest.fixture
async def world(server: RedisProcess) -> AsyncIterator[World]:
    server.client.flushall()
    async with application(server.url) as client, application(server.url, *2 * [1000 * PATIENCE_S]) as patient:
        made = World(client, patient)
        await made.fill()
        yield made
    assert_consistent(server.client)


async def assert_unavailable(answers: list[Awaitable[httpx.Response]], within_s: float = IN_TIME_S) -> None:
    started = time.monotonic()
    found = await asyncio.gather(*answers)
    assert time.monotonic() - started < within_s
    for answer in found:
        assert_refused(answer, 503, says="try again")


async def assert_well(answers: Callable[[], list[Awaitable[httpx.Response]]]) -> None:
    """All at once. They are asked for again where it took as long as Redis may: on a busy machine it may answer too late."""
    deadline = time.monotonic() + PATIENCE_S
    well = {200, 201}
    while True:
        started = time.monotonic()
        found = {answer.status_code for answer in await asyncio.gather(*answers())}
        now = time.monotonic()
        if 503 not in found or now - started < TIMEOUT_MS / 1000 or now > deadline:
            break
        well.add(404)  # a deletion that was answered too late may have been done
    assert found <= well


async def until_well(world: World) -> None:
    """Within a moment and without a restart; whoever asks too early is told to try again."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := await world.quota()).status_code == 503:
        assert time.monotonic() < deadline
        assert_refused(answer, 503)
        await asyncio.sleep(0.01)
    await assert_well(world.reads)
    await assert_well(world.writes)
    for path in world.paths():
        await assert_well(partial(world.deletion, path))


@pytest.mark.parametrize("trouble", AWAY)
async def test_while_redis_is_away(server: RedisProcess, world: World, trouble: Trouble):
    await assert_well(world.reads)
    with trouble(server):
        await assert_unavailable(world.reads())
        await assert_unavailable([*world.writes(), *world.deletions()])
        await assert_unavailable([world.quota()])
    # A write that was refused may have been done all the same: Redis may find it in its buffers and do it late.
    missing = [answer.status_code for answer in await asyncio.gather(*world.deletions())]
    assert {*missing} <= {200, 404, 503}
    eventually(lambda: bool(server.client.ping()))
    assert_consistent(server.client)
    server.client.flushall()
    await world.fill()
    await until_well(world)


@pytest.mark.parametrize("trouble", REFUSES_WRITES)
async def test_while_redis_refuses_to_write(server: RedisProcess, world: World, trouble: Trouble):
    """Reading goes on."""
    before = contents(server.client)
    with trouble(server):
        await assert_unavailable(world.writes())
        await assert_well(world.reads)
    assert contents(server.client) == before
    await until_well(world)


@pytest.mark.parametrize("trouble", REFUSES_WRITES)
async def test_reads_beside_calls_that_are_refused(server: RedisProcess, world: World, trouble: Trouble):
    """They are sent on one connection."""
    openai = {"provider": "openai", "allowed_models": ["*"]}
    await world.client.put(f"/virtual-keys/{world.ids[VIRTUAL_KEYS]}", json={"provider_configs": [openai]})
    call = {"model": "openai/gpt-4o", "virtual_key": world.value}
    with trouble(server):
        for _ in range(20):
            reserve, *reads = await asyncio.gather(
                world.client.post("/quota/reserve", json=call),
                world.quota(),
                world.client.post("/quota/explain", json=call),
                world.quota(),
            )
            assert (reserve.status_code, [answer.status_code for answer in reads]) == (503, [200] * 3)


@pytest.mark.parametrize("trouble", REFUSES_WRITES)
async def test_without_traffic_it_is_noticed_that_writes_work_again(server: RedisProcess, trouble: Trouble):
    breaker = Breaker()
    store = open_store(Settings(), server.url, timeout_ms=TIMEOUT_MS, breaker=breaker)
    await store.look_at_writes()
    with trouble(server):
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(StoreUnavailable):
                await store.scripts.run("commit", ["k"], ["", b'{"checks":[],"writes":[["HSET","1","a","b"]]}'])
        with pytest.raises(StoreUnavailable):
            await store.look_at_writes()
        assert breaker.is_open
    await store.ping()
    await store.look_at_writes()
    assert not breaker.is_open
    await store.close()


async def test_redis_forgets_the_scripts(server: RedisProcess, world: World):
    for answers in (world.reads, world.writes, world.reads):
        server.client.script_flush()
        await assert_well(answers)


async def test_redis_closes_idle_connections(server: RedisProcess, world: World):
    """Nobody notices."""
    for answers in (world.reads, world.writes, world.reads):
        server.disconnect_others()
        await asyncio.sleep(0.01)  # what the event loop has not heard of yet, no client can know
        await assert_well(answers)


async def test_a_thousand_callers_do_not_wait_for_each_other(server: RedisProcess, world: World):
    world.client.event_hooks = {}
    started = time.monotonic()
    await asyncio.gather(*(world.quota() for _ in range(1_000)))
    when_well_s = time.monotonic() - started
    with stopped(server):
        await assert_unavailable([world.quota() for _ in range(1_000)], within_s=3 * when_well_s + 3)
    await until_well(world)


@pytest.mark.parametrize("path", ["/health", "/readyz"])
async def test_health_tells(server: RedisProcess, world: World, path: str):
    url = f"http://localhost{path}"
    await assert_well(lambda: [world.client.get(url)])
    with stopped(server):
        await assert_unavailable([world.client.get(url)])
        assert (await world.client.get("http://localhost/livez")).status_code == 200
    await until_well(world)


@pytest.mark.parametrize(
    "url", ["redis://:wrong@127.0.0.1:{port}", "redis://someone:wrong@127.0.0.1:{port}", "unix:///nowhere.sock"]
)
async def test_a_redis_that_was_never_there(server: RedisProcess, url: str, caplog: pytest.LogCaptureFixture):
    server.configure(requirepass="right")
    try:
        async with application(url.format(port=server.port)) as client:
            lost = World(client, client)
            lost.ids, lost.value = {TEAMS: "x", VIRTUAL_KEYS: "y"}, "sk-bf-x"
            await assert_unavailable([*lost.reads(), *lost.writes(), *lost.deletions()])
    finally:
        server.configure(requirepass="")
    assert "wrong" not in caplog.text
