"""Base prices that come with the service: the data of genai-prices under our names of providers and units. Works offline."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Final

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices, TimeOfDateConstraint

from service.pricing.rates import PER_REQUEST, Rates, Unit, scaled

SOURCE: Final = "genai-prices"
VERSION: Final = genai_prices.__version__

_NAMES: Final = {
    "aws": ("bedrock", "bedrock_mantle"),
    "google": ("gemini", "vertex"),
    "x-ai": ("xai",),
}
"""What our providers are called there, where the names differ. Names are never matched by likeness: a provider of the
operator's own that is called "my-openai" need not charge what OpenAI charges."""

_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_MILLION: Final = 1_000_000
_UNITS: Final[dict[str, tuple[str, int]]] = {
    "input_mtok": ("input_cost_per_token", _MILLION),
    "output_mtok": ("output_cost_per_token", _MILLION),
    "cache_read_mtok": ("cache_read_input_token_cost", _MILLION),
    "cache_write_mtok": ("cache_creation_input_token_cost", _MILLION),
    "cache_image_read_mtok": ("cache_read_input_image_token_cost", _MILLION),
    "cache_audio_write_mtok": ("cache_creation_input_audio_token_cost", _MILLION),
    "input_image_mtok": ("input_cost_per_image_token", _MILLION),
    "output_image_mtok": ("output_cost_per_image_token", _MILLION),
    "input_audio_mtok": ("input_cost_per_audio_token", _MILLION),
    "output_audio_mtok": ("output_cost_per_audio_token", _MILLION),
    "input_mchars": ("input_cost_per_character", _MILLION),
    "input_gpixels": ("input_cost_per_pixel", 1_000_000_000),
    "audio_hours": ("input_cost_per_audio_per_second", 3_600),
    "input_audio_hours": ("input_cost_per_audio_per_second", 3_600),
    "output_audio_hours": ("output_cost_per_second", 3_600),
    "requests_kcount": (PER_REQUEST, 1_000),
    "rerank_searches_kcount": ("search_context_cost_per_query", 1_000),
    "web_searches_kcount": ("search_context_cost_per_query", 1_000),
}
"""Their unit: ours, and how many of ours it holds; where two name the same, the later one counts. What is missing here (pages of
documents, files searched, reasoning or citation tokens apart) has no published unit."""

_OF_LONG_REQUESTS: Final = frozenset(("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok"))
_VARIANTS: Final[tuple[tuple[dict[str, str], dict[str, Unit]], ...]] = (
    (
        {"service_tier": "priority"},
        {
            "input_mtok": "input_cost_per_token_priority",
            "output_mtok": "output_cost_per_token_priority",
            "cache_read_mtok": "cache_read_input_token_cost_priority",
        },
    ),
    (
        {"processing": "batch"},
        {"input_mtok": "input_cost_per_token_batches", "output_mtok": "output_cost_per_token_batches"},
    ),
)
"""Rates of their own for some requests, as far as those have published names."""


@dataclass(frozen=True, slots=True)
class Bundled:
    """A model as genai-prices knows it. `until_ms`: its prices are these until then; None: as long as this process runs."""

    provider: str
    model: str
    rates: Rates
    until_ms: int | None


def find(provider: str | None, model: str, now_ms: int) -> Bundled | None:
    """The price in force; None for a model that is not known, or known without a price.

    Without a provider it is the one whose models have names of this kind, as "gpt-" and "claude-" tell.
    """
    theirs = _provider_of_model(model) if provider is None else _BY_NAME.get(provider)
    if theirs is None:
        return None
    # Not every model there is found by its own name, by which the listing has it.
    known = next((one for one in theirs.models if one.id == model), None) or theirs.find_model(model, all_providers=_ALL)
    if known is None:
        return None
    priced = _priced(theirs, provider or _ours(theirs)[0], known, now_ms)
    return priced if priced.rates.prices else None


def listed() -> Iterator[tuple[str, str, Callable[[int], Rates]]]:
    """Provider and model of all that have a price, and how to get it for a time: making all of them takes a while."""
    for name, theirs in _BY_NAME.items():
        for known in theirs.models:
            priced = [one.prices for one in known.prices] if isinstance(known.prices, list) else [known.prices]
            if any(not _UNITS.keys().isdisjoint(prices.__dict__) for prices in priced):
                yield name, known.id, partial(_rates_at, theirs, known)


def _ours(theirs: Provider) -> tuple[str, ...]:
    return _NAMES.get(theirs.id, (theirs.id,))


# Read when this module is, so that no request waits for it.
_ALL: Final = get_snapshot().providers
_BY_NAME: Final = {name: theirs for theirs in _ALL for name in _ours(theirs)}


def _provider_of_model(model: str) -> Provider | None:
    # Not by its own look-up: that one remembers every name it was ever asked.
    lowered = model.lower()
    return next((one for one in _ALL if one.model_match and one.model_match.is_match(lowered)), None)


def _priced(theirs: Provider, name: str, known: ModelInfo, now_ms: int) -> Bundled:
    return Bundled(name, known.id, _rates_at(theirs, known, now_ms), _until_ms(known, now_ms))


def _until_ms(known: ModelInfo, now_ms: int) -> int | None:
    """Prices may begin on a day or depend on the hour."""
    priced = known.prices if isinstance(known.prices, list) else []
    constraints = [one.constraint for one in (*priced, *(known.price_variants or ())) if one.constraint is not None]
    if not constraints:
        return None
    period_ms = _MINUTE_MS if any(isinstance(one, TimeOfDateConstraint) for one in constraints) else _DAY_MS
    return (now_ms // period_ms + 1) * period_ms


def _rates_at(theirs: Provider, known: ModelInfo, now_ms: int) -> Rates:
    now = datetime.fromtimestamp(now_ms / 1_000, UTC)
    base = known.get_prices(now)
    prices = _prices(base)
    # A model that was found at another provider is not known to have the same variants here.
    if any(known is own for own in theirs.models):
        for context, units in _VARIANTS:
            prices |= _own_prices(known.get_prices(now, context), base, units)
    return Rates(prices)


def _prices(model_price: ModelPrice) -> dict[str, int]:
    prices: dict[str, int] = {}
    for theirs, (unit, per) in _UNITS.items():
        price = getattr(model_price, theirs)
        if price is None:
            continue
        prices[unit] = scaled(_base(price), per)
        if isinstance(price, TieredPrices) and theirs in _OF_LONG_REQUESTS:
            # They count from 199,999 or 524,288, our names whole thousands.
            prices |= {f"{unit}_above_{-(-tier.start // 1_000)}k_tokens": scaled(tier.price, per) for tier in price.tiers}
    return prices


def _own_prices(variant: ModelPrice, base: ModelPrice, units: dict[str, Unit]) -> dict[str, int]:
    """Prices of a variant where they are not those of the base."""
    return {
        unit: scaled(_base(price), _MILLION)
        for theirs, unit in units.items()
        if (price := getattr(variant, theirs)) is not None and price != getattr(base, theirs)
    }


def _base(price: Decimal | TieredPrices) -> Decimal:
    return price.base if isinstance(price, TieredPrices) else price
