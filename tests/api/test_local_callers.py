"""Without an admin token quotad is open to this machine, but not to web pages that a browser on it has open."""

from collections.abc import Callable

import httpx
import pytest

GATEWAY_CALL = "/quota/explain"

LOCAL = [
    {},
    {"host": "127.0.0.1:8080"},
    {"host": "localhost"},
    {"host": "[::1]:8080"},
    {"host": "127.8.9.10", "origin": "http://localhost:3000"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "same-site", "origin": "http://localhost:3000"},
]
FOREIGN = [
    {"host": "evil.example"},
    {"host": "localhost.evil.example:8080"},
    {"host": "10.0.0.7:8080"},
    {"host": "[::1"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://[::1"},
    {"host": "evil.example", "origin": "http://localhost"},
    # A picture or a link: without an origin.
    {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
]


@pytest.mark.parametrize("headers", LOCAL, ids=str)
async def test_callers_on_this_machine_are_served(client: httpx.AsyncClient, headers: dict[str, str]):
    assert (await client.get("/teams", headers=headers)).status_code == 200
    assert (await client.post(GATEWAY_CALL, json={}, headers=headers)).status_code == 200


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_web_pages_are_refused(client: httpx.AsyncClient, headers: dict[str, str]):
    for answer in (
        await client.get("/teams", headers=headers),
        await client.post("/teams", content='{"name": "x"}', headers={**headers, "content-type": "text/plain"}),
        await client.post(GATEWAY_CALL, json={}, headers=headers),
    ):
        assert answer.status_code == 403
        assert "QUOTAD_ADMIN_TOKEN" in answer.json()["error"]["message"]
    assert (await client.get("/teams")).json()["teams"] == []


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_with_a_token_the_name_plays_no_part(make_client: Callable[..., httpx.AsyncClient], headers: dict[str, str]):
    async with make_client(admin_token=("a-token",), headers={"authorization": "Bearer a-token"}) as client:
        assert (await client.get("/teams", headers=headers)).status_code == 200
        assert (await client.post(GATEWAY_CALL, json={}, headers=headers)).status_code == 200
