"""Types of CEL values, as far as conditions of routing rules need them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Type:
    """`element`: of a list, or the values of a map; `key`: of a map. `dynamic` is known only when evaluated."""

    name: str
    element: "Type | None" = None
    key: "Type | None" = None

    def __str__(self) -> str:
        return {"int": "an int", "null": "null", "dynamic": "a value of unknown type"}.get(self.name, f"a {self.name}")


BOOL = Type("bool")
INT = Type("int")
UINT = Type("uint")
DOUBLE = Type("double")
STRING = Type("string")
BYTES = Type("bytes")
NULL = Type("null")
DYNAMIC = Type("dynamic")

SIMPLE = {simple.name: simple for simple in (BOOL, INT, UINT, DOUBLE, STRING, BYTES, NULL)}
NUMBERS = frozenset({INT, UINT, DOUBLE})


def list_of(element: Type) -> Type:
    return Type("list", element=element)


def map_of(key: Type, value: Type) -> Type:
    return Type("map", element=value, key=key)


def comparable(one: Type, other: Type) -> bool:
    """Whether the two can be equal. Numbers of any kind can; the library compares them by value."""
    if DYNAMIC in (one, other) or (one in NUMBERS and other in NUMBERS):
        return True
    if one.name != other.name:
        return False
    pairs = ((one.element, other.element), (one.key, other.key))
    return all(mine is None or yours is None or comparable(mine, yours) for mine, yours in pairs)


def common(types: list[Type]) -> Type:
    """The type of values that are of any of `types`."""
    first, *others = types or [DYNAMIC]
    return first if all(other == first for other in others) else DYNAMIC
