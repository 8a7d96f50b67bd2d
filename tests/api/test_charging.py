"""What reserves hold and settlements charge: by which price, of which model, in force at that very moment."""

import asyncio
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api.calls import PRICING_OVERRIDES, VIRTUAL_KEYS, Entity, create, delete, get, refusal, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.gateway import OPENAI, admitted, budget, call, counts, create_key, explain, rate_limit, refused, reserve, settle
from tests.api.redis_state import traffic
from tests.api.rule_calls import create_rule, key_of_all, target

BUDGET: dict[str, Any] = {"budgets": [budget(10)]}
OF_CATALOGUE = {"source": "genai-prices", "provider": "openai", "model": "gpt-4o", "override_id": None}
OF_CALLER = {"source": "caller", "provider": None, "model": None, "override_id": None}
GPT_4O = {"match_type": "exact", "pattern": "gpt-4o", "request_types": ["chat_completion"]}


async def override(client: httpx.AsyncClient, patch: dict[str, float], **members: Any) -> Entity:
    return await create(client, PRICING_OVERRIDES, **{"scope_kind": "global", **GPT_4O, "patch": patch, **members})


async def test_a_reserve_holds_what_its_estimate_costs_and_a_settle_charges_what_was_used(client: httpx.AsyncClient):
    key = await create_key(client, **BUDGET)
    answer = await admitted(client, key, request_id="r1", input_tokens=1_000, max_output_tokens=400)
    # 1,000 x $2.50 and 400 x $10 a million.
    assert (answer["reserved"]["cost"], answer["priced"], answer["price"]) == (0.0065, True, OF_CATALOGUE)
    assert counts(answer, "virtual_key", "budget") == (0, 0.0065, 9.9935)
    again = await admitted(client, key, request_id="r1", input_tokens=1_000, max_output_tokens=400)
    assert (again["replayed"], again["reserved"], again["price"]) == (True, answer["reserved"], OF_CATALOGUE)

    answer = await settle(client, "r1", input_tokens=1_000, cached_input_tokens=600, output_tokens=300)
    # 400 x $2.50, 600 x $1.25, 300 x $10 a million.
    assert (answer["cost"], answer["priced"], answer["price"]) == (0.00475, True, OF_CATALOGUE)
    assert counts(answer, "virtual_key", "budget") == (0.00475, 0, 9.99525)
    again = await settle(client, "r1", input_tokens=5)
    assert (again["replayed"], again["cost"], again["price"]) == (True, 0.00475, OF_CATALOGUE)


@pytest.mark.parametrize(
    "estimate, dollars",
    [
        ({}, 0),
        ({"input_tokens": 1_000}, 0.0025),
        ({"max_output_tokens": 1_000}, 0.01),
        ({"tokens": 1_000}, 0.01),  # nobody says which: all of the dearer half
        ({"tokens": 5_000, "input_tokens": 1_000}, 0.0425),
        ({"tokens": 5_000, "input_tokens": 1_000, "max_output_tokens": 100}, 0.0425),
        ({"tokens": 1_100, "input_tokens": 1_000, "max_output_tokens": 100}, 0.0035),
        ({"tokens": 5_000, "max_output_tokens": 0}, 0.05),
        ({"tokens": 100, "input_tokens": 1_000, "max_output_tokens": 1_000}, 0.001),
        ({"tokens": 100, "input_tokens": 1_000, "max_output_tokens": 60}, 0.00070),
        ({"tokens": 100, "input_tokens": 90, "max_output_tokens": 90}, 0.000925),
        ({"cost": 0.5, "input_tokens": 1_000}, 0.5),
        ({"cost": 0, "input_tokens": 1_000}, 0),
        ({"request_type": "embedding", "input_tokens": 1_000, "max_output_tokens": 1_000}, 0.0025),
        ({"model": "text-embedding-3-small", "request_type": "embedding", "input_tokens": 1_000}, 0.00002),
        ({"input_tokens": 1_000, "request_type": "moderation"}, 0),
    ],
)
async def test_estimates(client: httpx.AsyncClient, estimate: dict[str, Any], dollars: float):
    key = await create_key(client, **BUDGET)
    explained = await explain(client, key, **estimate)
    answer = await admitted(client, key, **estimate)
    assert answer["reserved"]["cost"] == explained["estimate"]["cost"] == dollars
    expected = OF_CALLER if "cost" in estimate else OF_CATALOGUE
    if estimate.get("request_type") == "moderation":
        assert answer["price"] is explained["price"] is None
    elif "model" not in estimate:
        assert answer["price"] == explained["price"] == expected
    assert answer["priced"] is explained["priced"] is (answer["price"] is not None)


