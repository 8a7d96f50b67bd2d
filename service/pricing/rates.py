"""Unit prices as exact whole numbers, under the names that pricing overrides use. Must not know where they come from."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Final, Literal, get_args

Unit = Literal[
    "input_cost_per_token",
    "output_cost_per_token",
    "input_cost_per_token_batches",
    "output_cost_per_token_batches",
    "input_cost_per_token_priority",
    "output_cost_per_token_priority",
    "input_cost_per_token_above_128k_tokens",
    "output_cost_per_token_above_128k_tokens",
    "input_cost_per_token_above_200k_tokens",
    "output_cost_per_token_above_200k_tokens",
    "input_cost_per_character",
    "cache_read_input_token_cost",
    "cache_read_input_token_cost_above_200k_tokens",
    "cache_read_input_token_cost_priority",
    "cache_creation_input_token_cost",
    "cache_creation_input_token_cost_above_200k_tokens",
    "cache_read_input_image_token_cost",
    "cache_creation_input_audio_token_cost",
    "input_cost_per_image",
    "output_cost_per_image",
    "input_cost_per_pixel",
    "output_cost_per_pixel",
    "input_cost_per_image_token",
    "output_cost_per_image_token",
    "output_cost_per_image_low_quality",
    "output_cost_per_image_medium_quality",
    "output_cost_per_image_high_quality",
    "output_cost_per_image_auto_quality",
    "output_cost_per_image_premium_image",
    "output_cost_per_image_above_512_and_512_pixels",
    "output_cost_per_image_above_1024_and_1024_pixels",
    "output_cost_per_image_above_2048_and_2048_pixels",
    "output_cost_per_image_above_4096_and_4096_pixels",
    "input_cost_per_audio_token",
    "output_cost_per_audio_token",
    "input_cost_per_audio_per_second",
    "input_cost_per_second",
    "input_cost_per_video_per_second",
    "output_cost_per_video_per_second",
    "output_cost_per_second",
    "search_context_cost_per_query",
    "code_interpreter_cost_per_session",
]
"""The 42 published names."""

PER_REQUEST: Final = "input_cost_per_request"
"""What catalogues call the price of a request as such, whatever it uses. Overrides have no name for it."""

TokenUnit = Literal[
    "input_cost_per_token", "output_cost_per_token", "cache_read_input_token_cost", "cache_creation_input_token_cost"
]
"""Those that depend on the length, the service tier and the batch of a request: other names begin with theirs."""

_PLACES: Final[Mapping[str, int]] = {name: place for place, name in enumerate(get_args(Unit))}

DECIMALS: Final = 30
"""Prices are whole numbers of 1e-30 dollars: exact for every price that people write, and thirds of a cent still right to the
nano-dollar however many are used."""
NANO: Final = 10 ** (DECIMALS - 9)
"""So many of them make a nano-dollar."""
DOLLAR: Final = 10**DECIMALS

_LONG_CONTEXT: Final = re.compile(rf"(?:{'|'.join(get_args(TokenUnit))})(_above_([1-9][0-9]{{0,5}})k_tokens)")
"""Rates of long requests. The published names know 128k and 200k; catalogues also have others, such as 272k."""


def scaled(dollars: float | Decimal, per: int = 1) -> int:
    """The price of one unit, given that of `per` units; the decimal number that was written, not the float nearest to it."""
    return round(Fraction(dollars if isinstance(dollars, Decimal) else repr(dollars)) * DOLLAR / per)


def dollars(price: int) -> float:
    return price / DOLLAR


@dataclass(frozen=True)
class LongContext:
    """Rates that hold for all of a request of more than `above_tokens` tokens; `suffix` is how their names end."""

    above_tokens: int
    suffix: str


@dataclass(frozen=True)
class Rates:
    """Prices by unit, in 1e-30 dollars. A unit that is missing has no price; 0 is free."""

    prices: Mapping[str, int]

    @cached_property
    def long_context(self) -> tuple[LongContext, ...]:
        """The longest first; () for most models."""
        found = {(int(match[2]) * 1_000, match[1]) for name in self.prices if (match := _LONG_CONTEXT.fullmatch(name))}
        return tuple(LongContext(*one) for one in sorted(found, reverse=True))

    @cached_property
    def usual_up_to_tokens(self) -> float:
        """Requests of no more tokens pay no long-context rate."""
        return self.long_context[-1].above_tokens if self.long_context else math.inf

    def merged(self, patch: "Rates") -> "Rates":
        """These prices, each replaced by the one of the patch where that has one, be it 0."""
        return Rates({**self.prices, **patch.prices})

    def in_dollars(self) -> dict[str, float]:
        """By name, in the order of the published list, then those it does not have."""
        return {name: dollars(self.prices[name]) for name in sorted(self.prices, key=_place)}


def rates_of(prices: Mapping[str, float | Decimal]) -> Rates:
    """From dollars per unit; names that are no units are left out."""
    return Rates({name: scaled(price) for name, price in prices.items() if is_unit(name)})


def is_unit(name: str) -> bool:
    return name in _PLACES or name == PER_REQUEST or _LONG_CONTEXT.fullmatch(name) is not None


def _place(name: str) -> tuple[int, str]:
    return _PLACES.get(name, len(_PLACES)), name
