"""What an expression can refer to: the variables of a request, with a value for each one the caller leaves out."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from service.models.patterns import compile_pattern
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


def _search(text: object, pattern: object) -> bool:
    return isinstance(text, str) and isinstance(pattern, str) and compile_pattern(pattern).search(text)


FUNCTIONS: dict[str, Callable[..., Any]] = {SEARCH: _search, LENGTH: len}
"""Stand-ins for what the library has its own ideas of: `matches` compiles its pattern each time, `size` of a string counts
bytes instead of characters. The names are ours: an expression cannot call them.
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables of one request, handed to the library once for however many expressions."""

    context: cel.Context

    @classmethod
    def of(cls, variables: Mapping[str, object], names: Collection[str] = VARIABLES.keys()) -> "Environment":
        """`names`: those that the expressions refer to; every other one would cost as much as evaluating several of them."""
        values = {name: _value(variables.get(name), VARIABLES[name]) for name in names}
        return cls(cel.Context(values, FUNCTIONS))


def _value(value: object, wanted: Type) -> object:
    if wanted == DOUBLE:
        return float(value) if isinstance(value, int | float) else 0.0
    if wanted == STRING:
        return value if isinstance(value, str) else ""
    return {str(name).lower(): text for name, text in value.items()} if isinstance(value, Mapping) else {}
