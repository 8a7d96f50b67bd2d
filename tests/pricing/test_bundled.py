"""Base prices that come with the service: the same to the nano-dollar as genai-prices computes them itself."""

from datetime import UTC, datetime
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from service.pricing import bundled
from service.pricing.cost import cost_nanousd
from service.pricing.rates import scaled
from service.pricing.usage import Usage

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1_000)

WELL_KNOWN = [
    ("openai", "openai", "gpt-4o"),
    ("openai", "openai", "gpt-4o-mini"),
    ("openai", "openai", "gpt-4.1"),
    ("openai", "openai", "gpt-5.4"),
    ("openai", "openai", "o3"),
    ("anthropic", "anthropic", "claude-sonnet-4-20250514"),
    ("anthropic", "anthropic", "claude-3-5-haiku-latest"),
    ("gemini", "google", "gemini-2.5-pro"),
    ("vertex", "google", "gemini-2.5-flash"),
    ("deepseek", "deepseek", "deepseek-chat"),
    ("mistral", "mistral", "mistral-large-latest"),
    ("xai", "x-ai", "grok-4.3"),
    ("groq", "groq", "llama-3.3-70b-versatile"),
    ("bedrock", "aws", "anthropic.claude-sonnet-4-20250514-v1:0"),
    ("azure", "azure", "gpt-4o"),
]

USAGES: list[dict[str, int]] = [
    {"input_tokens": 1, "output_tokens": 1},
    {"input_tokens": 1_000, "output_tokens": 500},
    {"input_tokens": 12_345, "output_tokens": 6_789},
    {"input_tokens": 100_003, "output_tokens": 4_001},
    {"input_tokens": 1_000, "output_tokens": 500, "cached": 400},
    {"input_tokens": 54_321, "output_tokens": 1_234, "cached": 33_333, "created": 7_777},
    # Far above every threshold that these models have.
    {"input_tokens": 600_001, "output_tokens": 999, "cached": 100_001},
]

CONTEXTS: list[tuple[dict[str, bool], dict[str, str]]] = [
    ({}, {}),
    ({"is_priority": True}, {"service_tier": "priority"}),
    ({"is_batch": True}, {"processing": "batch"}),
]


def theirs(usage: dict[str, int], provider: str, model: str, context: dict[str, str] | None = None) -> int:
    """Nano-dollars of tokens, by genai-prices itself, rounded half to even as ours are."""
    used: dict[str, Any] = {"input_tokens": usage["input_tokens"], "output_tokens": usage["output_tokens"]}
    if "cached" in usage:
        used["cache_read_tokens"] = usage["cached"]
    if "created" in usage:
        used["cache_write_tokens"] = usage["created"]
    price = genai_prices.calc_price(
        genai_prices.Usage(**used), model, provider_id=provider, genai_request_timestamp=NOW, price_context=context
    )
    return round(price.total_price * 10**9)


def ours(usage: dict[str, int], provider: str, model: str, *, is_priority: bool = False, is_batch: bool = False) -> int:
    found = bundled.find(provider, model, NOW_MS)
    assert found is not None
    used = Usage(
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        cached_input_tokens=usage.get("cached", 0),
        cache_creation_input_tokens=usage.get("created", 0),
        is_priority=is_priority,
        is_batch=is_batch,
    )
    return cost_nanousd(found.rates, used, "chat_completion")


@pytest.mark.parametrize("name, their_name, model", WELL_KNOWN)
def test_well_known_models_cost_what_genai_prices_says(name: str, their_name: str, model: str):
    for usage in USAGES:
        assert ours(usage, name, model) == theirs(usage, their_name, model) > 0, usage


@pytest.mark.parametrize("name, their_name, model", [row for row in WELL_KNOWN if row[2] != "gpt-5.4"])
def test_priority_and_batch_too(name: str, their_name: str, model: str):
    # Without caches: cached tokens of a batch have no published name and cost as ever.
    for context, their_context in CONTEXTS:
        for usage in USAGES[:4]:
            assert ours(usage, name, model, **context) == theirs(usage, their_name, model, their_context), (context, usage)


def test_every_model_that_can_be_asked_by_its_name_costs_the_same():
    """All chat models of the whole catalogue, by their ids."""
    usage = USAGES[2]
    compared = 0
    for theirs_provider in get_snapshot().providers:
        name = bundled._ours(theirs_provider)[0]
        for known in theirs_provider.models:
            price = known.get_prices(NOW)
            asked = theirs_provider.find_model(known.id)
            if asked is not known or not set(price.__dict__) <= {
                "input_mtok",
                "output_mtok",
                "cache_read_mtok",
                "cache_write_mtok",
            }:
                continue
            if not price.__dict__:
                assert bundled.find(name, known.id, NOW_MS) is None
                continue
            expected = known.calc_price(genai_prices.Usage(**usage), theirs_provider, genai_request_timestamp=NOW).total_price
            assert ours(usage, name, known.id) == round(expected * 10**9), (name, known.id)
            compared += 1
    assert compared > 1_000


