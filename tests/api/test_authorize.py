"""The door for proxies: any method, any path below it, no body; what nginx, Traefik, Envoy and Caddy make of the answers."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from service.api import authorize
from service.app import Application
from tests.api.conftest import NOW_MS, MakeApp
from tests.api.gateway import OPENAI, budget, counts, create_key, explain, rate_limit, settle

AUTHORIZE = "/quota/authorize"
MakeClient = Callable[..., httpx.AsyncClient]


def proxy_of(app: Application) -> httpx.AsyncClient:
    """Calls by methods and with answers that no document describes."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost/api/governance")


@pytest.fixture
async def proxy(make_app: MakeApp) -> AsyncIterator[httpx.AsyncClient]:
    async with proxy_of(make_app()) as one:
        yield one


async def ask(
    proxy: httpx.AsyncClient, key: dict[str, Any], path: str = "", method: str = "GET", **options: Any
) -> httpx.Response:
    headers = {"x-bf-vk": key["value"], **options.pop("headers", {})}
    return await proxy.request(method, AUTHORIZE + path, headers=headers, params={"provider": "openai", **options})


async def test_an_admission_is_empty_and_can_be_settled(client: httpx.AsyncClient, proxy: httpx.AsyncClient):
    key = await create_key(client, rate_limit=rate_limit(requests=5, tokens=100))
    response = await ask(proxy, key, model="gpt-4o", tokens="40")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["x-ratelimit-remaining-requests"] == "4"
    assert response.headers["ratelimit"].startswith('"virtual_key-tokens-1h";r=60;')
    answer = await settle(client, response.headers["x-quota-reservation"], input_tokens=30)
    assert counts(answer, "virtual_key", "tokens") == (30, 0, 70)
    assert counts(answer, "virtual_key", "requests") == (1, 0, 4)


async def test_the_proxy_says_how_long_a_hold_lasts_and_its_client_does_not(make_app: MakeApp, make_client: MakeClient):
    async with (
        make_client(now_ms=NOW_MS) as client,
        proxy_of(make_app(now_ms=NOW_MS)) as proxy,
        proxy_of(make_app(now_ms=NOW_MS + 1_100)) as later,
    ):
        key = await create_key(client, rate_limit=rate_limit(requests=5, tokens=100))
        assert (await ask(proxy, key, tokens="60", ttl="1s", headers={"x-quota-ttl": "24h"})).status_code == 200
        assert (await ask(proxy, key, tokens="60")).status_code == 200  # clamp holds the 40 that are left
        assert (await ask(proxy, key, tokens="60")).status_code == 429
        admitted = await ask(later, key, tokens="10")
        assert admitted.status_code == 200
        assert admitted.headers["ratelimit"].startswith('"virtual_key-tokens-1h";r=50;')
        refused = await ask(proxy, key, ttl="2 days")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "ttl")