async def test_what_a_request_costs_as_such(client: httpx.AsyncClient):
    """Perplexity takes $12 for 1,000 requests besides their tokens."""
    key = await create_key(client, provider_configs=[{**OPENAI, "provider": "perplexity"}], **BUDGET)
    sonar = {"provider": "perplexity", "model": "sonar"}
    answer = await admitted(client, key, **sonar, request_id="r1")
    assert answer["reserved"]["cost"] == 0.012
    assert (await settle(client, "r1", input_tokens=1_000, output_tokens=1_000))["cost"] == 0.014
    await admitted(client, key, **sonar, request_id="r2")
    assert (await settle(client, "r2", status="failed"))["cost"] == 0
    # It broke off.
    await admitted(client, key, **sonar, request_id="r3")
    assert (await settle(client, "r3", status="failed", input_tokens=1_000))["cost"] == 0.013


async def test_what_has_no_price_of_what_was_used_is_not_priced(client: httpx.AsyncClient):
    """The model has prices, but for texts: nobody knows what its images cost."""
    key = await create_key(client, **BUDGET)
    await admitted(client, key, request_id="r1", request_type="image_generation")
    answer = await settle(client, "r1", images=50, size="1024x1024")
    assert (answer["cost"], answer["priced"], answer["price"]) == (0, False, None)
    # Free is a price.
    await override(client, {"output_cost_per_image": 0}, request_types=["image_generation"])
    await admitted(client, key, request_id="r2", request_type="image_generation")
    answer = await settle(client, "r2", images=50)
    assert (answer["cost"], answer["priced"]) == (0, True)


async def test_the_cost_of_the_caller_wins(client: httpx.AsyncClient):
    key = await create_key(client, **BUDGET)
    await admitted(client, key, request_id="r1", input_tokens=1_000)
    answer = await settle(client, "r1", input_tokens=1_000, output_tokens=1_000, cost=0.25)
    assert (answer["cost"], answer["price"]) == (0.25, OF_CALLER)
    await admitted(client, key, request_id="r2", input_tokens=1_000)
    answer = await settle(client, "r2", input_tokens=1_000, output_tokens=1_000, cost=0)
    assert (answer["cost"], answer["priced"], answer["price"]) == (0, True, OF_CALLER)


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_settle_knows_what_was_reserved(make_client: MakeClient, elsewhere: bool):
    """Its type and its model, in another worker, too."""
    async with make_client(now_ms=NOW_MS) as one, make_client(now_ms=NOW_MS) as other:
        key = await create_key(one, **BUDGET)
        await admitted(one, key, request_id="r1", model="tts-1", request_type="speech")
        settling = other if elsewhere else one
        answer = await settle(settling, "r1", characters=1_000)
        assert (answer["cost"], answer["price"]["model"]) == (0.015, "tts-1")
        await admitted(one, key, request_id="r2", model="whisper-1", request_type="transcription")
        answer = await settle(settling, "r2", seconds=90.5)
        assert (answer["cost"], answer["price"]["model"]) == (0.00905, "whisper-1")
        # What the settle itself says counts more.
        await admitted(one, key, request_id="r3", request_type="embedding")
        assert (await settle(settling, "r3", output_tokens=1_000, request_type="responses"))["cost"] == 0.01


