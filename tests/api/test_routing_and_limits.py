"""Routing rules and limits: providers that are over one, conditions that ask how full they are, what each costs in Redis."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api.calls import PRICING_OVERRIDES, TEAMS, Entity, create
from tests.api.gateway import OPENAI, admitted, budget, explain, rate_limit, readable, refused, reserve, settle, values
from tests.api.redis_state import traffic
from tests.api.rule_calls import AZURE, GROQ, aim, change_rule, create_rule, key_of_all, limit_provider, target

MakeClient = Callable[..., httpx.AsyncClient]


async def use_up(client: httpx.AsyncClient, key: Entity, **body: Any) -> None:
    """All requests of a limit of one."""
    await admitted(client, key, **body)
    assert (await reserve(client, key, **body)).status_code == 429


async def test_providers_over_a_limit_are_no_fallbacks(client: httpx.AsyncClient):
    await limit_provider(client, "azure", rate_limit=rate_limit(requests=1))
    mistral = {**OPENAI, "provider": "mistral", "weight": None}
    key = await key_of_all(client, provider_configs=[OPENAI, AZURE, {**GROQ, "rate_limit": rate_limit(requests=1)}, mistral])
    await use_up(client, key, provider="azure")
    rule = await create_rule(client, "openai/", when="provider == 'openai'", fallbacks=["azure/", "groq/", "mistral/"])
    answer = await admitted(client, key)
    assert answer["fallbacks"] == answer["route"]["fallbacks"] == ["groq/gpt-4o", "mistral/gpt-4o"]
    assert (await explain(client, key))["fallbacks"] == ["groq/gpt-4o", "mistral/gpt-4o"]
    await use_up(client, key, provider="groq")
    assert (await admitted(client, key))["fallbacks"] == ["mistral/gpt-4o"]
    # By the weights of the key, with a rule that leaves the provider open.
    await change_rule(client, rule, targets=[target("/routed")], cel_expression="provider == ''", fallbacks=[])
    answer = await admitted(client, key, provider=None)
    assert (aim(answer), answer["fallbacks"]) == ("openai/routed", [])


async def test_what_the_key_may_not_use_is_no_fallback(client: httpx.AsyncClient):
    key = await key_of_all(client, provider_configs=[OPENAI, {**AZURE, "blacklisted_models": ["gpt-4o"]}])
    rule = await create_rule(client, "openai/", fallbacks=["groq/", "azure/", "azure/gpt-5"])
    for answer in (await admitted(client, key), await explain(client, key)):
        assert answer["fallbacks"] == answer["route"]["fallbacks"] == ["azure/gpt-5"]
    await change_rule(client, rule, fallbacks=["groq/"])
    assert (await admitted(client, key))["fallbacks"] == []


async def test_targets_whose_provider_is_over_a_limit_are_not_drawn(client: httpx.AsyncClient):
    key = await key_of_all(client, provider_configs=[OPENAI, {**AZURE, "rate_limit": rate_limit(requests=1)}, GROQ])
    await use_up(client, key, provider="azure")
    await create_rule(client, target("azure/", 0.5), target("groq/", 0.5), when="provider == 'openai'")
    for number in range(20):
        answer = await admitted(client, key, request_id=f"r{number}")
        assert answer["provider"] == "groq"
        assert (await explain(client, key, request_id=f"r{number}"))["provider"] == "groq"
        # The same when it is repeated.
        assert (await admitted(client, key, request_id=f"r{number}"))["replayed"] is True


async def test_the_last_of_many_targets_that_is_open_is_found(client: httpx.AsyncClient):
    names = ["azure", "bedrock", "cerebras", "cohere", "gemini", "groq", "mistral", "ollama", "perplexity", "vertex", "xai"]
    limited = [{**OPENAI, "provider": name, "rate_limit": rate_limit(requests=1)} for name in names[1:]]
    key = await key_of_all(client, provider_configs=[OPENAI, AZURE, *limited])
    for name in names[1:]:
        await admitted(client, key, provider=name)
    await create_rule(client, *(target(f"{name}/", 1 / len(names)) for name in names))
    for number in range(20):
        assert (await explain(client, key, request_id=f"r{number}"))["provider"] == "azure"
        assert (await admitted(client, key, request_id=f"r{number}"))["provider"] == "azure"


async def test_a_target_without_a_price_is_no_reason_not_to_wait(make_client: MakeClient):
    async with make_client(unknown_price="refuse") as client:
        await limit_provider(client, "openai", rate_limit=rate_limit(requests=1, per="1h"))
        key = await key_of_all(client, provider_configs=[OPENAI, {**OPENAI, "provider": "vllm"}])
        await use_up(client, key)
        await create_rule(client, target("openai/gpt-4o", 0.999), target("vllm/mine", 0.001))
        assert (await refused(client, key, request_id="r"))["decision"] == "request_limited"
        assert (await explain(client, key, request_id="r"))["decision"] == "request_limited"


async def test_fallbacks_have_nothing_of_the_price_of_a_pinned_key(client: httpx.AsyncClient):
    key = await key_of_all(client, enforcement="strict")
    await limit_provider(client, "azure", budgets=[budget(0.001)])
    free = {"input_cost_per_token": 0, "output_cost_per_token": 0}
    await create(
        client, PRICING_OVERRIDES, scope_kind="provider_key", provider_key_id="k1", match_type="wildcard", pattern="*",
        request_types=["chat_completion"], patch=free,
    )  # fmt: skip
    await create_rule(client, target("openai/gpt-4o", key_id="k1"), fallbacks=["azure/gpt-4o"])
    answer = await admitted(client, key, input_tokens=1_000, max_output_tokens=1_000)
    assert (answer["reserved"]["cost"], answer["fallbacks"]) == (0, [])


async def test_when_all_targets_are_over_a_limit_the_one_drawn_says_why(client: httpx.AsyncClient):
    limited = {"rate_limit": rate_limit(requests=1)}
    key = await key_of_all(client, provider_configs=[OPENAI, {**AZURE, **limited}, {**GROQ, **limited}])
    await use_up(client, key, provider="azure")
    await use_up(client, key, provider="groq")
    await create_rule(client, target("azure/", 0.5), target("groq/", 0.5))
    drawn = {(await refused(client, key, request_id=f"r{number}"))["extra_fields"]["provider"] for number in range(30)}
    assert drawn == {"azure", "groq"}
    explained = await explain(client, key, request_id="r1")
    assert explained["decision"] == "request_limited"
    assert explained["route"]["provider"] == (await refused(client, key, request_id="r1"))["route"]["provider"]


async def test_when_all_targets_are_over_it_makes_sense_to_try_again_as_soon_as_one_is_open(client: httpx.AsyncClient):
    await limit_provider(client, "openai", rate_limit=rate_limit(requests=1, per="1d"))
    await limit_provider(client, "azure", rate_limit=rate_limit(requests=1, per="1h"))
    key = await key_of_all(client)
    for provider in ("openai", "azure"):
        await use_up(client, key, provider=provider)
    await create_rule(client, target("openai/", 0.999), target("azure/", 0.001))
    assert 3_500 < (await refused(client, key))["retry_after"] <= 3_600
    assert 3_500 < (await explain(client, key))["retry_after"] <= 3_600


async def test_another_target_may_be_open_sooner_where_the_key_is_over_a_limit_too(client: httpx.AsyncClient):
    key = await key_of_all(
        client, provider_configs=[OPENAI, {**AZURE, "rate_limit": rate_limit(requests=1, per="1d")}],
        rate_limit=rate_limit(requests=1, per="1h"),
    )  # fmt: skip
    await use_up(client, key, provider="azure")
    await create_rule(client, target("openai/", 0.5), target("azure/", 0.5))
    for number in range(10):
        assert 3_500 < (await refused(client, key, request_id=f"r{number}"))["retry_after"] <= 3_600
        assert 3_500 < (await explain(client, key, request_id=f"r{number}"))["retry_after"] <= 3_600


async def test_a_limit_of_the_key_is_no_reason_to_draw_again(client: httpx.AsyncClient, redis: Redis):
    key = await key_of_all(client, rate_limit=rate_limit(requests=1))
    await create_rule(client, target("azure/", 0.5), target("groq/", 0.5))
    await admitted(client, key)
    with traffic(redis) as seen:
        await refused(client, key)
    assert seen.round_trips == 1


async def test_refusals_and_explanations_leave_no_trace(client: httpx.AsyncClient, redis_url: str):
    await limit_provider(client, "azure", rate_limit=rate_limit(requests=1))
    key = await key_of_all(client)
    await create_rule(client, target("azure/"), when="request >= 0.0", fallbacks=["groq/"])
    await use_up(client, key)
    with readable(redis_url) as redis:
        before = values(redis)
        assert (await refused(client, key))["decision"] == "request_limited"
        await explain(client, key)
        assert values(redis) == before


class TestHowFullTheLimitsAre:
    async def test_percentages_are_live(self, client: httpx.AsyncClient):
        await limit_provider(client, "openai", budgets=[budget(10)])
        key = await key_of_all(client)
        await create_rule(client, "azure/", when="budget_used >= 50.0")
        for spent, provider in ((4, "openai"), (0.99, "openai"), (0.01, "openai"), (1, "azure"), (1, "azure")):
            answer = await admitted(client, key)
            assert answer["provider"] == provider, spent
            await settle(client, answer["reservation_id"], cost=spent)

    async def test_over_all_limits_of_the_provider_and_model(self, client: httpx.AsyncClient):
        key = await key_of_all(client, provider_configs=[{**OPENAI, "rate_limit": rate_limit(requests=4)}, AZURE])
        response = await client.post(
            "/model-configs",
            json={"model_name": "gpt-4o", "scope": "global", "rate_limit": rate_limit(tokens=1_000, requests=10)},
        )
        assert response.status_code == 200
        rule = await create_rule(client, "azure/", when="request == 50.0 && tokens_used == 70.0 && budget_used == 0.0")
        for _ in range(2):
            answer = await admitted(client, key)
            assert answer["provider"] == "openai"
            await settle(client, answer["reservation_id"], input_tokens=350)
        assert (await admitted(client, key))["route"]["rule_id"] == rule["id"]

    async def test_limits_of_the_key_and_its_owners_do_not_count(self, client: httpx.AsyncClient):
        team = await create(client, TEAMS, rate_limit=rate_limit(requests=2))
        key = await key_of_all(client, team_id=team["id"], rate_limit=rate_limit(requests=2))
        await create_rule(client, "azure/", when="request > 0.0")
        await admitted(client, key)
        assert (await admitted(client, key))["provider"] == "openai"

    async def test_elapsed_windows_count_as_empty(self, make_client: MakeClient):
        async with make_client(now_ms=1_900_000_000_000) as client, make_client(now_ms=1_900_000_060_000) as later:
            key = await key_of_all(client, provider_configs=[{**OPENAI, "rate_limit": rate_limit(requests=2, per="1m")}, AZURE])
            await create_rule(client, "azure/", when="request >= 50.0")
            assert (await admitted(client, key))["provider"] == "openai"
            assert (await admitted(client, key))["provider"] == "azure"
            assert (await admitted(later, key))["provider"] == "openai"


class TestRoundTrips:
    """Every decision is one; how full limits are costs one more, and only where a rule asks."""

    @pytest.mark.parametrize(
        "conditions, limited, round_trips",
        [
            ([], True, 1),
            (["model == 'other'", "headers['x'] == 'y'", "model == 'gpt-4o'"], True, 1),
            (["model == 'gpt-4o'", "budget_used > 1.0"], True, 1),  # not reached
            (["model == 'other'", "budget_used > 1.0", "request > 1.0"], True, 2),
            (["budget_used > 1.0"], False, 1),  # nothing could be used up
        ],
    )
    async def test_round_trips(
        self, client: httpx.AsyncClient, redis: Redis, conditions: list[str], limited: bool, round_trips: int
    ):
        if limited:
            await limit_provider(client, "openai", budgets=[budget(10)])
        key = await key_of_all(client)
        for condition in conditions:
            await create_rule(client, "azure/", when=condition)
        for _ in range(2):
            await admitted(client, key)
            await explain(client, key)
        with traffic(redis) as seen:
            await admitted(client, key)
        assert seen.round_trips == round_trips
        with traffic(redis) as seen:
            await explain(client, key)
        assert seen.round_trips == round_trips

    async def test_fallbacks_of_a_rule_cost_one_more_where_they_have_limits(self, client: httpx.AsyncClient, redis: Redis):
        key = await key_of_all(client)
        await create_rule(client, "openai/", fallbacks=["azure/", "groq/"])
        await admitted(client, key)
        with traffic(redis) as seen:
            await admitted(client, key)
        assert seen.round_trips == 1
        await limit_provider(client, "azure", budgets=[budget(10)])
        await admitted(client, key)
        with traffic(redis) as seen:
            await admitted(client, key)
        assert seen.round_trips == 2