@pytest.mark.parametrize(
    "provider, model, found",
    [
        ("openai", "gpt-4o", ("openai", "gpt-4o")),
        ("openai", "GPT-4o", ("openai", "gpt-4o")),
        ("openai", "gpt-4o-2024-08-06", ("openai", "gpt-4o")),  # another name of it
        ("azure", "claude-sonnet-4-20250514", ("azure", "claude-sonnet-4-0")),  # where its maker's prices are those of a provider
        (None, "gpt-4o", ("openai", "gpt-4o")),
        (None, "claude-sonnet-4-20250514", ("anthropic", "claude-sonnet-4-0")),
        (None, "gemini-2.5-pro", ("gemini", "gemini-2.5-pro")),
        ("openrouter", "openai/gpt-4o", ("openrouter", "openai/gpt-4o")),
        # never at a guess
        ("openai", "my-fine-tune", None),
        ("vllm", "gpt-4o", None),
        ("my-openai", "gpt-4o", None),
        ("OpenAI", "gpt-4o", None),
        ("anthropic", "gpt-4o", None),
        (None, "no-such-model", None),
        ("", "gpt-4o", None),
        ("mistral", "mistral-ocr-latest", None),  # known, but its unit is not: pages
    ],
)
def test_names(provider: str | None, model: str, found: tuple[str, str] | None):
    entry = bundled.find(provider, model, NOW_MS)
    assert (None if entry is None else (entry.provider, entry.model)) == found


def test_variants_are_those_of_the_provider_itself():
    prices = {name: entry.rates.prices for name in ("openai", "azure") if (entry := bundled.find(name, "gpt-4o", NOW_MS))}
    assert prices["openai"]["input_cost_per_token"] == prices["azure"]["input_cost_per_token"]
    assert "input_cost_per_token_batches" in prices["openai"]
    assert "input_cost_per_token_batches" not in prices["azure"]


@pytest.mark.parametrize(
    "provider, model, unit, price",
    [
        ("openai", "tts-1", "input_cost_per_character", 15e-6),
        ("openai", "whisper-1", "input_cost_per_audio_per_second", 0.0001),
        ("openai", "gpt-image-1.5", "output_cost_per_image_token", 32e-6),
        ("openai", "gpt-4o", "search_context_cost_per_query", 0.01),
        ("gemini", "gemini-2.5-pro", "input_cost_per_token_above_200k_tokens", 2.5e-6),
        ("openai", "gpt-5.4", "input_cost_per_token_above_272k_tokens", 5e-6),
        ("xai", "grok-4.3", "output_cost_per_token_above_200k_tokens", 5e-6),  # there it begins at 200,000
    ],
)
def test_units(provider: str, model: str, unit: str, price: float):
    entry = bundled.find(provider, model, NOW_MS)
    assert entry is not None
    assert entry.rates.prices[unit] == scaled(price)


def test_hours_are_exact_however_long_they_are():
    entry = bundled.find("groq", "whisper-large-v3", NOW_MS)
    assert entry is not None
    per_hour = round(cost_nanousd(entry.rates, Usage(seconds=3_600), "transcription"))
    assert cost_nanousd(entry.rates, Usage(seconds=3_600 * 10_000), "transcription") == per_hour * 10_000


MINUTE_MS, DAY_MS = 60_000, 86_400_000


@pytest.mark.parametrize(
    "provider, model, period_ms",
    [("anthropic", "claude-sonnet-4-20250514", None), ("openai", "gpt-4o", DAY_MS), ("deepseek", "deepseek-chat", MINUTE_MS)],
)
def test_how_long_prices_are_these(provider: str, model: str, period_ms: int | None):
    """Until the next day or minute, where they may change by day or hour."""
    for now_ms in (NOW_MS, NOW_MS + 1, NOW_MS + DAY_MS - 1):
        entry = bundled.find(provider, model, now_ms)
        assert entry is not None
        if period_ms is None:
            assert entry.until_ms is None
        else:
            assert entry.until_ms is not None
            assert now_ms < entry.until_ms <= now_ms + period_ms
            assert entry.until_ms % period_ms == 0


def test_prices_follow_the_hour():
    def at(hour: int) -> int:
        now = datetime(2026, 11, 20, hour, tzinfo=UTC)
        entry = bundled.find("deepseek", "deepseek-chat", int(now.timestamp() * 1_000))
        assert entry is not None
        return entry.rates.prices["input_cost_per_token"]

    assert at(1) != at(20)


def test_the_listing_names_what_can_be_priced():
    listed = {(provider, model): rates for provider, model, rates in bundled.listed()}
    assert listed["gemini", "gemini-2.5-pro"](NOW_MS) == listed["vertex", "gemini-2.5-pro"](NOW_MS)
    assert ("mistral", "mistral-ocr-latest") not in listed
    assert all(rates(NOW_MS).prices for rates in listed.values())
