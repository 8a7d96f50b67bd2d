"""How much text the evaluation of an expression makes, copies and looks through at worst.

A step is bounded by how many there are; what it does to a text is not, and neither are loops that each multiply what the loop
before them made. Either takes little text of its own to stop a worker for seconds or to fill its memory.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from service.models.enforcement import MAX_TEXTS
from service.routing.environment import COUNTS, TEXTS, VARIABLES
from service.routing.tree import (
    Binary,
    Call,
    Comprehension,
    Conditional,
    Index,
    ListOf,
    Literal,
    Logic,
    MapOf,
    Name,
    Node,
    Select,
    Text,
    Unary,
)

MAX_HANDLED: Final = 50_000_000
"""Characters, in one evaluation: at worst some 100 ms, and as many bytes of memory as they have."""

_COMPARED: Final = 16
_COPIED: Final = 4
"""So many characters are compared, or copied as part of a whole, while one is handled: in a nanosecond."""
_SEARCHED: Final = 2
"""So many are handled while one is searched."""


class _Size(NamedTuple):
    """In texts as long as the longest there is: of all of a value, of any one of its items, and how many items it has."""

    whole: float
    item: float
    length: int


_ONE: Final = _Size(1, 1, 0)


def handled_by(tree: Node) -> tuple[float, ...]:
    """How many texts, each as long as the longest there is; for requests with each of COUNTS headers."""
    return tuple([_handled(tree, count) for count in COUNTS])


def _handled(tree: Node, count: int) -> float:
    reckoning = _Reckoning(count)
    reckoning.size_of(tree, {}, 1)
    return reckoning.handled


@dataclass(slots=True)
class _Reckoning:
    count: int
    handled: float = 0
    longest: int = MAX_TEXTS
    """Items of the longest list so far: one that is an item of another may have as many."""

    def size_of(self, node: Node, scope: Mapping[str, _Size], times: int) -> _Size:
        """`scope`: what macros have bound; `times`: how often it is evaluated."""
        match node:
            case Text() | Literal():
                return _ONE
            case Name(name=name):
                if name in scope:
                    self.handled += times * scope[name].whole / _COPIED
                    return scope[name]
                return _Size(2 * self.count, 1, self.count) if VARIABLES.get(name) == TEXTS else _ONE
            case Select(operand=operand):
                return self._item_of(self.size_of(operand, scope, times))
            case Index(operand=operand, index=index):
                self.size_of(index, scope, times)
                return self._item_of(self.size_of(operand, scope, times))
            case Unary(operand=operand):
                return self.size_of(operand, scope, times)
            case Call(function=function, arguments=arguments):
                sizes = self._sizes_of(arguments, scope, times)
                whole = sum([size.whole for size in sizes])
                self.handled += times * whole * (_SEARCHED if function.name == "contains" else 1)
                return sizes[0] if function.name in ("dyn", "string") and sizes else _ONE
            case Binary(operator=operator, left=left, right=right):
                joined = self._together(self._sizes_of((left, right), scope, times))
                self.handled += times * joined.whole / (1 if operator == "+" else _COMPARED)
                return self._made(joined) if operator == "+" else _ONE
            case Logic(operands=operands):
                self._sizes_of(operands, scope, times)
                return _ONE
            case Conditional(condition=condition, yes=yes, no=no):
                self.size_of(condition, scope, times)
                return _Size(*map(max, *self._sizes_of((yes, no), scope, times)))
            case ListOf(elements=elements):
                return self._listed(elements, len(elements), scope, times)
            case MapOf(entries=entries):
                return self._listed([part for entry in entries for part in entry], len(entries), scope, times)
            case Comprehension():
                return self._loop(node, scope, times)
        raise TypeError(f"no rule for {type(node).__name__}")

    def _loop(self, node: Comprehension, scope: Mapping[str, _Size], times: int) -> _Size:
        collection = self.size_of(node.collection, scope, times)
        inner = {**scope, node.variable: self._item_of(collection)}
        *_, last = self._sizes_of(node.bodies, inner, times * collection.length)
        if node.macro not in ("map", "filter"):
            return _ONE
        item = last.whole if node.macro == "map" else collection.item
        made = _Size(item * collection.length, item, collection.length)
        # The library copies the list that they make at every step.
        self.handled += times * collection.length * made.whole / 2 / _COPIED
        return self._made(made)

    def _sizes_of(self, nodes: Iterable[Node], scope: Mapping[str, _Size], times: int) -> list[_Size]:
        return [self.size_of(node, scope, times) for node in nodes]

    def _listed(self, parts: Iterable[Node], length: int, scope: Mapping[str, _Size], times: int) -> _Size:
        sizes = self._sizes_of(parts, scope, times)
        whole = sum([size.whole for size in sizes])
        self.handled += times * whole / _COPIED
        return self._made(_Size(whole, max([size.whole for size in sizes], default=0), length))

    def _together(self, sizes: list[_Size]) -> _Size:
        left, right = sizes
        return _Size(left.whole + right.whole, max(left.item, right.item), left.length + right.length)

    def _made(self, size: _Size) -> _Size:
        self.longest = max(self.longest, size.length)
        return size

    def _item_of(self, collection: _Size) -> _Size:
        return _Size(collection.item, collection.item, self.longest)
