"""Money: exact between the text a client wrote and nano-dollars."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.money import MAX_DOLLARS, NANOUSD_PER_DOLLAR, to_dollars, to_nanousd

DOLLARS = [
    (0, 0),
    (0.0, 0),
    (1, 1_000_000_000),
    (0.1, 100_000_000),
    (0.3, 300_000_000),
    (1.1, 1_100_000_000),
    (19.99, 19_990_000_000),
    (1e-9, 1),
    (1e-10, 0),
    (5e-10, 0),
    (1.5e-9, 2),
    (2.5e-9, 2),
    (6e-10, 1),
    (2e-7, 200),
    (0.000_000_15, 150),
    (9_000_000, 9_000_000_000_000_000),
    (8_999_999.999_999_999, 8_999_999_999_999_998),  # the nearest float is ...999999998...
    (-0.25, -250_000_000),
]


@pytest.mark.parametrize(("dollars", "nanousd"), DOLLARS)
def test_to_nanousd(dollars: float, nanousd: int) -> None:
    assert to_nanousd(dollars) == nanousd


@given(st.integers(0, 8_388_608 * NANOUSD_PER_DOLLAR))
def test_nano_dollars_survive_the_wire(nanousd: int) -> None:
    assert to_nanousd(to_dollars(nanousd)) == nanousd


@given(st.lists(st.integers(0, 10**12), max_size=50))
def test_a_sum_reads_back_exactly(costs: list[int]) -> None:
    total = sum((Decimal(cost) / NANOUSD_PER_DOLLAR for cost in costs), Decimal(0))
    assert abs(Decimal(repr(to_dollars(sum(costs)))) - total) <= Decimal("1e-12")


@given(st.floats(0, MAX_DOLLARS))
def test_rounding_moves_at_most_half_a_nano_dollar(dollars: float) -> None:
    assert abs(Decimal(repr(dollars)) * NANOUSD_PER_DOLLAR - to_nanousd(dollars)) <= Decimal("0.5")


def test_the_largest_limit_counts_exactly_in_lua() -> None:
    assert to_nanousd(MAX_DOLLARS) < 2**53
