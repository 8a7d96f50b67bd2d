"""How real requests arrive and how large they are: quantiles of two traces of production LLM inference, an hour each.

Derived from the Azure Public Dataset (github.com/Azure/AzurePublicDataset, AzureLLMInferenceTrace_conv.csv and _code.csv,
CC BY 4.0), described in Patel et al., "Splitwise", ISCA 2024.
"""

import random
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

SHARES: Final = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 1)
"""Which share of all requests is at most what stands at the same place of a table."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Gaps are milliseconds between one request and the next."""

    gaps: tuple[float, ...]
    context_tokens: tuple[int, ...]
    generated_tokens: tuple[int, ...]


def drawn(table: tuple[float, ...], chance: random.Random) -> float:
    """A value of that distribution; between two quantiles every value is as likely."""
    share = chance.random()
    place = bisect_right(SHARES, share)
    below, above = SHARES[place - 1], SHARES[place]
    return table[place - 1] + (table[place] - table[place - 1]) * (share - below) / (above - below)


CHAT: Final = Trace(
    gaps=(
        0.0,
        0.5,
        6.3,
        16.1,
        36.5,
        60.7,
        87.3,
        118.4,
        158.7,
        213.6,
        288.8,
        420.7,
        565.2,
        749.3,
        889.7,
        1034.2,
        1249.2,
        1411.2,
        1801.3,
        4314.6,
    ),
    context_tokens=(
        2,
        29,
        181,
        207,
        387,
        403,
        703,
        1020,
        1071,
        1130,
        1315,
        2734,
        4083,
        4098,
        4142,
        4831,
        5652,
        6179,
        6570,
        14050,
    ),
    generated_tokens=(7, 16, 41, 54, 77, 91, 103, 129, 177, 384, 400, 424, 451, 540, 601, 643, 917, 954, 1000, 1000),
)
"""A chat service, 19,366 requests."""

CODE: Final = Trace(
    gaps=(
        0.0,
        0.0,
        0.1,
        0.2,
        1.2,
        3.3,
        15.1,
        63.8,
        95.0,
        100.1,
        160.1,
        272.9,
        400.8,
        798.7,
        2205.1,
        9978.3,
        41406.0,
        79232.5,
        132474.4,
        217169.0,
    ),
    context_tokens=(3, 17, 75, 147, 386, 770, 1075, 1469, 1909, 2433, 3192, 5188, 7303, 7436, 7436, 7436, 7436, 7437, 7437, 7437),
    generated_tokens=(6, 6, 6, 7, 8, 9, 11, 13, 16, 20, 29, 55, 90, 171, 251, 359, 670, 825, 885, 1899),
)
"""A coding assistant, 8,819 requests: long prompts, short answers, arriving in bursts."""
