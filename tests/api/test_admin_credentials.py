"""Who may administer: whoever holds an admin token, once one is set. What needs none stays open."""

import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Any

import httpx
import pytest
from redis import Redis

from service import entities
from service.api import credentials
from tests.api.conftest import MakeApp
from tests.api.documented import DOCUMENT
from tests.api.redis_state import contents
from tests.api.refusals import assert_refused

TOKEN, NEXT_TOKEN, GATEWAY = "admin-1", "admin-2:with:colons", "gateway-1"
QUOTA = "/api/governance/virtual-keys/quota"
OF_GATEWAYS = "/api/governance/quota/"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")


def admin_paths() -> Iterator[str]:
    for path in DOCUMENT["paths"]:
        if path.startswith("/api/governance/") and path != QUOTA and not path.startswith(OF_GATEWAYS):
            yield path.replace("{", "").replace("}", "")
    yield "/api/governance/"
    yield "/api/governance/nothing/of/the/kind"
    yield f"{QUOTA}/"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
async def guarded(make_app: MakeApp) -> AsyncIterator[httpx.AsyncClient]:
    """An application with two admin tokens and one of a gateway; nothing is held against the document here."""
    application: Any = make_app(admin_token=(TOKEN, NEXT_TOKEN), gateway_token=(GATEWAY,))
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@pytest.fixture
async def virtual_key(guarded: httpx.AsyncClient) -> str:
    """The value of a key that is good for everything a key is good for."""
    headers = {"x-api-key": TOKEN}
    answer = await guarded.post("/api/governance/virtual-keys", headers=headers, json={"name": "k"})
    return str(answer.json()["virtual_key"]["value"])


@pytest.mark.parametrize("path", [*admin_paths()])
async def test_every_admin_route_needs_a_token_in_every_method(guarded: httpx.AsyncClient, redis: Redis, path: str):
    for method in METHODS:
        answer = await guarded.request(method, path, content=b'{"name": "x"}')
        assert_refused(answer, 401, says="an admin token is needed")
        assert answer.headers["www-authenticate"] == "Bearer"
        with_token = await guarded.request(method, path, headers={"x-api-key": TOKEN}, content=b"{")
        assert with_token.status_code in (200, 400, 404, 405)
    assert (await guarded.head(path)).status_code == 401
    assert contents(redis) == {}


ACCEPTED = [
    {"authorization": f"Bearer {TOKEN}"},
    {"authorization": f"bearer  {TOKEN} "},
    {"authorization": f"BEARER {NEXT_TOKEN}"},
    {"x-api-key": TOKEN},
    {"X-API-Key": NEXT_TOKEN},
    {"authorization": basic("", TOKEN)},
    {"authorization": basic("anybody", TOKEN)},
    {"authorization": basic("anybody", NEXT_TOKEN)},
    {"authorization": basic("x", TOKEN).replace("Basic", "basic")},
    {"authorization": "Bearer sk-openai-123", "x-api-key": TOKEN},
    {"authorization": f"Bearer {TOKEN}", "x-api-key": "wrong"},
    {"authorization": f"Bearer {TOKEN}", "x-api-key": GATEWAY},
    {"authorization": f"Bearer {TOKEN}", "x-bf-vk": "sk-bf-whatever"},
]


@pytest.mark.parametrize("headers", ACCEPTED, ids=str)
async def test_a_token_is_accepted_in_each_place(guarded: httpx.AsyncClient, headers: dict[str, str]):
    assert (await guarded.get("/api/governance/teams", headers=headers)).status_code == 200


REFUSED: list[dict[str, Any]] = [
    {"authorization": ""},
    {"authorization": "Bearer"},
    {"authorization": "Bearer "},
    {"authorization": TOKEN},
    {"authorization": f"Token {TOKEN}"},
    {"authorization": f"Bearer{TOKEN}"},
    {"authorization": f"Bearer {TOKEN[:-1]}"},
    {"authorization": f"Bearer {TOKEN}x"},
    {"authorization": f"Bearer {TOKEN.upper()}"},
    {"authorization": f"Bearer {TOKEN},{NEXT_TOKEN}"},
    {"authorization": f"Bearer {TOKEN}\xe9".encode("latin-1")},
    {"authorization": b"\xff\xfe"},
    {"authorization": basic(TOKEN, "")},
    {"authorization": basic(TOKEN, "wrong")},
    {"authorization": basic("", f"{TOKEN} ")},
    {"authorization": "Basic"},
    {"authorization": "Basic !!!"},
    {"authorization": "Basic " + base64.b64encode(b"\xff\xff").decode()},
    {"authorization": "Basic " + base64.b64encode(TOKEN.encode()).decode()},
    {"x-api-key": ""},
    {"x-api-key": f" {TOKEN[1:]}"},
    {"x-goog-api-key": TOKEN},
    {"api-key": TOKEN},
    {"x-bf-vk": TOKEN},
    {"x-quota-token": TOKEN},
    {"cookie": f"token={TOKEN}"},
]