async def test_what_was_called_in_the_end_has_its_price(client: httpx.AsyncClient):
    """A fallback, when the provider of the reservation failed; its limits stay those of the reservation."""
    key = await create_key(client, **BUDGET)
    await admitted(client, key, request_id="r1", input_tokens=1_000)
    answer = await settle(client, "r1", provider="anthropic", model="claude-sonnet-4-20250514", input_tokens=1_000)
    assert (answer["cost"], answer["price"]["provider"], answer["price"]["model"]) == (0.003, "anthropic", "claude-sonnet-4-0")
    await admitted(client, key, request_id="r2", input_tokens=1_000)
    assert (await settle(client, "r2", model="gpt-4o-mini", input_tokens=1_000))["cost"] == 0.00015


async def test_a_reserved_model_that_is_named_again_is_the_reserved_one(client: httpx.AsyncClient):
    """Though its name begins as another provider's models do: this one is Groq's own."""
    groq = {**OPENAI, "provider": "groq"}
    key = await create_key(client, provider_configs=[groq], **BUDGET)
    costs = []
    for number, named in enumerate(({}, {"model": "openai/gpt-oss-120b"})):
        await admitted(client, key, provider="groq", model="openai/gpt-oss-120b", request_id=f"r{number}", input_tokens=1_000)
        answer = await settle(client, f"r{number}", input_tokens=1_000_000, output_tokens=1_000_000, **named)
        assert answer["price"]["provider"] == "groq"
        costs.append(answer["cost"])
    assert costs[0] == costs[1] > 0


async def test_a_provider_in_front_of_the_model_is_no_way_around_a_budget(client: httpx.AsyncClient):
    key = await create_key(client, provider_configs=[{**OPENAI, "allowed_models": ["gpt-4o"]}], **BUDGET)
    answer = await admitted(client, key, model="openai/gpt-4o", request_id="r1", input_tokens=1_000)
    assert (answer["model"], answer["reserved"]["cost"], answer["price"]) == ("openai/gpt-4o", 0.0025, OF_CATALOGUE)
    assert (await settle(client, "r1", input_tokens=1_000))["cost"] == 0.0025


async def test_a_route_has_the_price_of_where_it_leads(client: httpx.AsyncClient):
    key = await key_of_all(client, **BUDGET)
    await create_rule(client, "openai/gpt-4o-mini", when="model == 'gpt-4o'")
    answer = await admitted(client, key, request_id="r1", input_tokens=1_000)
    assert (answer["model"], answer["reserved"]["cost"], answer["price"]["model"]) == ("gpt-4o-mini", 0.00015, "gpt-4o-mini")
    assert (await settle(client, "r1", input_tokens=1_000))["cost"] == 0.00015
    assert (await explain(client, key, input_tokens=1_000))["price"]["model"] == "gpt-4o-mini"


async def test_overrides_of_keys_and_of_the_keys_of_providers(client: httpx.AsyncClient):
    key, other = await create_key(client, **BUDGET), await create_key(client, **BUDGET)
    own = await override(client, {"input_cost_per_token": 1e-6}, scope_kind="virtual_key", virtual_key_id=key["id"])
    served = await override(client, {"input_cost_per_token": 3e-6}, scope_kind="provider_key", provider_key_id="pk-1")
    for holder, usage, dollars, override_id in (
        (key, {}, 0.001, own["id"]),
        (key, {"provider_key_id": "pk-1"}, 0.001, own["id"]),
        (other, {}, 0.0025, None),
        (other, {"provider_key_id": "pk-1"}, 0.003, served["id"]),
        (other, {"provider_key_id": "pk-2"}, 0.0025, None),
    ):
        reserved = await admitted(client, holder, input_tokens=1_000)
        answer = await settle(client, reserved["reservation_id"], input_tokens=1_000, **usage)
        assert (answer["cost"], answer["price"]["override_id"]) == (dollars, override_id)
    # Where only one of the provider's keys may serve, it is known from the start.
    pinned = await create_key(client, provider_configs=[{**OPENAI, "key_ids": ["pk-1"]}], **BUDGET)
    reserved = await admitted(client, pinned, input_tokens=1_000)
    assert (reserved["reserved"]["cost"], reserved["price"]["override_id"]) == (0.003, served["id"])
    assert (await settle(client, reserved["reservation_id"], input_tokens=1_000))["cost"] == 0.003


