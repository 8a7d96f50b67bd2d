"""Prices of one worker: base prices and overrides put together, kept as long as they hold."""

from typing import Any

import pytest

from service.entities import PricingOverride
from service.pricing.book import Price, Prices
from service.pricing.rates import scaled
from service.store.prices import ImportedPrice, ImportedSheet, StoredPrices
from tests.pricing.test_override import override

NOW_MS = 1_795_000_000_000
DAY_MS = 86_400_000
SHEET = ImportedSheet(
    name="sheet",
    imported_at_ms=NOW_MS,
    stamp="1",
    prices=(ImportedPrice(key="house", provider="mine", model="house", prices={"input_cost_per_token": 1e-6}),),
)


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        return self.now_ms


def book(
    *overrides: PricingOverride, sheet: ImportedSheet | None = None, clock: Clock | None = None, largest: int = 10
) -> Prices:
    return Prices(StoredPrices(overrides, sheet), clock or Clock(), largest=largest)


def price(prices: Prices, *asked: Any) -> Price:
    found = prices.price(*asked)
    assert found is not None
    return found


def test_base_prices_alone():
    found = price(book(), "gpt-4o", "openai", "chat_completion")
    assert found.facts == {"source": "genai-prices", "provider": "openai", "model": "gpt-4o", "override_id": None}
    found = price(book(sheet=SHEET), "house", "mine", "chat_completion")
    assert found.facts == {"source": "imported", "provider": "mine", "model": "house", "override_id": None}


def test_a_patch_replaces_what_it_names():
    patched = book(override("a", patch={"input_cost_per_token": 1e-6, "output_cost_per_token": 0}))
    found = price(patched, "gpt-4o", "openai", "chat_completion")
    base = price(book(), "gpt-4o", "openai", "chat_completion")
    assert (found.source, found.override_id) == ("genai-prices", "a")
    assert found.rates.prices == {
        **base.rates.prices,
        "input_cost_per_token": scaled(1e-6),
        "output_cost_per_token": 0,
    }


@pytest.mark.parametrize("key", ["house", "mine/house"])
def test_a_provider_in_front_of_the_model_finds_the_same_override(key: str):
    """Whether there is a base price under either name, or none."""
    prices = {"input_cost_per_token": 1e-6}
    narrow = override("narrow", scope_kind="provider", provider_id="mine", pattern="house", patch=prices)
    wide = override("wide", pattern="*", patch=prices)
    imported = ImportedPrice(key=key, provider="mine", model=key, prices=prices)
    sheet = ImportedSheet(name="sheet", imported_at_ms=NOW_MS, stamp="1", prices=(imported,))
    for one in (None, sheet):
        overridden = book(narrow, wide, sheet=one)
        for model in ("house", "mine/house"):
            assert price(overridden, model, "mine", "chat_completion").override_id == "narrow"


@pytest.mark.parametrize("pattern", ["house", "mine/house"])
def test_an_override_may_have_a_provider_in_front_of_the_model(pattern: str):
    overridden = book(override("a", pattern=pattern, patch={"input_cost_per_token": 1e-6}))
    for model in ("house", "mine/house"):
        assert price(overridden, model, "mine", "chat_completion").override_id == "a"
    # Of another provider it is another model.
    of_other = overridden.price("house", "other", "chat_completion")
    assert (of_other is not None) == (pattern == "house")


def test_an_empty_patch_changes_nothing_but_is_named():
    found = price(book(override("a", patch={})), "gpt-4o", "openai", "chat_completion")
    assert found.override_id == "a"
    assert found.rates == price(book(), "gpt-4o", "openai", "chat_completion").rates


def test_an_override_without_an_entry():
    alone = override("a", pattern="house*", patch={"input_cost_per_token": 1e-6})
    found = price(book(alone), "house-2", "mine", "chat_completion")
    assert found.facts == {"source": "override", "provider": None, "model": None, "override_id": "a"}
    assert found.rates.in_dollars() == {"input_cost_per_token": 1e-6}
    assert book(override("a", pattern="house*", patch={})).price("house-2", "mine", "chat_completion") is None


