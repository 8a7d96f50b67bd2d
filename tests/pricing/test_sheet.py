"""Reading price sheets in the format of LiteLLM."""

import json
from pathlib import Path

import pytest

from service.pricing import bundled
from service.pricing.catalog import Catalog
from service.pricing.sheet import BadSheet, Sheet, read_sheet
from service.store.prices import ImportedSheet

SAMPLE = Path(__file__).with_name("sheet.json").read_bytes()
NOW_MS = 1_800_000_000_000


def read(entries: dict[str, object]) -> Sheet:
    return read_sheet(json.dumps(entries).encode())


def catalog() -> Catalog:
    return Catalog(ImportedSheet(name="sheet.json", imported_at_ms=NOW_MS, stamp="1", prices=read_sheet(SAMPLE).prices))


def test_the_sample():
    sheet = read_sheet(SAMPLE)
    assert [(price.provider, price.model) for price in sheet.prices] == [
        ("azure", "gpt-4o"),  # azure_ai/gpt-4o, by that key alone
        ("openai", "gpt-4o"),
        ("azure", "gpt-4o"),
        ("azure", "phi-4"),
        ("vertex", "gemini-2.5-pro"),
        ("gemini", "gemini-2.5-pro"),
        ("bedrock", "eu-central-1/anthropic.claude-v2"),
        ("openrouter", "openai/gpt-4o"),
        ("fireworks", "accounts/fireworks/models/mixtral"),
        ("openai", "gpt-5.4"),
        ("openai", "1024-x-1024/dall-e-2"),
        ("cohere", "rerank-v3.5"),
        ("my-cluster", "house-model"),
    ]
    assert sheet.problems == ()
    assert sheet.without_price == 2
    assert sheet.unknown_units == {"output_cost_per_reasoning_token": 1, "ocr_cost_per_page": 1}


def test_prices_keep_their_names_and_numbers():
    by_model = {(price.provider, price.model): price.prices for price in read_sheet(SAMPLE).prices}
    assert by_model["openai", "gpt-4o"] == {
        "cache_read_input_token_cost": 1.25e-06,
        "input_cost_per_token": 2.6e-06,
        "input_cost_per_token_batches": 1.3e-06,
        "input_cost_per_token_priority": 4.25e-06,
        "output_cost_per_token": 1.04e-05,
        "output_cost_per_token_batches": 5.2e-06,
        "search_context_cost_per_query": 0.035,
    }
    # A provider that has our name goes before one that is another part of it.
    assert by_model["azure", "gpt-4o"]["input_cost_per_token"] == 2.75e-06
    assert by_model["openai", "gpt-5.4"]["input_cost_per_token_above_272k_tokens"] == 5e-06
    assert by_model["cohere", "rerank-v3.5"]["search_context_cost_per_query"] == 0.002
    assert by_model["my-cluster", "house-model"] == {"input_cost_per_token": 0, "output_cost_per_token": 0}


def test_an_alias_has_the_prices_of_its_entry():
    target = {"litellm_provider": "bedrock_converse", "mode": "chat", "input_cost_per_token": 1e-6}
    sheet = read({"bedrock/m-latest": {"alias_of": "global.m-5"}, "global.m-5": target})
    assert sheet.problems == ()
    assert [(price.provider, price.model, price.prices) for price in sheet.prices] == [
        ("bedrock", "m-latest", {"input_cost_per_token": 1e-6}),
        ("bedrock", "global.m-5", {"input_cost_per_token": 1e-6}),
    ]


def test_rules_for_models_that_the_sheet_does_not_have_are_no_entry():
    good = {"litellm_provider": "openai", "input_cost_per_token": 1e-6}
    sheet = read({"good": good, "fallback_generalizations": {"rules": [{"pattern": "^m", "model_info": {"mode": "chat"}}]}})
    assert (sheet.problems, sheet.without_price, [price.key for price in sheet.prices]) == ((), 0, ["good"])


def test_prices_by_length_of_the_prompt_are_told_of():
    tiers = [{"range": [0, 256_000], "input_cost_per_token": 1e-6}]
    sheet = read({"m": {"litellm_provider": "dashscope", "tiered_pricing": tiers}})
    assert (sheet.without_price, sheet.unknown_units) == (1, {"tiered_pricing": 1})


def test_every_bundled_model_is_found_by_the_name_in_the_listing():
    for provider, model, rates in bundled.listed():
        found = bundled.find(provider, model, NOW_MS)
        assert found is not None, (provider, model)
        assert (found.model, found.rates) == (model, rates(NOW_MS))


@pytest.mark.parametrize("first, second", [("azure/m", "azure_ai/m"), ("azure_ai/m", "azure/m")])
def test_our_own_name_wins_in_any_order(first: str, second: str):
    prices = {"azure/m": 1.0, "azure_ai/m": 2.0}
    sheet = read({key: {"litellm_provider": key.split("/")[0], "input_cost_per_token": prices[key]} for key in (first, second)})
    assert [price.prices["input_cost_per_token"] for price in sheet.prices] == [2.0, 1.0]
    catalog = Catalog(ImportedSheet(name="s", imported_at_ms=NOW_MS, stamp="1", prices=sheet.prices))
    for provider, name, price in (("azure", "m", 1.0), (None, "azure/m", 1.0), (None, "azure_ai/m", 2.0), ("azure_ai", "m", 2.0)):
        found = catalog.find(provider, (name,), NOW_MS)
        assert found is not None
        assert found.rates.in_dollars() == {"input_cost_per_token": price}


