"""The parts of a CEL expression, each knowing its place in the text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A part of the expression: text[start:end], without the parentheses around it."""

    start: int
    end: int
    depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal(Node):
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(Node):
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Select(Node):
    """`operand.member`; with `tested`, has(operand.member)."""

    operand: Node
    member: str
    tested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(Node):
    operand: Node
    index: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    """`function(arguments)`; as a method, the first argument stands before the dot."""

    function: Name
    arguments: tuple[Node, ...]
    method: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Comprehension(Node):
    """`collection.macro(variable, bodies...)`."""

    macro: str
    collection: Node
    variable: str
    bodies: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unary(Node):
    """One `!` or `-`, or several of the same."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary(Node):
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Logic(Node):
    """`a && b && c`: one level, however many there are, because the library balances them."""

    operator: str
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditional(Node):
    condition: Node
    yes: Node
    no: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf(Node):
    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf(Node):
    entries: tuple[tuple[Node, Node], ...]
