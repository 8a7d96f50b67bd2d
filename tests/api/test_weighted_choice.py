"""Requests that name no provider: chosen by weight, those over a limit left out of the choice and of the fallbacks."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.calls import VIRTUAL_KEYS, update
from tests.api.conftest import NOW_MS
from tests.api.gateway import OPENAI, admitted, budget, create_key, explain, rate_limit, refused, release, settle
from tests.api.redis_state import traffic

MakeClient = Callable[..., httpx.AsyncClient]


def config(provider: str, weight: float | None, **members: Any) -> dict[str, Any]:
    return {**OPENAI, "provider": provider, "weight": weight, **members}


async def choose(client: httpx.AsyncClient, key: dict[str, Any], request_id: str | None = None, **body: Any) -> dict[str, Any]:
    return await admitted(client, key, **{"provider": None, "request_id": request_id, **body})


async def test_shares_and_fallbacks(client: httpx.AsyncClient):
    key = await create_key(client, provider_configs=[config("openai", 3), config("azure", 1), config("anthropic", None)])
    chosen = Counter([(await choose(client, key, f"r{number}"))["provider"] for number in range(200)])
    assert set(chosen) == {"openai", "azure"}
    assert 120 < chosen["openai"] < 180
    answer = await choose(client, key, "r0")
    assert answer["fallbacks"] == [f"{'azure' if answer['provider'] == 'openai' else 'openai'}/gpt-4o"]


async def test_fallbacks_come_by_weight(client: httpx.AsyncClient):
    key = await create_key(
        client, provider_configs=[config("openai", 1), config("azure", 5), config("anthropic", 3), config("groq", 0)]
    )
    by_weight = ["azure", "anthropic", "openai", "groq"]
    answer = await choose(client, key)
    assert answer["fallbacks"] == [f"{name}/gpt-4o" for name in by_weight if name != answer["provider"]]


async def test_only_providers_that_allow_the_model_take_part(client: httpx.AsyncClient):
    key = await create_key(client, provider_configs=[config("openai", 1, allowed_models=["o1"]), config("azure", 1)])
    for number in range(5):
        answer = await choose(client, key, f"r{number}")
        assert (answer["provider"], answer["fallbacks"]) == ("azure", [])


async def test_a_provider_in_the_name_of_the_model_is_no_choice(client: httpx.AsyncClient):
    key = await create_key(client, provider_configs=[config("openai", 1), config("azure", 100)])
    answer = await choose(client, key, model="openai/gpt-4o")
    assert (answer["provider"], answer["model"], answer["fallbacks"]) == ("openai", "gpt-4o", [])


@pytest.mark.parametrize(
    "limit, use",
    [
        ({"rate_limit": rate_limit(requests=1)}, {}),
        ({"rate_limit": rate_limit(tokens=5)}, {"tokens": 5}),
        ({"budgets": [budget(1)]}, {"cost": 1}),
    ],
)
async def test_who_is_over_a_limit_is_left_out(client: httpx.AsyncClient, limit: dict[str, Any], use: dict[str, Any]):
    key = await create_key(client, provider_configs=[config("openai", 1000, **limit), config("azure", 1), config("groq", 1)])
    first = await choose(client, key, "r1", **use)
    assert (first["provider"], "openai/gpt-4o" in first["fallbacks"]) == ("openai", False)
    for number in range(5):
        answer = await choose(client, key, f"s{number}", **use)
        assert answer["provider"] in ("azure", "groq")
        assert len(answer["fallbacks"]) == 1
        assert "openai/gpt-4o" not in answer["fallbacks"]
    # A replay keeps to the provider of the first time, whoever is over by now.
    assert (await choose(client, key, "r1", **use))["provider"] == "openai"
    await release(client, "r1")
    assert (await choose(client, key, "r2", **use))["provider"] == "openai"


async def test_provider_governance_and_limits_of_models_on_a_provider_leave_out_too(client: httpx.AsyncClient):
    key = await create_key(client, provider_configs=[config("openai", 1000), config("azure", 1000), config("groq", 1)])
    assert (await client.put("/providers/openai", json={"rate_limit": rate_limit(requests=1)})).status_code == 200
    body = {"model_name": "*", "provider": "azure", "scope": "virtual_key", "scope_id": key["id"], "budgets": [budget(1)]}
    assert (await client.post("/model-configs", json=body)).status_code == 200
    assert {(await choose(client, key, cost=1))["provider"] for _ in range(3)} == {"openai", "azure", "groq"}


async def test_when_all_are_over_the_first_drawn_says_why(client: httpx.AsyncClient):
    limit = {"rate_limit": rate_limit(requests=1)}
    key = await create_key(client, provider_configs=[config("openai", 1, **limit), config("azure", 1, **limit)])
    assert {(await choose(client, key))["provider"] for _ in range(2)} == {"openai", "azure"}
    answer = await refused(client, key, provider=None)
    assert (answer["decision"], answer["limit"]["scope"]) == ("request_limited", "provider_config")


@pytest.mark.parametrize("weights", [(1, 1_000_000), (1_000_000, 1)])
async def test_when_all_are_over_it_makes_sense_to_try_again_as_soon_as_one_is_open(
    make_client: MakeClient, weights: tuple[int, int]
):
    """Whichever is drawn first."""
    slow, fast = rate_limit(requests=1, per="1d"), rate_limit(requests=1, per="10s")
    configs = [config("openai", weights[0], rate_limit=slow), config("azure", weights[1], rate_limit=fast)]
    async with make_client(now_ms=NOW_MS) as client:
        key = await create_key(client, provider_configs=configs)
        for provider in ("openai", "azure"):
            await choose(client, key, provider=provider)
        answer = await refused(client, key, provider=None)
        explained = await explain(client, key, provider=None)
        assert answer["retry_after"] == explained["retry_after"] == 10
    async with make_client(now_ms=NOW_MS + 10_000) as later:
        assert (await choose(later, key))["provider"] == "azure"


@pytest.mark.parametrize("weights", [(1, 1_000_000), (1_000_000, 1)])
async def test_a_provider_over_a_limit_of_its_own_is_no_choice_whatever_else_refuses(
    make_client: MakeClient, weights: tuple[int, int]
):
    """The model's limit is judged first, and starts anew long before that of azure."""
    async with make_client(now_ms=NOW_MS) as client:
        body = {"model_name": "gpt-4o", "scope": "global", "budgets": [budget(1, "20s")]}
        assert (await client.post("/model-configs", json=body)).status_code == 200
        own = {"budgets": [budget(1, "1M")]}
        key = await create_key(client, provider_configs=[config("openai", weights[0]), config("azure", weights[1], **own)])
        await choose(client, key, "spent", provider="azure", cost=1)
        await settle(client, "spent", cost=1)
        for number in range(5):
            answer = await refused(client, key, provider=None, request_id=f"r{number}", cost=1)
            explained = await explain(client, key, provider=None, request_id=f"r{number}", cost=1)
            assert answer["retry_after"] == explained["retry_after"] == 20
    async with make_client(now_ms=NOW_MS + 20_000) as later:
        assert (await choose(later, key, cost=1))["provider"] == "openai"