@pytest.mark.parametrize(
    "provider, model, key",
    [
        ("openai", "gpt-4o", "gpt-4o"),
        ("azure", "gpt-4o", "azure/gpt-4o"),
        ("azure", "azure/gpt-4o", "azure/gpt-4o"),  # as the sheet names it
        ("azure_ai", "phi-4", "azure_ai/phi-4"),  # a provider of the operator's that is called as in the sheet
        ("vertex", "gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini", "gemini-2.5-pro", "gemini/gemini-2.5-pro"),
        ("openrouter", "openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("my-cluster", "house-model", "house-model"),
        (None, "gpt-4o", "gpt-4o"),
        (None, "azure/gpt-4o", "azure/gpt-4o"),
    ],
)
def test_imported_entries_are_found(provider: str | None, model: str, key: str):
    found = catalog().find(provider, (model,), NOW_MS)
    imported = {price.key: price for price in read_sheet(SAMPLE).prices}[key]
    assert found is not None
    assert (found.source, found.provider, found.model) == ("imported", imported.provider, imported.model)
    assert found.rates.in_dollars() == imported.prices
    assert found.until_ms is None


@pytest.mark.parametrize(
    "provider, model, source",
    [
        ("openai", "gpt-4o-mini", "genai-prices"),  # not in the sheet
        ("openai", "gpt-4o-2024-11-20", "genai-prices"),  # the sheet knows no aliases
        ("anthropic", "gpt-4o", None),  # of another provider
        ("openai", "azure/gpt-4o", None),
        ("my-cluster", "gpt-4o", None),
        ("openai", "dall-e-2", None),
        (None, "phi-4", None),
    ],
)
def test_what_the_sheet_does_not_have(provider: str | None, model: str, source: str | None):
    found = catalog().find(provider, (model,), NOW_MS)
    assert (None if found is None else found.source) == source


def test_the_listing_has_each_model_once():
    listed = catalog().listed
    names = [(row.provider, row.model) for row in listed]
    assert names == sorted(set(names))
    sources = {name: row.source for name, row in zip(names, listed, strict=True)}
    assert sources["openai", "gpt-4o"] == "imported"
    assert sources["openai", "gpt-4o-mini"] == "genai-prices"
    rates = next(row.rates(NOW_MS) for row in listed if (row.provider, row.model) == ("azure", "gpt-4o"))
    assert rates.in_dollars() == {"input_cost_per_token": 2.75e-06, "output_cost_per_token": 1.1e-05}


@pytest.mark.parametrize(
    "entry, problem",
    [
        ({"input_cost_per_token": 1e-6}, "litellm_provider must name a provider"),
        ({"litellm_provider": "", "input_cost_per_token": 1e-6}, "litellm_provider must name a provider"),
        ({"litellm_provider": 5, "input_cost_per_token": 1e-6}, "litellm_provider must name a provider"),
        ({"litellm_provider": "openai", "input_cost_per_token": "1e-6"}, "input_cost_per_token must be a number"),
        ({"litellm_provider": "openai", "input_cost_per_token": True}, "input_cost_per_token must be a number"),
        ({"litellm_provider": "openai", "output_cost_per_token": [1]}, "output_cost_per_token must be a number"),
        ({"litellm_provider": "openai", "input_cost_per_token": -1e-6}, "input_cost_per_token must be between 0 and 9000000"),
        ({"litellm_provider": "openai", "input_cost_per_image": 9e6 + 1}, "input_cost_per_image must be between 0 and 9000000"),
        ({"alias_of": "gone"}, "alias_of must name an entry that is no alias itself"),
        ({"alias_of": "bad"}, "alias_of must name an entry that is no alias itself"),
        ({"alias_of": ["good"]}, "alias_of must name an entry that is no alias itself"),
        ([], "must be an object"),
        (None, "must be an object"),
    ],
)
def test_entries_that_cannot_be_used(entry: object, problem: str):
    good = {"litellm_provider": "openai", "input_cost_per_token": 1e-6}
    sheet = read({"bad": entry, "good": good})
    assert sheet.problems == (f"bad: {problem}",)
    assert [price.model for price in sheet.prices] == ["good"]


@pytest.mark.parametrize(
    "text, reason",
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b'{"m": {"litellm_provider": "openai", "input_cost_per_token": NaN}}', "it is not JSON"),
        (b"[]", "it must be a JSON object of models"),
        (b"null", "it must be a JSON object of models"),
    ],
)
def test_what_is_no_sheet(text: bytes, reason: str):
    with pytest.raises(BadSheet) as caught:
        read_sheet(text)
    assert str(caught.value).startswith(reason)


def test_null_prices_are_absent():
    sheet = read({"m": {"litellm_provider": "openai", "input_cost_per_token": None, "output_cost_per_token": 1e-6}})
    assert sheet.prices[0].prices == {"output_cost_per_token": 1e-6}