@pytest.mark.parametrize("key_ids, dollars", [(["*"], 0.003), (["pk-1", "pk-2"], 0.003), (["pk-2", "pk-3"], 0.0025)])
async def test_a_key_that_a_rule_pins_has_its_price_if_it_may_serve(
    client: httpx.AsyncClient, key_ids: list[str], dollars: float
):
    await override(client, {"input_cost_per_token": 3e-6}, scope_kind="provider_key", provider_key_id="pk-1")
    key = await create_key(client, provider_configs=[{**OPENAI, "key_ids": key_ids}], **BUDGET)
    await create_rule(client, target("openai/", key_id="pk-1"))
    assert (await explain(client, key, input_tokens=1_000))["estimate"]["cost"] == dollars
    assert (await admitted(client, key, input_tokens=1_000))["reserved"]["cost"] == dollars


async def test_no_decision_goes_by_a_price_that_is_gone(make_client: MakeClient):
    """Two workers: one changes prices, the other has them in memory."""
    async with make_client() as admin, make_client() as worker:
        key = await create_key(admin, **BUDGET)
        await admitted(worker, key, request_id="r1", input_tokens=1_000)
        await admitted(worker, key, request_id="r2", input_tokens=1_000)
        made = await override(admin, {"input_cost_per_token": 1e-3})
        answer = await settle(worker, "r1", input_tokens=1_000)
        assert (answer["cost"], answer["price"]["override_id"]) == (1, made["id"])
        assert (await admitted(worker, key, input_tokens=1_000))["reserved"]["cost"] == 1
        await update(admin, PRICING_OVERRIDES, made["id"], patch={"input_cost_per_token": 2e-3})
        assert (await explain(worker, key, input_tokens=1_000))["estimate"]["cost"] == 2
        assert (await admitted(worker, key, input_tokens=1_000))["reserved"]["cost"] == 2
        await delete(admin, PRICING_OVERRIDES, made["id"])
        assert (await settle(worker, "r2", input_tokens=1_000))["cost"] == 0.0025
        # Unreserved usage, too.
        await override(admin, {"input_cost_per_token": 3e-3})
        response = await call(worker, "settle", key, reservation_id="late", provider="openai", model="gpt-4o", input_tokens=1_000)
        assert response.json()["cost"] == 3


async def test_nobody_pays_twice_while_prices_change(make_client: MakeClient):
    """Many settle while an admin changes the price under them: each charges one of the prices, the budget their sum."""
    async with make_client() as admin, make_client() as worker:
        key = await create_key(admin, budgets=[budget(1_000)])
        made = await override(admin, {"input_cost_per_token": 1e-3})
        await asyncio.gather(*(admitted(worker, key, request_id=f"r{number}") for number in range(60)))

        async def change() -> None:
            for price in (2e-3, 4e-3, 8e-3):
                await update(admin, PRICING_OVERRIDES, made["id"], patch={"input_cost_per_token": price})

        answers, _ = await asyncio.gather(
            asyncio.gather(*(settle(worker, f"r{number}", input_tokens=1_000) for number in range(60))), change()
        )
        assert {answer["cost"] for answer in answers} <= {1, 2, 4, 8}
        shown = await get(admin, VIRTUAL_KEYS, key["id"])
        assert shown["budgets"][0]["current_usage"] == sum(answer["cost"] for answer in answers)


async def test_charges_add_up_to_the_nano_dollar(client: httpx.AsyncClient):
    key = await create_key(client, **BUDGET)
    await override(client, {"input_cost_per_token": 1e-7})
    for number in range(3):
        await asyncio.gather(*(admitted(client, key, request_id=f"r{number}-{place}") for place in range(50)))
        await asyncio.gather(*(settle(client, f"r{number}-{place}", input_tokens=1) for place in range(50)))
    assert (await get(client, VIRTUAL_KEYS, key["id"]))["budgets"][0]["current_usage"] == 0.000015


async def test_a_budget_stops_what_its_price_would_exceed(client: httpx.AsyncClient):
    key = await create_key(client, budgets=[budget(0.01)], enforcement="strict")
    await admitted(client, key, input_tokens=1_000, max_output_tokens=500)
    answer = await refused(client, key, input_tokens=1_000, max_output_tokens=500)
    assert (answer["decision"], answer["limit"]["reserved"]) == ("budget_exceeded", 0.0075)