async def test_a_limit_of_the_key_refuses_whatever_provider(client: httpx.AsyncClient):
    key = await create_key(client, provider_configs=[config("openai", 1), config("azure", 1)], rate_limit=rate_limit(requests=1))
    await choose(client, key)
    assert (await refused(client, key, provider=None))["limit"]["scope"] == "virtual_key"


@pytest.mark.parametrize(
    "configs, decision",
    [
        ([], "provider_blocked"),
        ([config("openai", None)], "provider_blocked"),
        ([config("openai", 1, allowed_models=["o1"])], "model_blocked"),
    ],
)
async def test_when_there_is_nobody_to_choose(client: httpx.AsyncClient, configs: list[dict[str, Any]], decision: str):
    key = await create_key(client, provider_configs=configs)
    assert (await refused(client, key, provider=None))["decision"] == decision
    assert (await explain(client, key, provider=None))["decision"] == decision


async def test_the_choice_costs_at_most_one_more_round_trip(client: httpx.AsyncClient, redis: Any):
    limit = {"rate_limit": rate_limit(requests=1000)}
    free = await create_key(client, provider_configs=[config("openai", 1), config("azure", 1)], **limit)
    limited = await create_key(
        client, provider_configs=[config(name, 1, **limit) for name in ("openai", "azure", "anthropic", "groq")], **limit
    )
    named = await create_key(client, provider_configs=[config("openai", 1, **limit)], **limit)
    for key, body, round_trips in (
        (named, {"provider": "openai"}, 1),
        (free, {"provider": None}, 1),
        (limited, {"provider": None}, 2),
    ):
        for _ in range(20):  # every plan is kept by now
            await admitted(client, key, **body)
        with traffic(redis) as seen:
            await admitted(client, key, **body)
        assert seen.round_trips == round_trips


async def test_an_admin_changes_the_choice(make_client: MakeClient):
    async with make_client() as one, make_client() as other:
        key = await create_key(one, provider_configs=[config("openai", 1)])
        assert (await choose(other, key))["provider"] == "openai"
        await update(one, VIRTUAL_KEYS, key["id"], provider_configs=[config("azure", 1)])
        assert (await choose(other, key))["provider"] == "azure"
