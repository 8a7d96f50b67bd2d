"""Provider governance over HTTP: which providers there are, which are listed, what stays."""

from typing import Any

import httpx
import pytest
from redis import Redis

from service.providers import BUILT_IN
from tests.api import calls
from tests.api.calls import MODEL_CONFIGS, VIRTUAL_KEYS
from tests.api.conftest import MakeClient
from tests.api.redis_state import contents
from tests.api.refusals import assert_refused

DAY = {"max_limit": 5, "reset_duration": "1d"}
TOKENS = {"token_max_limit": 100, "token_reset_duration": "1h"}
DONE = {"message": "Provider governance updated successfully"}


async def listed(client: httpx.AsyncClient, **params: str) -> dict[str, dict[str, Any]]:
    body = (await client.get("/providers", params=params)).json()
    assert body.keys() == {"providers", "count"}
    assert body["count"] == len(body["providers"])
    return {row["provider"]: row for row in body["providers"]}


async def put(client: httpx.AsyncClient, name: str, **members: Any) -> dict[str, Any]:
    answer = await client.put(f"/providers/{name}", json=members)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_no_provider_has_limits_at_first(client: httpx.AsyncClient):
    assert (await client.get("/providers")).json() == {"providers": [], "count": 0}


async def test_the_answer_is_flat_with_a_message(client: httpx.AsyncClient):
    answer = await put(client, "openai", budgets=[DAY])
    assert answer.keys() == {"message", "provider", "budgets", "budget", "calendar_aligned"}
    assert {**answer, **DONE, "provider": "openai", "calendar_aligned": False} == answer
    assert await listed(client, from_memory="true") == {"openai": {name: answer[name] for name in answer if name != "message"}}


@pytest.mark.parametrize("name", sorted(BUILT_IN))
async def test_every_built_in_provider_is_known(client: httpx.AsyncClient, name: str):
    assert await put(client, name) == {**DONE, "provider": name, "calendar_aligned": False}


@pytest.mark.parametrize("name", ["nobody", "OpenAI", "openai ", " openai", "openai%2F", "*", "mine"])
async def test_other_names_are_not(client: httpx.AsyncClient, redis: Redis, name: str):
    assert_refused(await client.put(f"/providers/{name}", json={"budgets": [DAY]}), 404, says="there is no provider")
    assert_refused(await client.put(f"/providers/{name}", json={"budgets": [{"max_limit": 0}]}), 404)
    assert_refused(await client.put(f"/providers/{name}", json={"budgets": 5}), 400)
    assert_refused(await client.put(f"/providers/{name}", json={"budget": DAY, "budgets": []}), 400, param="budgets")
    assert_refused(await client.delete(f"/providers/{name}"), 404, says="there is no provider")
    assert contents(redis) == {}


async def test_the_operator_adds_names(make_client: MakeClient):
    async with make_client(providers=("mine", "my own")) as client:
        assert [*(await listed(client))] == []
        await put(client, "my own", budgets=[DAY])
        await put(client, "openai", budgets=[DAY])
        assert [*(await listed(client))] == ["my own", "openai"]
    async with make_client() as client:
        # Its limits stay where the operator takes the name away again.
        assert [*(await listed(client))] == ["my own", "openai"]
        assert_refused(await client.put("/providers/my own", json={}), 404)


async def test_providers_with_a_limit_are_listed_by_name(client: httpx.AsyncClient):
    await put(client, "openai", budgets=[DAY])
    await put(client, "azure", rate_limit=TOKENS)
    await put(client, "groq", rate_limit={"token_reset_duration": "1h"})
    await put(client, "xai", calendar_aligned=True)
    await put(client, "vertex")
    assert [*(await listed(client))] == ["azure", "groq", "openai"]
    await put(client, "openai", budgets=[])
    await put(client, "azure", rate_limit={})
    await put(client, "xai", budget=DAY)
    rows = await listed(client)
    assert [*rows] == ["groq", "xai"]
    assert rows["xai"]["calendar_aligned"] is True, "which was kept while it was not listed"


async def test_deleting_is_for_every_known_provider_and_any_number_of_times(client: httpx.AsyncClient):
    await put(client, "openai", budgets=[DAY], rate_limit=TOKENS, calendar_aligned=True)
    for name in ("openai", "openai", "azure"):
        answer = await client.delete(f"/providers/{name}")
        assert (answer.status_code, answer.json()) == (200, {"message": "Provider governance deleted successfully"})
    assert await listed(client) == {}
    assert await put(client, "openai") == {**DONE, "provider": "openai", "calendar_aligned": False}


async def test_one_that_has_left_the_settings_may_be_rid_of_its_limits(make_client: MakeClient):
    async with make_client(providers=("house",)) as client:
        await put(client, "house", budgets=[DAY])
    async with make_client() as client:
        assert (await listed(client)).keys() == {"house"}
        assert (await client.put("/providers/house", json={"budgets": [DAY]})).status_code == 404
        assert (await client.delete("/providers/house")).status_code == 200
        assert await listed(client) == {}


async def test_a_provider_without_limits_can_still_be_used_by_keys(client: httpx.AsyncClient):
    await put(client, "openai", budgets=[DAY])
    await client.delete("/providers/openai")
    key = await calls.create(client, VIRTUAL_KEYS, provider_configs=[{"provider": "openai"}])
    assert key["provider_configs"][0]["provider"] == "openai"


async def test_a_model_config_for_all_models_of_a_provider_is_something_else(client: httpx.AsyncClient):
    """They are kept apart, and both bind."""
    await put(client, "openai", budgets=[DAY])
    config = await calls.create(client, MODEL_CONFIGS, model_name="*", provider="openai", budgets=[DAY])
    assert [row["id"] for row in await calls.rows(client, MODEL_CONFIGS)] == [config["id"]]
    budgets = await calls.rows(client, "budgets")
    assert len(budgets) == 2
    assert [budget.get("model_config_id") for budget in budgets].count(config["id"]) == 1
    await client.delete("/providers/openai")
    assert await calls.get(client, MODEL_CONFIGS, config["id"]) == config
    assert await listed(client) == {}
