"""What holds for every price and every usage."""

from fractions import Fraction
from typing import get_args

from hypothesis import assume, given
from hypothesis import strategies as st

from service.models.request_types import PricedRequestType
from service.pricing.cost import LARGEST_NANOUSD, can_price, cost_nanousd, cost_of_tokens_nanousd, sum_nanousd, working
from service.pricing.rates import NANO, Rates, Unit, rates_of
from service.pricing.usage import Usage

REQUEST_TYPES = st.sampled_from(get_args(PricedRequestType))
DOLLARS = st.one_of(st.just(0.0), st.floats(min_value=0, max_value=0.01, allow_nan=False))
PRICES = st.dictionaries(st.sampled_from(get_args(Unit)), DOLLARS)
COUNTS = st.one_of(st.integers(0, 20), st.integers(0, 400_000))
USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    output_tokens=COUNTS,
    cached_input_tokens=COUNTS,
    cache_creation_input_tokens=COUNTS,
    input_image_tokens=COUNTS,
    output_image_tokens=st.none() | COUNTS,
    input_audio_tokens=COUNTS,
    characters=COUNTS,
    seconds=st.integers(0, 100) | st.fractions(0, 100, max_denominator=1_000),
    input_seconds=st.integers(0, 100),
    images=st.integers(0, 10),
    input_images=st.none() | st.integers(0, 10),
    pixels=st.sampled_from((0, 256 * 256, 512 * 512, 1024 * 1024, 4096 * 4096)),
    quality=st.sampled_from(("", "low", "medium", "high", "auto", "hd")),
    searches=st.integers(0, 5),
    sessions=st.integers(0, 5),
    is_priority=st.booleans(),
    is_batch=st.booleans(),
)


@given(PRICES, USAGES, REQUEST_TYPES)
def test_a_cost_is_a_whole_number_that_is_never_negative(prices, usage, request_type):
    cost = cost_nanousd(rates_of(prices), usage, request_type)
    assert type(cost) is int
    assert 0 <= cost <= LARGEST_NANOUSD


@given(PRICES, COUNTS, COUNTS, REQUEST_TYPES)
def test_tokens_alone_cost_what_their_working_says(prices, input_tokens, output_tokens, request_type):
    rates, usage = rates_of(prices), Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    assert cost_of_tokens_nanousd(rates, input_tokens, output_tokens, request_type) == cost_nanousd(rates, usage, request_type)


@given(PRICES, USAGES, REQUEST_TYPES)
def test_the_working_adds_up(prices, usage, request_type):
    rates = rates_of(prices)
    lines = working(rates, usage, request_type)
    exact = sum((Fraction(line.quantity) * (line.price or 0) for line in lines), Fraction(0)) / NANO
    assert abs(sum_nanousd(lines) - exact) <= Fraction(1, 2) or sum_nanousd(lines) == LARGEST_NANOUSD
    assert all(line.quantity > 0 and (line.price is None) == (line.unit not in rates.prices) for line in lines)


@given(PRICES, USAGES, REQUEST_TYPES)
def test_without_prices_nothing_costs_anything(prices, usage, request_type):
    assert cost_nanousd(Rates({}), usage, request_type) == 0
    assert cost_nanousd(rates_of(dict.fromkeys(prices, 0.0)), usage, request_type) == 0


@given(PRICES, USAGES, REQUEST_TYPES, st.sampled_from(get_args(Unit)), DOLLARS)
def test_a_higher_price_never_costs_less(prices, usage, request_type, unit, more):
    # Of a unit that had a price: where a new one appears, another way of counting may come into force.
    prices = {unit: 0.001, **prices}
    dearer = {**prices, unit: prices[unit] + more}
    assert cost_nanousd(rates_of(dearer), usage, request_type) >= cost_nanousd(rates_of(prices), usage, request_type)


COUNTED = ("input_tokens", "output_tokens", "characters", "seconds", "input_seconds", "images", "searches", "sessions")


@given(PRICES, USAGES, REQUEST_TYPES, st.sampled_from(COUNTED), st.integers(1, 1_000))
def test_more_of_what_was_used_never_costs_less(prices, usage, request_type, member, more):
    used = getattr(usage, member)
    # From nothing to something a request may be counted in another way: by tokens instead of seconds.
    assume(used > 0 or member in ("searches", "sessions"))
    # Parts of the prompt that have prices of their own grow with it until they are full; long rates may be lower, too.
    plain = {unit: price for unit, price in prices.items() if "_above_" not in unit or "pixels" in unit}
    usage = usage._replace(cached_input_tokens=0, cache_creation_input_tokens=0, input_image_tokens=0, input_audio_tokens=0)
    usage = usage._replace(output_image_tokens=None)
    rates = rates_of(plain)
    dearer = usage._replace(**{member: used + more})
    assert cost_nanousd(rates, dearer, request_type) >= cost_nanousd(rates, usage, request_type)


@given(USAGES, REQUEST_TYPES, st.floats(1e-9, 1e-3), st.floats(1, 4), st.floats(1, 4))
def test_crossing_into_a_dearer_long_rate_never_costs_less(usage, request_type, base, above_128k, above_200k):
    rates = rates_of(
        {
            "input_cost_per_token": base,
            "output_cost_per_token": base,
            "input_cost_per_token_above_128k_tokens": base * above_128k,
            "output_cost_per_token_above_128k_tokens": base * above_128k,
            "input_cost_per_token_above_200k_tokens": base * above_128k * above_200k,
            "output_cost_per_token_above_200k_tokens": base * above_128k * above_200k,
        }
    )
    for tokens in (127_999, 128_000, 128_001, 199_999, 200_000, 200_001, 400_000):
        one = usage._replace(input_tokens=tokens, output_tokens=0)
        assert cost_nanousd(rates, one._replace(input_tokens=tokens + 1), request_type) >= cost_nanousd(rates, one, request_type)


@given(PRICES, st.integers(0, 300_000), st.integers(0, 300_000), st.integers(0, 300_000), st.booleans())
def test_caches_never_count_a_token_twice(prices, prompt, cached, created, is_priority):
    usage = Usage(
        input_tokens=prompt, cached_input_tokens=cached, cache_creation_input_tokens=created, is_priority=is_priority, sessions=0
    )
    lines = working(rates_of(prices), usage, "chat_completion")
    assert sum(line.quantity for line in lines) == prompt


@given(st.lists(st.tuples(st.floats(1e-12, 1e-2), st.integers(1, 10**9)), min_size=1, max_size=2))
def test_decimals_are_those_that_were_written(used):
    units = ("input_cost_per_token", "output_cost_per_token")
    rates = rates_of({unit: price for unit, (price, _) in zip(units, used, strict=False)})
    usage = Usage(**{name: count for name, (_, count) in zip(("input_tokens", "output_tokens"), used, strict=False)})
    exact = sum(Fraction(repr(price)) * count for price, count in used) * 10**9
    assert cost_nanousd(rates, usage, "chat_completion") == min(round(exact), LARGEST_NANOUSD)


@given(PRICES, USAGES, REQUEST_TYPES)
def test_what_has_a_price_can_be_priced(prices: dict[str, float], usage: Usage, request_type: str):
    """Before anybody knows what will be used."""
    rates = rates_of(prices)
    if any(line.price is not None for line in working(rates, usage, request_type)):
        assert can_price(rates, request_type)
