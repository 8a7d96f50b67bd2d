"""How often an expression copies a value into a larger one.

Loops that each double what the loop before them made need few steps and little text to fill the memory.
"""

from collections.abc import Iterable, Mapping

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

MAX_COPIES = 2_000
"""In one value. More than fit into the longest expression without a loop."""


def copies_in(node: Node, scope: Mapping[str, int]) -> int:
    """Of values that are not written down themselves; ValueError where they are too many. `scope`: of what macros have bound."""
    match node:
        case Text() | Literal():
            return 0
        case Name(name=name):
            return scope.get(name, 1)
        case Select(operand=operand) | Unary(operand=operand):
            return copies_in(operand, scope)
        case Index(operand=operand, index=index):
            return max(copies_in(operand, scope), copies_in(index, scope))
        case Call(arguments=arguments):
            return max((copies_in(argument, scope) for argument in arguments), default=0)
        case Binary(operator="+", left=left, right=right):
            return _together((left, right), scope)
        case Binary(left=left, right=right):
            copies_in(left, scope)
            copies_in(right, scope)
            return 0
        case Logic(operands=operands):
            for operand in operands:
                copies_in(operand, scope)
            return 0
        case Conditional(condition=condition, yes=yes, no=no):
            copies_in(condition, scope)
            return max(copies_in(yes, scope), copies_in(no, scope))
        case ListOf(elements=elements):
            return _together(elements, scope)
        case MapOf(entries=entries):
            return _together((part for entry in entries for part in entry), scope)
        case Comprehension(macro=macro, collection=collection, variable=variable, bodies=bodies):
            collected = copies_in(collection, scope)
            # Whichever element it is, it may be nearly all of them.
            of_bodies = [copies_in(body, {**scope, variable: max(collected, 1)}) for body in bodies]
            return of_bodies[-1] if macro == "map" else collected if macro == "filter" else 0
    raise TypeError(f"no rule for {type(node).__name__}")


def _together(parts: Iterable[Node], scope: Mapping[str, int]) -> int:
    copies = sum(copies_in(part, scope) for part in parts)
    if copies > MAX_COPIES:
        raise ValueError(f"could copy a value more than {MAX_COPIES:,} times: loops that multiply what other loops have made")
    return copies
