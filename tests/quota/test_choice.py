"""The provider of a request that names none: by weight, the same for the same id, independent of who is left out."""

import math
from collections import Counter

import pytest

from service.names import names_of_model, split_model
from service.quota.choice import candidates, ranked_fallbacks
from service.routing.draw import hashed
from tests.quota.configurations import KNOWN_PROVIDERS, provider_config, virtual_key

WEIGHTS = {"openai": 0.7, "azure": 0.2, "anthropic": 0.1}
KEY = virtual_key(*(provider_config(name, weight=weight) for name, weight in WEIGHTS.items()))


def drawn(request_id: str, key=KEY, names: tuple[str, ...] = ("gpt-4o",)) -> list[str]:
    return [config.provider for config in candidates(key, names, request_id)]


def test_the_first_is_drawn_by_weight_and_so_is_the_next_among_those_left():
    tries = 20_000
    orders = Counter(tuple(drawn(f"request {number}")) for number in range(tries))
    assert set(map(len, orders)) == {3}
    for (first, second, _), found in orders.items():
        share = WEIGHTS[first] * WEIGHTS[second] / (1 - WEIGHTS[first])
        # Five standard deviations: the ids are fixed, so this holds always or never.
        assert abs(found - tries * share) < 5 * math.sqrt(tries * share * (1 - share))


def test_the_same_id_draws_the_same_order():
    assert drawn("a") == drawn("a")
    assert len({tuple(drawn(str(number))) for number in range(100)}) > 1


def test_leaving_one_out_keeps_the_order_of_the_others():
    rest = virtual_key(*(config for config in KEY.provider_configs if config.provider != "azure"))
    for number in range(100):
        assert drawn(str(number), rest) == [name for name in drawn(str(number)) if name != "azure"]


def test_numbers_are_drawn_from_above_zero_to_one():
    numbers = [hashed(str(number), "openai") for number in range(10_000)]
    assert min(numbers) > 0
    assert max(numbers) <= 1
    assert abs(sum(numbers) / len(numbers) - 0.5) < 0.02


@pytest.mark.parametrize("number", [1.0, 2**-64])
def test_the_ends_of_the_range_are_drawn_like_any_other(number: float):
    ordered = candidates(KEY, (), "id", draw=lambda request_id, provider: number)
    assert len(ordered) == 3


@pytest.mark.parametrize(
    "configs, expected",
    [
        ([provider_config("openai", weight=None)], []),
        ([provider_config("openai", weight=None), provider_config("azure")], ["azure"]),
        ([provider_config("azure", weight=0.0), provider_config("openai", weight=0.001)], ["openai", "azure"]),
        ([provider_config("openai", weight=0.0), provider_config("azure", weight=0.0)], ["azure", "openai"]),
        ([provider_config("openai", allowed_models=("o1",)), provider_config("azure")], ["azure"]),
        ([provider_config("openai", blacklisted_models=("gpt-4o",)), provider_config("azure")], ["azure"]),
        ([], []),
    ],
)
def test_who_takes_part(configs: list, expected: list[str]):
    assert drawn("id", virtual_key(*configs)) == expected


def test_fallbacks_come_by_weight_then_by_name():
    configs = [
        provider_config("openai", weight=0.1),
        provider_config("azure", weight=0.5),
        provider_config("anthropic", weight=0.1),
        provider_config("groq", weight=0.0),
    ]
    assert ranked_fallbacks(configs, "gpt-4o") == ["azure/gpt-4o", "anthropic/gpt-4o", "openai/gpt-4o", "groq/gpt-4o"]
    assert ranked_fallbacks(configs[:1], None) == ["openai/"]


@pytest.mark.parametrize(
    "provider, model, expected",
    [
        (None, "openai/gpt-4o", ("openai", "gpt-4o")),
        (None, "openrouter/meta/llama-3", ("openrouter", "meta/llama-3")),
        (None, "meta/llama-3", (None, "meta/llama-3")),
        (None, "OpenAI/gpt-4o", (None, "OpenAI/gpt-4o")),
        (None, "gpt-4o", (None, "gpt-4o")),
        (None, "openai/", (None, "openai/")),
        (None, "/gpt-4o", (None, "/gpt-4o")),
        (None, None, (None, None)),
        ("openrouter", "openai/gpt-4o", ("openrouter", "openai/gpt-4o")),
        ("openai", None, ("openai", None)),
    ],
)
def test_provider_and_model_in_one_word(provider: str | None, model: str | None, expected: tuple[str | None, str | None]):
    assert split_model(provider, model, KNOWN_PROVIDERS) == expected


@pytest.mark.parametrize(
    "model, expected",
    [
        (None, ()),
        ("gpt-4o", ("gpt-4o",)),
        ("openai/gpt-4o", ("openai/gpt-4o", "gpt-4o")),
        ("meta/llama-3", ("meta/llama-3",)),
        ("openrouter/meta/llama-3", ("openrouter/meta/llama-3", "meta/llama-3")),
        ("openrouter/openai/gpt-4o", ("openrouter/openai/gpt-4o", "openai/gpt-4o", "gpt-4o")),
        ("openai/", ("openai/",)),
    ],
)
def test_names_of_a_model(model: str | None, expected: tuple[str, ...]):
    assert names_of_model(model, KNOWN_PROVIDERS) == expected
