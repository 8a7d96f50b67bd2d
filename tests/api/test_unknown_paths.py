"""Paths, methods and ids that do not exist: 404 and 405 with the standard body, whatever they are made of."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api.conftest import MakeApp
from tests.api.documented import DOCUMENT
from tests.api.redis_state import contents
from tests.api.refusals import assert_refused

METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")
ADMIN = "/api/governance"


@pytest.fixture
async def raw(make_app: MakeApp) -> AsyncIterator[httpx.AsyncClient]:
    """Nothing is held against the document, which does not say what is not there."""
    application: Any = make_app()
    transport = httpx.ASGITransport(app=application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


PATHS = [
    "/",
    "/api",
    "/api/governance",
    "/api/governance/",
    "/api/governance/team",
    "/api/governance/Teams",
    "/api/governance/teams/",
    "/api/governance//teams",
    "/api/governance/teams/x/",
    "/api/governance/teams/x/y",
    "/api/governance/teams/x%2Fy",
    "/api/governance/teams/x/virtual-keys",
    "/api/governance/virtual-keys/quota/",
    "/api/governance/virtual-keys/quota/x",
    "/api/governance/budgets/x",
    "/api/governance/rate-limits/x",
    "/health/",
    "/api/version/x",
    "/docs/",
    "/docs/assets",
    "/docs/assets/",
    "/docs/assets/nothing.js",
    "/docs/assets/%00",
    "/docs/assets/%2e%2e%2f%2e%2e%2fservice/app.py",
    "/docs/assets/..%2fdocumentation.py",
    "/docs/assets/" + "x" * 5_000,
    "/" + "x" * 10_000,
    "/%ff%fe",
    "/\u2028",
    "/index.html",
    "/favicon.ico",
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ascii(path)[:60])
async def test_an_unknown_path(raw: httpx.AsyncClient, path: str):
    for method in ("GET", "POST", "DELETE"):
        answer = await raw.request(method, path)
        if answer.status_code != 405 or method == "GET":
            assert_refused(answer, 404)
        assert len(answer.content) < 1_000


ALLOWED = {
    path.replace("{", "").replace("}", ""): {method.upper() for method in methods}
    for path, methods in DOCUMENT["paths"].items()
    if not path.startswith("/api/governance/quota/authorize")  # answers every method a proxy forwards
}
ALLOWED["/api/governance/virtual-keys/quota"] |= ALLOWED["/api/governance/virtual-keys/vk_id"]


@pytest.mark.parametrize("path", ALLOWED)
async def test_a_wrong_method_is_told_the_right_ones(raw: httpx.AsyncClient, redis: Redis, path: str):
    allowed = ALLOWED[path] | ({"HEAD"} if "GET" in ALLOWED[path] else set())
    for method in METHODS:
        if method in allowed:
            continue
        answer = await raw.request(method, path, content=b"{}")
        assert_refused(answer, 405, says=f"{method} is not possible here")
        listed = answer.headers["allow"].split(", ")
        assert len(listed) == len(set(listed))
        assert set(listed) == allowed
    assert contents(redis) == {}


BY_ID = {
    "/virtual-keys": ("GET", "PUT", "DELETE"),
    "/teams": ("GET", "PUT", "DELETE"),
    "/customers": ("GET", "PUT", "DELETE"),
    "/routing-rules": ("GET", "PUT", "DELETE"),
    "/model-configs": ("GET", "PUT", "DELETE"),
    "/pricing-overrides": ("PUT", "DELETE"),
    "/providers": ("PUT", "DELETE"),
}

IDS = {
    "a UUID": "4c3b8a5e-0000-4000-8000-000000000000",
    "a word": "x",
    "a blank": "%20",
    "a slash": "%2F",
    "slashes and blanks": "a%2Fb%20c",
    "a percent sign": "%25",
    "a percent sign that escapes nothing": "100%",
    "a NUL": "%00",
    "no UTF-8": "%ff%fe",
    "half a character": "%e2%82",
    "an emoji": "%F0%9F%98%80",
    "a glob": "*",
    "the end of a hash tag": "x%7D:config%7B",
    "a key of Redis": "q1:%7Bdirectory%7D:team:created",
    "a line end": "a%0D%0ASet-Cookie:x",
    "a format": "%25s%25d",
    "dots": "%2E%2E",
    "quotes": "%22%27",
    "10,000 letters": "x" * 10_000,
    "a word that is a path elsewhere": "quota",
}


@pytest.mark.parametrize("collection", BY_ID)
async def test_an_id_of_nothing(raw: httpx.AsyncClient, redis: Redis, collection: str):
    for what, entity_id in IDS.items():
        for method in BY_ID[collection]:
            if (collection, entity_id, method) == ("/virtual-keys", "quota", "GET"):
                continue
            answer = await raw.request(method, f"{ADMIN}{collection}/{entity_id}", content=b"{}")
            assert_refused(answer, 404)
            assert len(answer.content) < 1_000, what
    assert contents(redis) == {}


async def test_quota_is_no_id_of_a_key(raw: httpx.AsyncClient):
    """Only reading it is something else."""
    answer = await raw.get(f"{ADMIN}/virtual-keys/quota")
    assert (answer.status_code, answer.json()) == (401, {"error": "Missing virtual key"})


@pytest.mark.parametrize("collection", BY_ID)
async def test_a_malformed_body_is_reported_before_an_unknown_id_and_a_wrong_value_after_it(
    raw: httpx.AsyncClient, collection: str
):
    path = f"{ADMIN}{collection}/x"
    assert_refused(await raw.put(path, content=b"{"), 400, says="invalid JSON")
    assert_refused(await raw.put(path, json={"budgets": {}, "targets": {}, "patch": []}), 400)
    wrong = {"name": "", "model_name": "", "rate_limit": {"token_max_limit": 0}, "budgets": [{"max_limit": -1}]}
    assert_refused(await raw.put(path, json=wrong), 404)


async def test_names_of_providers_may_hold_blanks_and_more(make_app: MakeApp):
    application: Any = make_app(providers=("my provider", "a?b", "ü%"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://localhost") as client:
        for name, path in (("my provider", "my%20provider"), ("a?b", "a%3Fb"), ("ü%", "%C3%BC%25")):
            for written in (path, path.lower()):
                answer = await client.put(
                    f"{ADMIN}/providers/{written}", json={"budgets": [{"max_limit": 1, "reset_duration": "1d"}]}
                )
                assert answer.json()["provider"] == name
        listed = (await client.get(f"{ADMIN}/providers")).json()
        assert [row["provider"] for row in listed["providers"]] == ["a?b", "my provider", "ü%"]
        assert (await client.delete(f"{ADMIN}/providers/a%3Fb")).status_code == 200


QUERIES = [
    "?",
    "?&&&",
    "?=",
    "?search",
    "?search=%ff",
    "?search=%00",
    "?search=" + "x" * 20_000,
    "?a[]=1&a[]=2",
    "?search=%",
    "?%=%",
]
LISTS = ["virtual-keys", "teams", "customers", "budgets", "rate-limits", "routing-rules", "model-configs", "providers"]


@pytest.mark.parametrize("collection", [*LISTS, "pricing-overrides"])
async def test_queries_that_ask_for_nothing(raw: httpx.AsyncClient, collection: str):
    for query in QUERIES:
        answer = await raw.get(f"{ADMIN}/{collection}{query}")
        assert answer.status_code == 200, query
        assert answer.json()["count"] == 0
