"""What an expression can refer to: the variables of a request, with a value for each one the caller leaves out."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from service.models.enforcement import MAX_TEXTS
from service.models.patterns import Pattern
from service.routing.cel_alone import cel
from service.routing.types import DOUBLE, STRING, Type, map_of

TEXTS = map_of(STRING, STRING)

VARIABLES: dict[str, Type] = {
    "model": STRING,
    "provider": STRING,
    "request_type": STRING,
    "headers": TEXTS,
    "params": TEXTS,
    "virtual_key_id": STRING,
    "virtual_key_name": STRING,
    "team_id": STRING,
    "team_name": STRING,
    "customer_id": STRING,
    "customer_name": STRING,
    "user_id": STRING,
    "complexity_tier": STRING,
    "tokens_used": DOUBLE,
    "request": DOUBLE,
    "budget_used": DOUBLE,
}
"""`headers` and `params` have lower-case names. The last three are percent of the fullest limit, and may be above 100."""

SEARCH = "quotad_search"
LENGTH = "quotad_length"

COUNTS: Final = (4, 16, 64, MAX_TEXTS)
"""Numbers of headers, or of parameters, that the cost of an expression is reckoned for: the next one above what a request has."""
SHORTEST: Final = 256
"""Characters that the longest text is reckoned to have at least: names of models and of keys have no more."""

MAX_SEARCHED = 2_000_000
"""Characters times size of the pattern, in one evaluation: at worst some 60 ms, mostly far less."""


class Searches:
    """Stands in for `matches` of the library, which compiles its pattern each time."""

    __slots__ = ("_left", "_patterns")

    def __init__(self) -> None:
        self.begin({})

    def begin(self, patterns: Mapping[str, Pattern]) -> None:
        """`patterns`: those of the expression. Among those of all rules, they would be compiled anew where there are many."""
        self._left = MAX_SEARCHED
        self._patterns = patterns

    def search(self, text: object, pattern: object) -> bool:
        if not isinstance(text, str) or not isinstance(pattern, str):
            return False
        compiled = self._patterns[pattern]
        self._left -= compiled.size * len(text)
        # An exception here would be a line in the log for each request.
        return not self.were_too_many and compiled.search(text)

    @property
    def were_too_many(self) -> bool:
        """Then the result of the evaluation means nothing."""
        return self._left < 0


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables of one request, handed to the library once for however many expressions. Call `searches.begin` for each.

    `longest`: characters of the longest text among headers and parameters; `place_of_count`: how many there are, by COUNTS.
    """

    context: cel.Context
    searches: Searches
    longest: int
    place_of_count: int

    @classmethod
    def of(cls, variables: Mapping[str, object], names: Collection[str] = VARIABLES.keys()) -> "Environment":
        """`names`: those that the expressions refer to; every other one would cost as much as evaluating several of them."""
        values = {name: _value(variables.get(name), VARIABLES[name]) for name in names}
        searches = Searches()
        # The names are ours: an expression cannot call them. `size` of a string would count bytes instead of characters.
        functions: dict[str, Callable[..., Any]] = {SEARCH: searches.search, LENGTH: len}
        maps = [value for value in values.values() if isinstance(value, dict)]
        longest = max([len(text) for texts in maps for pair in texts.items() for text in pair], default=0)
        place = min(bisect_left(COUNTS, max(map(len, maps), default=0)), len(COUNTS) - 1)
        return cls(cel.Context(values, functions), searches, longest, place)


def _value(value: object, wanted: Type) -> object:
    if wanted == DOUBLE:
        return float(value) if isinstance(value, int | float) else 0.0
    if wanted == STRING:
        return value if isinstance(value, str) else ""
    return {str(name).lower(): text for name, text in value.items()} if isinstance(value, Mapping) else {}