@pytest.mark.parametrize("headers", REFUSED, ids=str)
async def test_everything_else_is_refused(guarded: httpx.AsyncClient, headers: dict[str, Any]):
    assert_refused(await guarded.get("/api/governance/teams", headers=headers), 401)


async def test_a_token_in_the_query_is_none(guarded: httpx.AsyncClient):
    assert_refused(await guarded.get("/api/governance/teams", params={"token": TOKEN, "x-api-key": TOKEN}), 401)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {GATEWAY}"},
        {"x-api-key": GATEWAY},
        {"authorization": basic("", GATEWAY)},
        {"x-quota-token": GATEWAY},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/api/governance/teams", "/api/governance/nothing"])
async def test_a_gateway_is_known_and_may_not_administer(guarded: httpx.AsyncClient, headers: dict[str, str], path: str):
    assert_refused(await guarded.get(path, headers=headers), 403, says="gateway token")


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "x-bf-vk", "x-goog-api-key", "api-key"])
async def test_a_virtual_key_is_never_an_admin(guarded: httpx.AsyncClient, virtual_key: str, header: str):
    value = f"Bearer {virtual_key}" if header == "authorization" else virtual_key
    assert_refused(await guarded.get("/api/governance/teams", headers={header: value}), 401)
    assert_refused(await guarded.delete(f"{QUOTA}", headers={header: value}), 401)


async def test_a_virtual_key_as_password_is_none(guarded: httpx.AsyncClient, virtual_key: str):
    assert_refused(await guarded.get("/api/governance/teams", headers={"authorization": basic("", virtual_key)}), 401)


async def test_the_body_of_a_stranger_is_not_looked_at(guarded: httpx.AsyncClient):
    async def endless() -> AsyncIterator[bytes]:
        raise AssertionError("somebody reads it")
        yield b""

    assert_refused(await guarded.post("/api/governance/teams", content=endless()), 401)
    assert_refused(await guarded.post("/api/governance/teams", headers={"content-length": "9" * 15}), 401)


async def test_the_quota_of_a_key_needs_the_key_and_no_more(guarded: httpx.AsyncClient, virtual_key: str):
    assert (await guarded.get(QUOTA, headers={"x-bf-vk": virtual_key})).status_code == 200
    assert (await guarded.head(QUOTA, headers={"x-bf-vk": virtual_key})).status_code == 200
    for headers in ({}, {"x-api-key": TOKEN}, {"authorization": f"Bearer {TOKEN}"}, {"x-api-key": GATEWAY}):
        answer = await guarded.get(QUOTA, headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"error": "Missing virtual key"})
    for method in ("POST", "PATCH", "PUT", "DELETE", "OPTIONS"):
        assert_refused(await guarded.request(method, QUOTA, headers={"x-bf-vk": virtual_key}), 401)


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health", "/api/version", "/openapi.json", "/docs", "/docs/start.js"])
async def test_what_tells_nothing_is_open(guarded: httpx.AsyncClient, path: str):
    assert (await guarded.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/", "/nothing", "/api", "/api/governance", "/admin", "/.env"])
async def test_what_is_not_there_is_not_there_for_anybody(guarded: httpx.AsyncClient, path: str):
    for headers in ({}, {"x-api-key": TOKEN}):
        assert_refused(await guarded.get(path, headers=headers), 404)


@dataclass
class Comparisons:
    made: list[tuple[bytes, bytes]] = field(default_factory=list)

    def compare(self, first: bytes, second: bytes) -> bool:
        self.made.append((first, second))
        return compare_digest(first, second)


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> Comparisons:
    seen = Comparisons()
    for module in (credentials, entities):
        monkeypatch.setattr(module, "compare_digest", seen.compare)
    return seen


@pytest.mark.parametrize("token", [TOKEN, NEXT_TOKEN, "", "x", "x" * 10_000])
async def test_time_tells_nothing_about_a_token(guarded: httpx.AsyncClient, comparisons: Comparisons, token: str):
    """Every configured token is compared, whole and of one length, whichever matches."""
    await guarded.get("/api/governance/teams", headers={"authorization": f"Bearer {token}"})
    assert {(len(first), len(second)) for first, second in comparisons.made} <= {(32, 32)}
    if token:
        assert {sha256(known.encode()).digest() for known in (TOKEN, NEXT_TOKEN)} <= {second for _, second in comparisons.made}


async def test_time_tells_nothing_about_a_virtual_key(guarded: httpx.AsyncClient, virtual_key: str, comparisons: Comparisons):
    await guarded.get(QUOTA, headers={"x-bf-vk": virtual_key})
    assert comparisons.made == [(virtual_key.encode(), virtual_key.encode())]


async def test_without_a_token_everybody_administers(make_app: MakeApp):
    """Which is why `quotad serve` then listens on loopback only (tests/test_cli.py)."""
    application: Any = make_app(gateway_token=(GATEWAY,))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://localhost") as client:
        for headers in ({}, {"x-api-key": "whatever"}, {"x-api-key": GATEWAY}, {"authorization": "Basic !!!"}):
            assert (await client.get("/api/governance/teams", headers=headers)).status_code == 200
