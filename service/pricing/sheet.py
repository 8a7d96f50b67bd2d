"""Reads a price sheet in the format of LiteLLM: which entries have prices that we know, and what is wrong with others."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import orjson

from service.money import MAX_DOLLARS
from service.pricing.rates import is_unit
from service.store.prices import ImportedPrice

_NO_MODELS: Final = ("sample_spec", "fallback_generalizations")
"""What explains the format, and rules for models that the sheet does not have: those have no prices."""
_PROVIDER: Final = "litellm_provider"
_ALIAS: Final = "alias_of"
"""Names the entry that holds for this one, too."""

_PROVIDERS: Final = {
    "azure_ai": "azure",
    "azure_text": "azure",
    "bedrock_converse": "bedrock",
    "codestral": "mistral",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "hosted_vllm": "vllm",
    "ollama_chat": "ollama",
    "opencode_go": "opencode-go",
    "runwayml": "runway",
    "text-completion-codestral": "mistral",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
}
"""What the sheet calls our providers, where the names differ; "vertex_ai-language-models" is also "vertex_ai"."""

_SEARCH: Final = "search_context_cost_per_query"
_USUAL_SEARCH: Final = "search_context_size_medium"
"""Where the price of a search depends on how much it brings back: what providers bring back unless asked for another."""
_QUERY_OF_RERANK: Final = "input_cost_per_query"
_TIERS: Final = "tiered_pricing"
"""A list of prices by length of the prompt."""


class BadSheet(Exception):
    """The file is no price sheet; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where several `prices` are of one model the last one is its price, and the others are found by their keys alone.

    `problems` are sentences about entries that cannot be used; `unknown_units` prices that have no published unit, counted.
    """

    prices: tuple[ImportedPrice, ...]
    without_price: int
    problems: tuple[str, ...]
    unknown_units: Counter[str]


def read_sheet(text: bytes) -> Sheet:
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadSheet(f"it is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadSheet("it must be a JSON object of models")
    found: dict[tuple[str, str], tuple[bool, ImportedPrice]] = {}
    by_key_only: list[ImportedPrice] = []
    problems: list[str] = []
    unknown_units: Counter[str] = Counter()
    without_price = 0
    for key, members in content.items():
        if key in _NO_MODELS:
            continue
        try:
            members = _with_alias(members, content)
            price = _read_entry(key, members, unknown_units)
        except ValueError as error:
            problems.append(f"{key}: {error}")
            continue
        if price is None:
            without_price += 1
            continue
        # Several of their providers may be one of ours: the one that has our name goes first, then the order of the file.
        is_ours = members[_PROVIDER] == price.provider
        identity = (price.provider, price.model)
        kept = found.get(identity)
        if kept is None:
            found[identity] = (is_ours, price)
        elif is_ours and not kept[0]:
            by_key_only.append(kept[1])
            found[identity] = (is_ours, price)
        else:
            by_key_only.append(price)
    prices = (*by_key_only, *(price for _, price in found.values()))
    return Sheet(prices, without_price, tuple(problems), unknown_units)


def _with_alias(members: Any, content: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(members, dict):
        raise ValueError("must be an object")
    if members.get(_ALIAS) is None:
        return members
    alias = members[_ALIAS]
    other = content.get(alias) if isinstance(alias, str) else None
    if not isinstance(other, dict) or other.get(_ALIAS) is not None:
        raise ValueError(f"{_ALIAS} must name an entry that is no alias itself")
    return {**other, **members}


def _read_entry(key: str, members: dict[str, Any], unknown_units: Counter[str]) -> ImportedPrice | None:
    """None for an entry without prices; ValueError says what is wrong."""
    theirs = members.get(_PROVIDER)
    if not isinstance(theirs, str) or not theirs:
        raise ValueError(f"{_PROVIDER} must name a provider")
    prices: dict[str, float] = {}
    for name, value in members.items():
        unit = _SEARCH if name == _QUERY_OF_RERANK and members.get("mode") == "rerank" else name
        if isinstance(value, dict) and unit == _SEARCH:
            value = value.get(_USUAL_SEARCH)
        if value is None:
            continue
        if is_unit(unit):
            prices[unit] = _price(name, value)
        elif name == _TIERS or ("_cost" in name and isinstance(value, int | float) and value):
            unknown_units[name] += 1
    if not prices:
        return None
    provider = _provider(theirs)
    return ImportedPrice(key=key, provider=provider, model=_model(key, theirs, provider), prices=prices)


def _price(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number")
    if not 0 <= value <= MAX_DOLLARS:
        raise ValueError(f"{name} must be between 0 and {MAX_DOLLARS}")
    return value


def _provider(theirs: str) -> str:
    return _PROVIDERS.get(theirs) or _PROVIDERS.get(theirs.partition("-")[0], theirs)


def _model(key: str, theirs: str, provider: str) -> str:
    """Without the provider that many keys begin with: "azure/gpt-4o" of azure is gpt-4o, "openai/gpt-4o" of openrouter stays."""
    prefix, _, rest = key.partition("/")
    return rest if rest and (prefix == theirs or _provider(prefix) == provider) else key