@pytest.mark.parametrize(
    "asked",
    [
        ("unheard-of", "openai", "chat_completion"),
        ("gpt-4o", "vllm", "chat_completion"),
        ("gpt-4o", "openai", "moderation"),
        ("gpt-4o", "openai", ""),
    ],
)
def test_what_nobody_has_priced(asked: tuple[str, str, str]):
    prices = book()
    assert prices.price(*asked) is None
    assert prices.price(*asked) is None


def test_a_blank_provider_is_none():
    assert price(book(), "gpt-4o", "", "chat_completion") == price(book(), "gpt-4o", None, "chat_completion")


def test_a_provider_in_front_of_the_model_changes_no_price():
    exact = override("a", pattern="gpt-4o", patch={"output_cost_per_token": 0})
    for prices, expected in ((book(), None), (book(exact), "a")):
        found = price(prices, "openai/gpt-4o", "openai", "chat_completion")
        assert found.facts == {"source": "genai-prices", "provider": "openai", "model": "gpt-4o", "override_id": expected}
        assert found.rates == price(prices, "gpt-4o", "openai", "chat_completion").rates
    assert (
        price(
            book(override("b", pattern="own", patch={"input_cost_per_token": 1e-6})), "mine/own", "mine", "chat_completion"
        ).override_id
        == "b"
    )
    # Another provider's model of that name is another model; and a router's keeps its prefix.
    assert book().price("openai/gpt-4o", "azure", "chat_completion") is None
    assert price(book(), "openai/gpt-4o", "openrouter", "chat_completion").model == "openai/gpt-4o"


def test_what_was_asked_before_is_ready():
    prices = book(override("a", "virtual_key", patch={"input_cost_per_token": 1e-6}))
    of_key = price(prices, "gpt-4o", "openai", "chat_completion", "vk")
    others = price(prices, "gpt-4o", "openai", "chat_completion", "another")
    assert of_key is price(prices, "gpt-4o", "openai", "chat_completion", "vk")
    assert others is price(prices, "gpt-4o", "openai", "chat_completion", "another")
    assert (of_key.override_id, others.override_id) == ("a", None)


def test_only_so_many_are_kept():
    prices = book(largest=2)
    first = price(prices, "gpt-4o", "openai", "chat_completion")
    for model in ("gpt-4o-mini", "gpt-4.1", "gpt-5.4"):
        price(prices, model, "openai", "chat_completion")
    assert len(prices._prices._kept) == len(prices._entries._kept) == 2
    again = price(prices, "gpt-4o", "openai", "chat_completion")
    assert again == first
    assert again is not first


def test_prices_that_begin_on_a_day_begin_on_that_day():
    # genai-prices knows rates of batches for this model from 2026-10-14 on.
    clock = Clock()
    clock.now_ms = 1_791_849_600_000 + DAY_MS - 1  # the last millisecond of the 13th
    prices = book(clock=clock)
    before = price(prices, "gpt-4o", "openai", "chat_completion")
    assert "input_cost_per_token_batches" not in before.rates.prices
    assert price(prices, "gpt-4o", "openai", "chat_completion") is before
    clock.now_ms += 1
    assert price(prices, "gpt-4o", "openai", "chat_completion").rates.prices["input_cost_per_token_batches"] == scaled(1.25e-6)


def test_an_imported_price_goes_before_what_genai_prices_finds_in_a_longer_name():
    name = "anthropic.claude-3-haiku-20240307-v1:0"
    imported = ImportedPrice(key=name, provider="bedrock", model=name, prices={"input_cost_per_token": 1.0})
    prices = book(sheet=ImportedSheet(name="sheet", imported_at_ms=NOW_MS, stamp="1", prices=(imported,)))
    for model in (name, f"bedrock/{name}"):
        assert price(prices, model, "bedrock", "chat_completion").source == "imported"


def test_no_provider_is_not_one_called_none():
    assert book().price("None/gpt-4o", None, "chat_completion") is None


def test_of_two_names_of_a_model_the_override_changed_last_counts():
    for newer, older in (("gpt-4o", "openai/gpt-4o"), ("openai/gpt-4o", "gpt-4o")):
        both = (
            override("newer", pattern=newer, patch={"input_cost_per_token": 1.0}, updated_at_ms=2),
            override("older", pattern=older, patch={"input_cost_per_token": 2.0}, updated_at_ms=1),
        )
        assert price(book(*both), "gpt-4o", "openai", "chat_completion").override_id == "newer"
