"""Base prices over HTTP: what is listed, what an import changes, in this worker and in the others."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from genai_prices import data_snapshot
from redis import Redis

from service import price_commands
from service.app import Application
from service.pricing.sheet import BadSheet
from service.settings import Settings
from service.store import keys
from tests.api.calls import refusal
from tests.api.conftest import NOW_MS, MakeClient

SAMPLE = Path(__file__).parents[1] / "pricing" / "sheet.json"


def run_import(redis_url: str, text: bytes = SAMPLE.read_bytes(), *, skip_invalid: bool = False) -> list[str]:
    settings = Settings(redis_url=redis_url, redis_admin_timeout_ms=10_000)
    return list(price_commands.import_sheet(settings, SAMPLE.name, text, skip_invalid=skip_invalid))


async def in_a_thread(call: Any, *args: Any, **kwargs: Any) -> Any:
    """The commands run an event loop of their own."""
    return await asyncio.to_thread(call, *args, **kwargs)


async def prices(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    response = await client.get("/prices", params=params)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def cost(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/quota/cost", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_prices_come_with_the_service(client: httpx.AsyncClient):
    body = await prices(client)
    assert (body["count"], body["limit"], body["offset"], body["version"]) == (25, 25, 0, 0)
    assert body["total_count"] > 2_000
    (source,) = body["sources"]
    assert source == {"source": "genai-prices", "models": body["total_count"], "version": "0.2.3"}


@pytest.mark.parametrize(
    "params, expected",
    [
        ({"model": "ChatGPT-4O", "provider": "openai"}, [("openai", "chatgpt-4o-latest")]),
        ({"model": "GPT-4O-2024-05", "provider": "openai"}, [("openai", "gpt-4o-2024-05-13")]),
        ({"model": "gemini-2.5-pro", "limit": 2}, [("gemini", "gemini-2.5-pro"), ("gemini", "gemini-2.5-pro-tts")]),
        ({"model": "gemini-2.5-pro", "provider": "vertex", "limit": 1}, [("vertex", "gemini-2.5-pro")]),
        ({"model": "no-such-model"}, []),
        ({"provider": "no-such-provider"}, []),
        ({"provider": "aws"}, []),  # ours is called bedrock
    ],
)
async def test_searching(client: httpx.AsyncClient, params: dict[str, Any], expected: list[tuple[str, str]]):
    body = await prices(client, **params)
    assert [(row["provider"], row["model"]) for row in body["prices"]] == expected


async def test_pages_follow_each_other(client: httpx.AsyncClient):
    everything = await prices(client, provider="mistral", limit=100)
    assert everything["total_count"] == everything["count"] > 20
    pages = [await prices(client, provider="mistral", limit=7, offset=offset) for offset in range(0, everything["count"], 7)]
    assert [row for page in pages for row in page["prices"]] == everything["prices"]
    assert (await prices(client, provider="mistral", offset=10_000))["prices"] == []


@pytest.mark.parametrize("params", [{"limit": "x"}, {"limit": "-1"}, {"offset": "1.5"}])
async def test_pages_that_are_none(client: httpx.AsyncClient, params: dict[str, str]):
    assert refusal(await client.get("/prices", params=params)) == (400, next(iter(params)))


async def test_what_is_imported_wins(make_client: MakeClient, redis: Redis, redis_url: str):
    async with make_client(now_ms=NOW_MS) as client, make_client(now_ms=NOW_MS) as other_worker:
        before = await cost(other_worker, model="gpt-4o", provider="openai", input_tokens=1_000)
        assert (before["cost"], before["price"]["source"]) == (0.0025, "genai-prices")

        lines = await in_a_thread(run_import, redis_url)
        version = int(redis.hget(keys.versions(), "pricing") or 0)
        assert lines == [
            "Imported the prices of 12 models of 9 providers.",
            "Without a price: 2.",
            "Not used, because requests are not counted in them: output_cost_per_reasoning_token (1), ocr_cost_per_page (1).",
            f"They are version {version} of all prices: every worker goes by them from its next decision on.",
        ]
        for worker in (client, other_worker):
            after = await cost(worker, model="gpt-4o", provider="openai", input_tokens=1_000)
            assert (after["cost"], after["price"]["source"]) == (0.0026, "imported")

        body = await prices(client, provider="openai", model="gpt-4o")
        rows = {row["model"]: row for row in body["prices"]}
        assert (rows["gpt-4o"]["source"], rows["gpt-4o-mini"]["source"]) == ("imported", "genai-prices")
        assert rows["gpt-4o"]["prices"]["input_cost_per_token"] == 2.6e-06
        imported, bundled = body["sources"]
        assert imported["models"] == 12
        assert (imported["name"], imported["source"], bundled["source"]) == ("sheet.json", "imported", "genai-prices")
        assert body["version"] == version


async def test_an_import_replaces_the_one_before(make_client: MakeClient, redis_url: str):
    async with make_client() as client:
        await in_a_thread(run_import, redis_url)
        assert (await cost(client, model="house-model", provider="my-cluster", input_tokens=1))["priced"]
        other = {"tiny": {"litellm_provider": "my-cluster", "input_cost_per_token": 1e-6}}
        lines = await in_a_thread(run_import, redis_url, json.dumps(other).encode())
        assert lines[0] == "Imported the prices of 1 model of 1 provider."
        assert not (await cost(client, model="house-model", provider="my-cluster", input_tokens=1))["priced"]
        assert (await cost(client, model="tiny", provider="my-cluster", input_tokens=1_000))["cost"] == 0.001
        assert (await cost(client, model="gpt-4o", provider="openai"))["price"]["source"] == "genai-prices"

        cleared = await in_a_thread(price_commands.clear, Settings(redis_url=redis_url))
        assert cleared == "Imported prices are gone; those that come with the service remain."
        assert not (await cost(client, model="tiny", provider="my-cluster", input_tokens=1_000))["priced"]
        assert [source["source"] for source in (await prices(client))["sources"]] == ["genai-prices"]
        assert await in_a_thread(price_commands.clear, Settings(redis_url=redis_url)) == "No prices were imported."


async def test_a_bad_sheet_changes_nothing(make_client: MakeClient, redis_url: str):
    good = {"litellm_provider": "my-cluster", "input_cost_per_token": 1e-6}
    text = json.dumps({"good": good, "bad": {**good, "output_cost_per_token": -1}}).encode()
    async with make_client() as client:
        with pytest.raises(BadSheet) as caught:
            await in_a_thread(run_import, redis_url, text)
        assert str(caught.value) == (
            "1 entry cannot be used, so nothing was imported:\n  bad: output_cost_per_token must be between 0 and 9000000"
        )
        assert (await prices(client))["version"] == 0

        lines = await in_a_thread(run_import, redis_url, text, skip_invalid=True)
        assert lines[1:3] == [
            "Left out, because they cannot be used: 1.",
            "  bad: output_cost_per_token must be between 0 and 9000000",
        ]
        assert (await cost(client, model="good", provider="my-cluster", input_tokens=1_000))["cost"] == 0.001

        for empty in (b"{}", b'{"m": {"litellm_provider": "openai"}}'):
            with pytest.raises(BadSheet, match="it holds no price"):
                await in_a_thread(run_import, redis_url, empty)


@pytest.mark.parametrize("token, status", [(None, 401), ("gateway", 403), ("admin", 200)])
async def test_only_admins_list_prices(make_client: MakeClient, token: str | None, status: int):
    headers = {"authorization": f"Bearer {token}"} if token else None
    async with make_client(headers=headers, admin_token=("admin",), gateway_token=("gateway",)) as client:
        assert (await client.get("/prices")).status_code == status


def test_the_application_needs_no_network_for_its_prices(make_app: Any):
    # The data is part of the package; nothing of it that fetches is ever started.
    assert isinstance(make_app(), Application)
    assert data_snapshot._custom_snapshot is None