@pytest.mark.parametrize(
    "usage, dollars",
    [
        ({}, 0),
        ({"images": 2}, 0.08),
        ({"input_tokens": 5}, 0.000005),  # the images that never came are not charged
    ],
)
async def test_a_failed_request_costs_what_it_used(client: httpx.AsyncClient, usage: dict[str, int], dollars: float):
    key = await create_key(client, **BUDGET)
    await override(
        client, {"output_cost_per_image": 0.04, "input_cost_per_token": 1e-6},
        match_type="exact", pattern="my-painter", request_types=["image_generation"],
    )  # fmt: skip
    painting = {"model": "my-painter", "request_type": "image_generation"}
    assert (await admitted(client, key, request_id="r1", **painting))["reserved"]["cost"] == 0.04
    assert (await settle(client, "r1", status="failed", **usage))["cost"] == dollars
    await admitted(client, key, request_id="r2", **painting)
    assert (await settle(client, "r2"))["cost"] == 0.04


async def test_pricing_adds_no_round_trip(client: httpx.AsyncClient, redis: Redis):
    key = await create_key(client, **BUDGET)
    await override(client, {"input_cost_per_token": 1e-6})
    await admitted(client, key, request_id="warm", input_tokens=1_000)
    await settle(client, "warm", input_tokens=1_000)
    with traffic(redis) as seen:
        await admitted(client, key, request_id="r1", input_tokens=1_000, max_output_tokens=10)
        await settle(client, "r1", input_tokens=1_000, output_tokens=5)
    assert seen.round_trips == 2
    assert seen.commands["evalsha"] == 2


# --- what nobody has priced


async def test_what_nobody_has_priced_goes_at_no_cost(client: httpx.AsyncClient):
    key = await create_key(client, **BUDGET)
    answer = await admitted(client, key, request_id="r1", model="unheard-of", input_tokens=1_000)
    assert (answer["priced"], answer["price"], answer["reserved"]["cost"]) == (False, None, 0)
    answer = await settle(client, "r1", input_tokens=1_000)
    assert (answer["priced"], answer["price"], answer["cost"]) == (False, None, 0)


async def test_a_price_of_other_units_is_no_price(make_client: MakeClient):
    """Speech may be priced by characters, which a reserve does not name; nothing else is."""
    async with make_client(unknown_price="refuse") as careful, make_client() as client:
        key = await create_key(client, **BUDGET)
        await override(client, {"input_cost_per_character": 1e-6}, pattern="speaker", request_types=["speech", "chat_completion"])
        await admitted(careful, key, model="speaker", request_type="speech", input_tokens=100)
        assert refusal(await reserve(careful, key, model="speaker", input_tokens=100)) == (400, "model")
        answer = await admitted(client, key, model="speaker", request_id="r1")
        assert (answer["priced"], answer["price"], answer["reserved"]["cost"]) == (False, None, 0)
        answer = await settle(client, "r1")
        assert (answer["priced"], answer["price"], answer["cost"]) == (False, None, 0)


async def test_an_unpriced_request_is_refused_where_the_operator_wants_that(make_client: MakeClient):
    async with make_client(unknown_price="refuse") as client:
        key = await create_key(client, **BUDGET)
        for body in ({"model": "unheard-of"}, {"model": "unheard-of", "input_tokens": 10}, {"request_type": "moderation"}):
            for response in (await reserve(client, key, **body), await call(client, "explain", key, **{**CALL_OF_4O, **body})):
                assert refusal(response) == (400, "model")
        assert refusal(await call(client, "reserve", key)) == (400, "model")
        await admitted(client, key, model="unheard-of", cost=0.5)
        await admitted(client, key, input_tokens=10)
        # Usage that nobody could price is still taken in: it has happened.
        response = await call(client, "settle", key, reservation_id="late", provider="openai", model="unheard-of", input_tokens=5)
        assert (response.status_code, response.json()["priced"]) == (200, False)


CALL_OF_4O = {"provider": "openai", "model": "gpt-4o"}


