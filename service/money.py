"""Dollars on the wire, whole nano-dollars inside: the only place where the two meet."""

from decimal import ROUND_HALF_EVEN, Decimal

NANOUSD_PER_DOLLAR = 1_000_000_000

MAX_DOLLARS = 9_000_000
"""The largest sum a limit may have: in nano-dollars it stays below 2**53, where Lua and JSON readers still count exactly."""


def to_nanousd(dollars: float) -> int:
    """The decimal number the client wrote, rounded to nano-dollars (half to even). Expects a finite number."""
    # repr is the shortest text of the float: 0.1 is a tenth here, not 0.1000000000000000055.
    return int((Decimal(repr(dollars)) * NANOUSD_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN))


def to_dollars(nanousd: int) -> float:
    # Division of two ints rounds once, to the nearest float.
    return nanousd / NANOUSD_PER_DOLLAR
