"""Redis is away: callers are told so at once, or admitted uncounted where the operator wants it; it comes back by itself."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from service.store.embedded import embedded_redis
from tests.api.calls import VIRTUAL_KEYS, update
from tests.api.gateway import CALL, admitted, call, counts, create_key, explain, rate_limit, reserve
from tests.ports import reserved_port

MakeClient = Callable[..., httpx.AsyncClient]
LOG = logging.getLogger("quotad.tests.redis")
PATIENCE_S = 60
AT_ONCE_S = PATIENCE_S / 2
"""Long for a busy machine, yet whoever waited for Redis would wait longer."""

CALLS: dict[str, dict[str, Any]] = {
    "reserve": {**CALL, "virtual_key": "sk-bf-some"},
    "settle": {"reservation_id": "r1"},
    "release": {"reservation_id": "r1"},
    "renew": {"reservation_id": "r1"},
    "explain": {**CALL, "virtual_key": "sk-bf-some"},
}


@pytest.fixture
def port() -> Iterator[int]:
    """Nobody listens there."""
    with reserved_port() as one:
        yield one


def away(port: int, **settings: object) -> dict[str, Any]:
    patience_ms = 1000 * PATIENCE_S
    timeouts = {"redis_timeout_ms": patience_ms, "redis_admin_timeout_ms": patience_ms}
    return {"redis_url": f"redis://127.0.0.1:{port}/0", **timeouts, **settings}


async def until(ready: Callable[[], Any], within_s: float = 30.0) -> Any:
    """What `ready` answers once it is not None."""
    end = time.monotonic() + within_s
    while (found := await ready()) is None:
        assert time.monotonic() < end, "it did not come to pass in time"
        await asyncio.sleep(0.02)
    return found


@pytest.mark.parametrize(
    "operation, settings",
    [
        *((operation, {}) for operation in CALLS),
        *((operation, {"on_store_failure": "open"}) for operation in CALLS if operation != "reserve"),
    ],
)
async def test_whatever_cannot_be_done_is_a_503(make_client: MakeClient, port: int, operation: str, settings: dict[str, Any]):
    async with make_client(**away(port, **settings)) as client:
        for _ in range(5):
            started = time.monotonic()
            response = await call(client, operation, **CALLS[operation])
            assert (response.status_code, response.headers["retry-after"]) == (503, "1")
            assert response.json()["status_code"] == 503
            assert time.monotonic() - started < AT_ONCE_S
        response = await client.post(f"/quota/{operation}", json=CALLS[operation], headers={"accept": "application/problem+json"})
        assert response.json()["type"] == "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"


async def test_items_of_a_batch_are_503_each(make_client: MakeClient, port: int):
    async with make_client(**away(port)) as client:
        response = await call(client, "batch", operations=[{"op": name, **body} for name, body in CALLS.items()])
        assert [result["status"] for result in response.json()["results"]] == [503] * len(CALLS)


async def test_the_door_for_proxies(make_client: MakeClient, port: int):
    async with make_client(**away(port)) as client:
        response = await client.get("/quota/authorize", headers={"x-bf-vk": "sk-bf-some"})
        assert response.status_code == 503
        response = await client.get("/quota/authorize?nginx=1", headers={"x-bf-vk": "sk-bf-some"})
        assert (response.status_code, response.headers["x-quota-status"]) == (403, "503")
    async with make_client(**away(port, on_store_failure="open")) as client:
        response = await client.get("/quota/authorize", headers={"x-bf-vk": "sk-bf-some"})
        assert (response.status_code, response.headers["x-quota-degraded"]) == (200, "true")
        assert response.headers["x-quota-reservation"]


async def test_open_admits_uncounted(make_client: MakeClient, port: int):
    async with make_client(**away(port, on_store_failure="open")) as client:
        answer = await admitted(client, None, virtual_key="sk-bf-some", model="azure/gpt-4o", provider=None, request_id="r1")
        assert answer["degraded"] is True
        assert (answer["reservation_id"], answer["provider"], answer["model"]) == ("r1", "azure", "gpt-4o")
        assert (answer["expires_at"], answer["limits"], answer["virtual_key"]) == (None, [], None)
        # A missing key needs no store to be seen.
        response = await reserve(client, None)
        assert (response.status_code, response.json()["decision"]) == (401, "virtual_key_required")


async def test_what_was_admitted_uncounted_can_be_charged_later(make_client: MakeClient, port: int):
    async with make_client(**away(port, on_store_failure="open")) as client:
        with embedded_redis(None, LOG, port=port):
            key = await create_key(client, rate_limit=rate_limit(tokens=100))
            blocked = await create_key(client)
            await update(client, VIRTUAL_KEYS, blocked["id"], is_active=False)
            await admitted(client, key)
            assert (await reserve(client, blocked)).status_code == 403
            value = key["value"]
        answer = await admitted(client, key, request_id="r1")
        assert (answer["degraded"], answer["virtual_key"]["id"]) == (True, key["id"])
        # Known to be shut out, whatever its limits.
        response = await reserve(client, blocked)
        assert (response.status_code, response.json()["decision"]) == (403, "virtual_key_blocked")
        assert (await call(client, "settle", key, reservation_id="r1", input_tokens=7, **CALL)).status_code == 503
        with embedded_redis(None, LOG, port=port):
            # Another Redis, an empty one: nothing of the key is left, which counts as unknown.
            response = await until(lambda: _unless_503(client, "settle", reservation_id="r1", virtual_key=value, **CALL))
            assert (response.status_code, response.json()["decision"]) == (401, "virtual_key_not_found")


async def test_a_key_expires_though_redis_is_away(make_client: MakeClient, port: int, monkeypatch: pytest.MonkeyPatch):
    expires = datetime.now(UTC) + timedelta(hours=1)
    async with make_client(**away(port, on_store_failure="open")) as client:
        with embedded_redis(None, LOG, port=port):
            key = await create_key(client, expires_at=expires.isoformat())
            await admitted(client, key)
        assert (await admitted(client, key))["degraded"] is True
        afterwards = int(expires.timestamp() * 10**9) + 10**7
        monkeypatch.setattr("service.quota.reserve.time", SimpleNamespace(time_ns=lambda: afterwards))
        response = await reserve(client, key)
        assert (response.status_code, response.json()["decision"]) == (403, "virtual_key_blocked")
        assert response.json()["error"]["message"] == "Virtual key has expired"


async def test_it_recovers_by_itself(make_client: MakeClient, port: int):
    async with make_client(**away(port)) as client:
        for _ in range(5):
            assert (await reserve(client, None, virtual_key="sk-bf-some")).status_code == 503
        with embedded_redis(None, LOG, port=port):
            response = await until(lambda: _unless_503(client, "reserve", **CALLS["reserve"]))
            assert response.status_code == 401
            key = await create_key(client, rate_limit=rate_limit(tokens=100))
            await admitted(client, key, tokens=10)
            assert counts(await explain(client, key), "virtual_key", "tokens") == (0, 10, 90)


async def test_a_readiness_check_that_succeeds_lets_calls_go_again(make_client: MakeClient, port: int):
    async with make_client(**away(port)) as client:
        for _ in range(5):
            assert (await reserve(client, None, virtual_key="sk-bf-some")).status_code == 503
        with embedded_redis(None, LOG, port=port):
            assert (await client.get("http://localhost/readyz")).status_code == 200
            assert (await reserve(client, None, virtual_key="sk-bf-some")).status_code == 401


async def test_while_it_is_away_nobody_waits(make_client: MakeClient, port: int):
    async with make_client(**away(port)) as client:
        started = time.monotonic()
        responses = await asyncio.gather(*(reserve(client, None, virtual_key=f"sk-bf-{number}") for number in range(300)))
        assert {response.status_code for response in responses} == {503}
        assert time.monotonic() - started < AT_ONCE_S
        started = time.monotonic()
        assert (await reserve(client, None, virtual_key="sk-bf-some")).status_code == 503
        assert time.monotonic() - started < AT_ONCE_S


async def _unless_503(client: httpx.AsyncClient, operation: str, **body: Any) -> httpx.Response | None:
    response = await call(client, operation, **body)
    return response if response.status_code != 503 else None