async def test_a_refusal_for_want_of_a_price_is_never_stale(make_client: MakeClient):
    async with make_client() as admin, make_client(unknown_price="refuse") as worker:
        key = await create_key(admin, **BUDGET)
        assert (await reserve(worker, key, model="unheard-of")).status_code == 400
        made = await override(admin, {"input_cost_per_token": 1e-6}, pattern="unheard-of")
        await admitted(worker, key, model="unheard-of", request_id="known")
        await delete(admin, PRICING_OVERRIDES, made["id"])
        assert (await reserve(worker, key, model="unheard-of")).status_code == 400
        # What was admitted while it had a price is told its first answer, also by who knows that it has none any more.
        assert (await admitted(worker, key, model="unheard-of", request_id="known"))["replayed"] is True
        assert (await reserve(worker, key, model="unheard-of", request_id="known", tokens=7)).status_code == 409


async def test_a_refusal_for_want_of_a_price_goes_by_the_key_as_it_is_now(make_client: MakeClient):
    """Another provider, switched off, deleted: each told by another worker than the one that knows the key."""
    async with make_client() as admin, make_client(unknown_price="refuse") as worker:
        vllm = {**OPENAI, "provider": "vllm"}
        key = await create_key(admin, provider_configs=[vllm])
        assert refusal(await reserve(worker, key, provider=None)) == (400, "model")
        await update(admin, VIRTUAL_KEYS, key["id"], provider_configs=[vllm, OPENAI])
        assert (await explain(worker, key, provider=None))["decision"] == "allow"
        assert (await admitted(worker, key, provider=None))["provider"] == "openai"

        await update(admin, VIRTUAL_KEYS, key["id"], provider_configs=[vllm])
        assert refusal(await reserve(worker, key, provider="vllm")) == (400, "model")
        await update(admin, VIRTUAL_KEYS, key["id"], is_active=False)
        assert (await refused(worker, key, provider="vllm"))["decision"] == "virtual_key_blocked"

        await update(admin, VIRTUAL_KEYS, key["id"], is_active=True)
        assert refusal(await reserve(worker, key, provider="vllm")) == (400, "model")
        await delete(admin, VIRTUAL_KEYS, key["id"])
        assert (await refused(worker, key, provider="vllm"))["decision"] == "virtual_key_not_found"


async def test_who_may_not_go_anyway_is_told_why(make_client: MakeClient):
    async with make_client(unknown_price="refuse") as client:
        inactive = await create_key(client, is_active=False)
        assert (await refused(client, inactive, model="unheard-of"))["decision"] == "virtual_key_blocked"
        choosy = await create_key(client, provider_configs=[{**OPENAI, "allowed_models": ["gpt-4o"]}])
        assert (await refused(client, choosy, model="unheard-of"))["decision"] == "model_blocked"


async def test_who_only_has_to_wait_is_not_told_of_providers_without_a_price(make_client: MakeClient):
    async with make_client(unknown_price="refuse") as client:
        limited = {**OPENAI, "rate_limit": rate_limit(requests=1)}
        key = await create_key(client, provider_configs=[limited, {**OPENAI, "provider": "vllm", "weight": 1_000}])
        await admitted(client, key, provider=None)
        for number in range(5):
            assert (await refused(client, key, provider=None, request_id=f"r{number}"))["decision"] == "request_limited"
            assert (await explain(client, key, provider=None, request_id=f"r{number}"))["decision"] == "request_limited"


async def test_a_provider_that_has_a_price_is_chosen_where_the_other_has_none(make_client: MakeClient):
    async with make_client(unknown_price="refuse") as client:
        key = await create_key(client, provider_configs=[OPENAI, {**OPENAI, "provider": "vllm", "weight": 1_000}])
        for number in range(10):
            answer = await admitted(client, key, provider=None, request_id=f"r{number}")
            # Nor is who has none told as what to try next.
            assert (answer["provider"], answer["fallbacks"]) == ("openai", [])
        await create_rule(client, "openai/gpt-4o", fallbacks=["vllm/gpt-4o", "openai/gpt-4o-mini"])
        assert (await admitted(client, key, request_id="by rule"))["fallbacks"] == ["openai/gpt-4o-mini"]
