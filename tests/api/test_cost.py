"""POST /quota/cost: what a usage would cost, by which price, worked out line by line, without charging anything."""

from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api.calls import PRICING_OVERRIDES, create, delete, refusal, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.gateway import OPENAI, admitted, create_key, settle, values

GPT_4O = {"provider": "openai", "model": "gpt-4o"}
FOR_CHAT = {"match_type": "exact", "pattern": "gpt-4o", "request_types": ["chat_completion"]}


async def cost(client: httpx.AsyncClient, headers: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    response = await client.post("/quota/cost", json={**GPT_4O, **body}, headers=headers)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_more_pixels_than_an_integer_holds(client: httpx.AsyncClient):
    answer = await cost(client, request_type="image_generation", images=20_000_000, size="999999x999999")
    assert [line["quantity"] for line in answer["lines"]] == [pytest.approx(2e19, rel=1e-4)]


async def test_the_working_is_shown(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client:
        assert await cost(client, input_tokens=1_000, cached_input_tokens=400, output_tokens=500, searches=1) == {
            "cost": 0.017,
            "priced": True,
            "price": {"source": "genai-prices", "provider": "openai", "model": "gpt-4o", "override_id": None},
            "provider": "openai",
            "model": "gpt-4o",
            "request_type": "chat_completion",
            "tokens": 1_500,
            "lines": [
                {"unit": "input_cost_per_token", "quantity": 600, "price": 2.5e-06, "amount": 0.0015},
                {"unit": "cache_read_input_token_cost", "quantity": 400, "price": 1.25e-06, "amount": 0.0005},
                {"unit": "output_cost_per_token", "quantity": 500, "price": 1e-05, "amount": 0.005},
                {"unit": "search_context_cost_per_query", "quantity": 1, "price": 0.01, "amount": 0.01},
            ],
        }


async def test_a_unit_without_a_price_is_shown_all_the_same(client: httpx.AsyncClient):
    answer = await cost(client, input_tokens=10, sessions=2)
    assert answer["cost"] == 0.000025
    assert answer["lines"][-1] == {"unit": "code_interpreter_cost_per_session", "quantity": 2, "price": None, "amount": 0}


async def test_where_nothing_that_was_used_has_a_price_nobody_knows(client: httpx.AsyncClient):
    answer = await cost(client, request_type="image_generation", images=2)
    assert (answer["cost"], answer["priced"], answer["price"]) == (0, False, None)
    assert answer["lines"] == [{"unit": "output_cost_per_image", "quantity": 2, "price": None, "amount": 0}]


async def test_a_request_may_have_a_price_as_such(client: httpx.AsyncClient):
    answer = await cost(client, provider="perplexity", model="sonar", input_tokens=1_000, output_tokens=1_000)
    assert answer["cost"] == 0.014
    assert answer["lines"][-1] == {"unit": "input_cost_per_request", "quantity": 1, "price": 0.012, "amount": 0.012}


@pytest.mark.parametrize(
    "body, unit, quantity, dollars",
    [
        ({"input_tokens": 10, "service_tier": "priority"}, "input_cost_per_token_priority", 10, 10 * 4.25e-6),
        ({"input_tokens": 10, "batch": True}, "input_cost_per_token_batches", 10, 10 * 1.25e-6),
        (
            {"model": "whisper-1", "request_type": "transcription", "seconds": 2.5},
            "input_cost_per_audio_per_second",
            2.5,
            0.00025,
        ),
        ({"model": "tts-1", "request_type": "speech", "characters": 100}, "input_cost_per_character", 100, 0.0015),
        ({"model": "gpt-5.4", "input_tokens": 272_001}, "input_cost_per_token_above_272k_tokens", 272_001, 1.360005),
        ({"request_type": "chat_completion_stream", "output_tokens": 10}, "output_cost_per_token", 10, 0.0001),
    ],
)  # fmt: skip
async def test_every_member_of_a_usage_counts(
    client: httpx.AsyncClient, body: dict[str, Any], unit: str, quantity: float, dollars: float
):
    answer = await cost(client, **body)
    (line,) = answer["lines"]
    assert (line["unit"], line["quantity"]) == (unit, quantity)
    assert answer["cost"] == pytest.approx(dollars, abs=1e-15)


async def test_provider_and_model_in_one(client: httpx.AsyncClient):
    for body in ({"model": "openai/gpt-4o"}, {"model": "gpt-4o"}):
        response = await client.post("/quota/cost", json={**body, "input_tokens": 1_000})
        assert response.json()["cost"] == 0.0025


@pytest.mark.parametrize(
    "body", [{"model": "my-fine-tune"}, {"provider": "vllm"}, {"request_type": "moderation"}, {"provider": "anthropic"}]
)
async def test_what_nobody_has_priced_is_said_to_be_unpriced(client: httpx.AsyncClient, body: dict[str, Any]):
    answer = await cost(client, input_tokens=1_000, **body)
    assert (answer["priced"], answer["cost"], answer["price"], answer["lines"]) == (False, 0, None, [])


async def test_the_cost_of_the_caller_wins(client: httpx.AsyncClient):
    answer = await cost(client, input_tokens=1_000, cost=0.5)
    assert (answer["cost"], answer["priced"], answer["lines"]) == (0.5, True, [])
    assert answer["price"] == {"source": "caller", "provider": None, "model": None, "override_id": None}


async def test_overrides_apply_where_they_say(client: httpx.AsyncClient):
    key, other = await create_key(client), await create_key(client)

    async def dollars(**body: Any) -> tuple[float, str | None]:
        answer = await cost(client, input_tokens=1_000, output_tokens=1_000, **body)
        return answer["cost"], answer["price"]["override_id"]

    patch = {"input_cost_per_token": 1e-6}
    everywhere = await create(client, PRICING_OVERRIDES, scope_kind="global", **FOR_CHAT, patch=patch)
    assert await dollars() == (0.001 + 0.01, everywhere["id"])  # the catalogue for what the patch leaves out
    of_key = await create(
        client, PRICING_OVERRIDES, scope_kind="virtual_key", virtual_key_id=key["id"], **FOR_CHAT,
        patch={"input_cost_per_token": 0, "output_cost_per_token": 0},
    )  # fmt: skip
    assert await dollars(virtual_key=key["value"]) == (0, of_key["id"])  # an explicit 0 is free
    assert await dollars(virtual_key_id=key["id"]) == (0, of_key["id"])
    assert await dollars(headers={"x-bf-vk": key["value"]}) == (0, of_key["id"])
    assert await dollars(virtual_key=other["value"]) == (0.011, everywhere["id"])
    of_served_by = await create(
        client, PRICING_OVERRIDES, scope_kind="provider_key", provider_key_id="pk-1", **FOR_CHAT,
        patch={"output_cost_per_token": 5e-6},
    )  # fmt: skip
    assert await dollars(provider_key_id="pk-1") == (0.0075, of_served_by["id"])
    assert await dollars(provider_key_id="pk-2") == (0.011, everywhere["id"])
    assert await dollars(request_type="responses") == (0.0125, None)
    assert await dollars(model="gpt-4o-2024-08-06") == (0.0125, None)  # by the name that was called

    # In force at once, whatever changes.
    await update(client, PRICING_OVERRIDES, everywhere["id"], patch={"input_cost_per_token": 3e-6})
    assert await dollars() == (0.013, everywhere["id"])
    await delete(client, PRICING_OVERRIDES, everywhere["id"])
    assert await dollars() == (0.0125, None)


async def test_an_override_alone_is_a_price(client: httpx.AsyncClient):
    house: dict[str, Any] = {"provider": "my-cluster", "model": "house-1"}
    assert not (await cost(client, input_tokens=10, **house))["priced"]
    override = await create(
        client, PRICING_OVERRIDES, scope_kind="global", match_type="wildcard", pattern="house*",
        request_types=["chat_completion"], patch={"input_cost_per_token": 1e-6},
    )  # fmt: skip
    answer = await cost(client, input_tokens=10, **house)
    assert answer["cost"] == 0.00001
    assert answer["price"] == {"source": "override", "provider": None, "model": None, "override_id": override["id"]}
    await update(client, PRICING_OVERRIDES, override["id"], patch={})
    assert not (await cost(client, input_tokens=10, **house))["priced"]


async def test_a_change_is_seen_by_every_worker(make_client: MakeClient):
    async with make_client() as one, make_client() as other:
        assert (await cost(other, input_tokens=1_000))["cost"] == 0.0025
        await create(one, PRICING_OVERRIDES, scope_kind="global", **FOR_CHAT, patch={"input_cost_per_token": 1})
        assert (await cost(other, input_tokens=1))["cost"] == 1


async def test_nothing_is_charged(client: httpx.AsyncClient, redis: Redis):
    key = await create_key(client, budgets=[{"max_limit": 1, "reset_duration": "1d"}])
    before = values(redis)
    await cost(client, input_tokens=1_000_000, headers={"x-bf-vk": key["value"]})
    assert values(redis) == before


@pytest.mark.parametrize(
    "body, param",
    [
        ({"model": None}, "model"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": 1.5}, "input_tokens"),
        ({"size": "large"}, "size"),
        ({"service_tier": "flex"}, "service_tier"),
    ],
)
async def test_wrong_usages(client: httpx.AsyncClient, body: dict[str, Any], param: str):
    assert refusal(await client.post("/quota/cost", json={**GPT_4O, **body})) == (400, param)


@pytest.mark.parametrize("token, status", [(None, 401), ("gateway", 200), ("admin", 200)])
async def test_gateways_and_admins_may_ask(make_client: MakeClient, token: str | None, status: int):
    headers = {"authorization": f"Bearer {token}"} if token else None
    async with make_client(headers=headers, admin_token=("admin",), gateway_token=("gateway",)) as client:
        assert (await client.post("/quota/cost", json=GPT_4O)).status_code == status


async def test_a_virtual_key_that_may_use_one_key_of_the_provider_pays_its_price(client: httpx.AsyncClient):
    key = await create_key(client, provider_configs=[{**OPENAI, "key_ids": ["k1"]}])
    await create(
        client, PRICING_OVERRIDES, scope_kind="provider_key", provider_key_id="k1", **FOR_CHAT, patch={"input_cost_per_token": 1},
    )  # fmt: skip
    answer = await admitted(client, key, input_tokens=3)
    charged = await settle(client, answer["reservation_id"], input_tokens=3)
    for named in ({"virtual_key": key["value"]}, {"virtual_key_id": key["id"]}):
        asked = await cost(client, input_tokens=3, **named)
        assert (asked["cost"], asked["price"]) == (charged["cost"], charged["price"]) == (3, answer["price"])