async def test_what_was_understood_before_is_not_taken_for_something_else(client: httpx.AsyncClient, proxy: httpx.AsyncClient):
    key = await create_key(client, rate_limit=rate_limit(tokens=1000))
    for tokens, status in (("40", 200), ("40.0", 400), ("40", 200), ("1", 200), ("1.0", 400)):
        assert (await ask(proxy, key, model="gpt-4o", tokens=tokens)).status_code == status
    other = await ask(proxy, key, tokens="40", headers={"x-quota-model": "gpt-4o-mini"})
    assert (await settle(client, other.headers["x-quota-reservation"], input_tokens=1))["price"]["model"] == "gpt-4o-mini"
    ids = {(await ask(proxy, key, model="gpt-4o")).headers["x-quota-reservation"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["", "/", "/v1/chat/completions", "/a%2Fb/../c"])
async def test_any_method_and_any_path_below(client: httpx.AsyncClient, proxy: httpx.AsyncClient, method: str, path: str):
    key = await create_key(client, rate_limit=rate_limit(requests=2))
    for status in (200, 200, 429):
        assert (await ask(proxy, key, path, method)).status_code == status


async def test_a_path_beside_it_is_unknown(proxy: httpx.AsyncClient):
    assert (await proxy.get("/quota/authorizer")).status_code == 404


async def test_nobody_reads_the_body(client: httpx.AsyncClient, proxy: httpx.AsyncClient):
    key = await create_key(client)
    headers = {"x-bf-vk": key["value"], "content-length": "3"}
    response = await proxy.post(f"{AUTHORIZE}?provider=openai", content=b"{[(", headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize("header", ["x-bf-vk", "authorization", "x-api-key", "x-goog-api-key", "api-key"])
async def test_the_key_comes_in_the_usual_headers(client: httpx.AsyncClient, proxy: httpx.AsyncClient, header: str):
    key = await create_key(client)
    value = f"Bearer {key['value']}" if header == "authorization" else key["value"]
    response = await proxy.get(f"{AUTHORIZE}?provider=openai", headers={header: value})
    assert response.status_code == 200


async def test_without_a_key(proxy: httpx.AsyncClient):
    response = await proxy.get(AUTHORIZE)
    assert (response.status_code, response.json()["type"]) == (401, "virtual_key_required")
    response = await proxy.get(AUTHORIZE, headers={"authorization": "Bearer sk-bf-unknown"})
    assert (response.status_code, response.json()["type"]) == (401, "virtual_key_not_found")


@pytest.mark.parametrize("place", ["headers", "params"])
async def test_provider_model_and_estimate(client: httpx.AsyncClient, proxy: httpx.AsyncClient, place: str):
    key = await create_key(client, rate_limit=rate_limit(tokens=100), budgets=[budget(1)])
    said = {"provider": "openai", "model": "gpt-4o", "tokens": "40", "cost": "0.25"}
    options: dict[str, Any] = (
        {"headers": {f"x-quota-{name}": value for name, value in said.items()}} if place == "headers" else said
    )
    assert (await ask(proxy, key, **options)).status_code == 200
    answer = await explain(client, key)
    assert counts(answer, "virtual_key", "tokens") == (0, 40, 60)
    assert counts(answer, "virtual_key", "budget") == (0, 0.25, 0.75)


@pytest.mark.parametrize("name", ["modèle", "模型", "caf\u00e9".encode("latin-1")])
async def test_names_in_other_letters(client: httpx.AsyncClient, proxy: httpx.AsyncClient, name: str | bytes):
    text = name if isinstance(name, str) else name.decode("latin-1")
    key = await create_key(client, provider_configs=[{**OPENAI, "allowed_models": [text]}])
    headers: Any = {b"x-quota-provider": b"openai", b"x-quota-model": name if isinstance(name, bytes) else name.encode()}
    assert (await ask(proxy, key, headers=headers)).status_code == 200
    assert (await ask(proxy, key, provider="openai", model=text)).status_code == 200


async def test_what_the_operator_says_beats_what_a_client_may_send(client: httpx.AsyncClient, proxy: httpx.AsyncClient):
    key = await create_key(client)
    headers = {"x-quota-provider": "azure", "idempotency-key": "the same again and again"}
    ids = {(await ask(proxy, key, headers=headers)).headers["x-quota-reservation"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/"])
async def test_below_the_path_the_query_is_the_clients(client: httpx.AsyncClient, proxy: httpx.AsyncClient, path: str):
    """Envoy appends path and query of the request it asks about: what the operator says comes in headers, which Envoy leaves out
    where they have no value.
    """
    key = await create_key(client, rate_limit=rate_limit(requests=2, tokens=100))
    said = {"provider": "openai", "model": "gpt-4o", "tokens": "40"}
    headers = {f"x-quota-{name}": value for name, value in said.items()}
    claimed = {"provider": "azure", "model": "o1", "tokens": "0", "cost": "0", "ttl": "24h", "nginx": "1"}
    for _ in range(2):
        response = await ask(proxy, key, path, headers=headers, **claimed)
        assert response.status_code == 200
    assert response.headers["ratelimit"].startswith('"virtual_key-tokens-1h";r=20;')
    answer = await settle(client, response.headers["x-quota-reservation"], input_tokens=10)
    assert (answer["price"]["model"], answer["overrun"]["cost"]) == ("gpt-4o", 0)
    refused = await ask(proxy, key, path, headers=headers, **claimed)
    assert (refused.status_code, refused.headers.get("x-quota-status")) == (429, None)


async def test_the_first_of_several_parameters_counts(client: httpx.AsyncClient, proxy: httpx.AsyncClient):
    """What comes behind it may be appended by whoever asks."""
    key = await create_key(client)
    response = await proxy.get(f"{AUTHORIZE}?provider=openai&provider=azure", headers={"x-bf-vk": key["value"]})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "name, value",
    [
        *[("tokens", "many"), ("tokens", "1.5"), ("tokens", "-1"), ("tokens", "1_000")],
        *[("cost", "nan"), ("cost", "inf"), ("cost", "1_0"), ("cost", "\N{ARABIC-INDIC DIGIT THREE}")],
    ],
)
async def test_numbers_must_be_numbers(client: httpx.AsyncClient, proxy: httpx.AsyncClient, name: str, value: str):
    response = await ask(proxy, await create_key(client), **{name: value})
    assert (response.status_code, response.json()["error"]["param"]) == (400, name)


async def test_refusals_have_their_status_and_body(client: httpx.AsyncClient, proxy: httpx.AsyncClient):
    key = await create_key(client, rate_limit=rate_limit(requests=1), budgets=[budget(1)])
    first = await ask(proxy, key)
    response = await ask(proxy, key)
    assert (response.status_code, response.json()["decision"]) == (429, "request_limited")
    assert response.headers["retry-after"] == str(response.json()["retry_after"])
    await settle(client, first.headers["x-quota-reservation"], status="failed", cost=1)
    assert (await ask(proxy, key)).status_code == 402
    assert (await ask(proxy, key, provider="azure")).status_code == 403


@pytest.mark.parametrize(
    "members, use, status, quota_status",
    [
        ({}, {}, 200, None),
        ({"rate_limit": rate_limit(requests=1)}, {}, 403, "429"),
        ({"budgets": [budget(1)]}, {"cost": 1}, 403, "402"),
        ({"is_active": False}, {}, 403, None),
    ],
)
async def test_for_nginx(
    client: httpx.AsyncClient,
    proxy: httpx.AsyncClient,
    members: dict[str, Any],
    use: dict[str, Any],
    status: int,
    quota_status: str | None,
):
    """auth_request understands 2xx, 401 and 403."""
    key = await create_key(client, **members)
    first = await ask(proxy, key, nginx="1")
    if use:
        await settle(client, first.headers["x-quota-reservation"], **use)
    response = await ask(proxy, key, nginx="1")
    assert (response.status_code, response.headers.get("x-quota-status")) == (status, quota_status)
    assert ("retry-after" in response.headers) == (quota_status is not None)
    response = await proxy.get(f"{AUTHORIZE}?nginx=1")
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")


async def test_the_proxy_needs_a_token_of_its_own(make_app: MakeApp):
    app = make_app(gateway_token=("gate",), admin_token=("root",))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://quotad/api/governance") as proxy:
        admin = {"authorization": "Bearer root"}
        body = {"name": "key", "provider_configs": [{"provider": "openai", "allowed_models": ["*"], "key_ids": ["*"]}]}
        value = (await proxy.post("/virtual-keys", json=body, headers=admin)).json()["virtual_key"]["value"]
        url = f"{AUTHORIZE}?provider=openai"
        assert (await proxy.get(url, headers={"authorization": f"Bearer {value}"})).status_code == 401
        headers = {"authorization": f"Bearer {value}", "x-quota-token": "gate"}
        assert (await proxy.get(url, headers=headers)).status_code == 200
        headers = {"x-bf-vk": value, "authorization": "Bearer gate"}
        assert (await proxy.get(url, headers=headers)).status_code == 200


async def test_the_documented_calls(client: httpx.AsyncClient):
    """Held against the OpenAPI document."""
    key = await create_key(client, rate_limit=rate_limit(requests=1))
    shown = {"x-bf-vk": key["value"]}
    assert (await client.get(AUTHORIZE, params={"provider": "azure"}, headers=shown)).status_code == 403
    assert (await client.get(f"{AUTHORIZE}/v1", headers={"x-quota-provider": "azure", **shown})).status_code == 403


async def test_long_queries_are_neither_remembered_nor_without_end(proxy: httpx.AsyncClient):
    """Whoever can connect may send them."""
    before = authorize._params_of.cache_info().currsize
    for count, status in ((100, 401), (1_001, 400)):
        query = "&".join(f"name{number}={count}" for number in range(count))
        assert (await proxy.get(f"{AUTHORIZE}?{query}")).status_code == status
    assert authorize._params_of.cache_info().currsize == before
