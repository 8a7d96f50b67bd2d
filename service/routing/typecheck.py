"""Checks the types of an expression before it is stored, and finds what to change in its text for the library to take it.

The library finds type errors only while it evaluates, and refuses to calculate with an int and a double; people write
`budget_used * 2 > 100`. It never gets to see an expression that is not checked here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.models.enforcement import MAX_TEXTS
from service.models.patterns import Pattern, compile_pattern, weight_of
from service.routing.environment import LENGTH, SEARCH, TEXTS, VARIABLES
from service.routing.functions import FUNCTIONS
from service.routing.syntax import MACROS
from service.routing.tokens import literal_of, shortened
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
from service.routing.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DYNAMIC,
    INT,
    NUMBERS,
    SIMPLE,
    STRING,
    UINT,
    Type,
    common,
    comparable,
    list_of,
    map_of,
)

MAX_STEPS = 400_000
"""Of one evaluation, some 80 ms if the request has as many headers and parameters as it may. Loops within loops multiply."""
MAX_PATTERNS = 20
MAX_WEIGHT = 20_000
"""Kilobytes of all patterns, as they are reckoned: so many take up to 200 ms to compile."""
_COPIED_IN_A_STEP = 4
"""Elements of a list."""

Scope = Mapping[str, Type]


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Put `replacement` instead of text[start:end]."""

    start: int
    end: int
    replacement: str


@dataclass(slots=True)
class Checker:
    """Walks the tree of one expression once."""

    text: str
    edits: list[Edit] = field(default_factory=list)
    variables: set[str] = field(default_factory=set)
    unknown_variables: set[str] = field(default_factory=set)
    unknown_functions: set[str] = field(default_factory=set)
    longest: int = 0
    """Characters of the longest quoted text."""
    patterns: dict[str, Pattern] = field(default_factory=dict)
    _elements: int = 0
    _patterns: int = 0
    _weight: int = 0
    _steps: int = 0
    _repeats: int = 1

    def type_of(self, node: Node, scope: Scope) -> Type:
        """ValueError says what does not fit. `scope`: the names bound by macros around this node."""
        self._steps += self._repeats
        if self._steps > MAX_STEPS:
            raise ValueError(f"could take more than {MAX_STEPS:,} steps: loops within loops over long lists")
        match node:
            case Text(value=value):
                self.longest = max(self.longest, len(value))
                return STRING
            case Literal(kind=kind):
                self.longest = max(self.longest, node.end - node.start)
                return SIMPLE[kind]
            case Name(name=name):
                return self._name(name, scope)
            case Select():
                return self._select(node, scope)
            case Index():
                return self._index(node, scope)
            case Call():
                return self._call(node, scope)
            case Comprehension():
                return self._comprehension(node, scope)
            case Unary():
                return self._unary(node, scope)
            case Binary():
                return self._binary(node, scope)
            case Logic(operands=operands):
                for operand in operands:
                    self._want_bool(operand, scope)
                return BOOL
            case Conditional():
                return self._conditional(node, scope)
            case ListOf(elements=elements):
                self._elements += len(elements)
                return list_of(self._joined([(element, self.type_of(element, scope)) for element in elements]))
            case MapOf():
                return self._map(node, scope)
        raise TypeError(f"no rule for {type(node).__name__}")

    def rewritten(self) -> str:
        """The text with all edits made."""
        parts = []
        position = 0
        for edit in sorted(self.edits):
            parts += [self.text[position : edit.start], edit.replacement]
            position = edit.end
        return "".join([*parts, self.text[position:]])

    def _name(self, name: str, scope: Scope) -> Type:
        if name in scope:
            return scope[name]
        if name not in VARIABLES:
            self.unknown_variables.add(name)
            return DYNAMIC
        self.variables.add(name)
        return VARIABLES[name]

    def _select(self, node: Select, scope: Scope) -> Type:
        operand = self.type_of(node.operand, scope)
        if operand.name not in ("map", "dynamic"):
            raise self._mismatch(node, f"{operand} has no members")
        return BOOL if node.tested else operand.element or DYNAMIC

    def _index(self, node: Index, scope: Scope) -> Type:
        operand = self.type_of(node.operand, scope)
        index = self.type_of(node.index, scope)
        if operand == DYNAMIC:
            return DYNAMIC
        if operand.name == "list" and index in (INT, UINT, DYNAMIC):
            return operand.element or DYNAMIC
        if operand.name == "map" and self._is_key(index, operand):
            self._lower(node.index, node.operand, scope)
            return operand.element or DYNAMIC
        raise self._mismatch(node, f"nothing in {operand} is found by {index}")

    def _lower(self, name: Node, collection: Node, scope: Scope) -> None:
        """Names of headers and parameters are told apart without their case; the request's are in lower case."""
        if not isinstance(name, Text) or not isinstance(collection, Name) or collection.name in scope:
            return
        if VARIABLES.get(collection.name) == TEXTS and name.value != name.value.lower():
            self.edits.append(Edit(name.start, name.end, literal_of(name.value.lower())))

    def _call(self, node: Call, scope: Scope) -> Type:
        arguments = [self.type_of(argument, scope) for argument in node.arguments]
        name = node.function.name
        function = FUNCTIONS.get(name)
        if function is None:
            self.unknown_functions.add(name)
            return DYNAMIC
        if not (function.as_method if node.method else function.as_function):
            form = f"{name}(value)" if node.method else f"value.{name}(...)"
            raise self._mismatch(node, f"{name}() is called as {form}")
        result = function.result_of(arguments)
        if result is None:
            given = " and ".join(str(argument) for argument in arguments) or "nothing"
            raise self._mismatch(node, f"{name}() does not take {given}")
        if name == "matches":
            self._check_pattern(node.arguments[1])
            self.edits.append(Edit(node.function.start, node.function.end, SEARCH))
        elif name == "size" and arguments[0] in (STRING, DYNAMIC):
            self.edits.append(Edit(node.function.start, node.function.end, LENGTH))
        return result

    def _check_pattern(self, pattern: Node) -> None:
        if not isinstance(pattern, Text):
            # One taken from a header would be compiled for every request, at the caller's choice.
            raise self._mismatch(pattern, "matches() takes its pattern as quoted text")
        self._patterns += 1
        if self._patterns > MAX_PATTERNS:
            raise ValueError(f"calls matches() more than {MAX_PATTERNS} times; one pattern can hold alternatives: a|b")
        try:
            self.patterns[pattern.value] = compile_pattern(pattern.value)
        except ValueError as error:
            raise self._mismatch(pattern, f"not a regular expression ({error})") from error
        self._weight += weight_of(pattern.value)
        if self._weight > MAX_WEIGHT:
            raise ValueError("has patterns that would take too much memory together: repeats of classes such as \\w")

    def _comprehension(self, node: Comprehension, scope: Scope) -> Type:
        collection = self.type_of(node.collection, scope)
        if collection.name not in ("list", "map", "dynamic"):
            raise self._mismatch(node, f"{node.macro}() does not take {collection}")
        item = (collection.key if collection.name == "map" else collection.element) or DYNAMIC
        inner = {**scope, node.variable: item}
        outer_repeats = self._repeats
        count = max(MAX_TEXTS, self._elements)
        if node.macro in ("map", "filter"):
            # The library copies the list that they make at every step.
            self._steps += self._repeats * count * count // _COPIED_IN_A_STEP
        self._repeats *= count
        *conditions, last = node.bodies
        for condition in conditions:
            self._want_bool(condition, inner)
        if node.macro == "map":
            result = list_of(self.type_of(last, inner))
        else:
            self._want_bool(last, inner)
            result = list_of(item) if node.macro == "filter" else BOOL
        self._repeats = outer_repeats
        return result

    def _unary(self, node: Unary, scope: Scope) -> Type:
        operand = self.type_of(node.operand, scope)
        if operand not in ((BOOL, DYNAMIC) if node.operator == "!" else (INT, DOUBLE, DYNAMIC)):
            raise self._mismatch(node, f"'{node.operator}' does not take {operand}")
        return BOOL if node.operator == "!" else operand

    def _binary(self, node: Binary, scope: Scope) -> Type:
        left = self.type_of(node.left, scope)
        right = self.type_of(node.right, scope)
        match node.operator:
            case "==" | "!=":
                fits = comparable(left, right)
            case "<" | "<=" | ">" | ">=":
                fits = comparable(left, right) and {left, right} <= {BOOL, STRING, BYTES, DYNAMIC, *NUMBERS}
            case "in":
                self._lower(node.left, node.right, scope)
                in_list = right.name == "list" and (right.element is None or comparable(left, right.element))
                fits = in_list or right == DYNAMIC or (right.name == "map" and self._is_key(left, right))
            case _:
                return self._calculated(node, left, right)
        if not fits:
            raise self._mismatch(node, f"'{node.operator}' does not take {left} and {right}")
        return BOOL

    def _is_key(self, key: Type, of_map: Type) -> bool:
        # The library finds 2u by 2, but takes 2.0 for no key at all.
        return key != DOUBLE and (of_map.key is None or comparable(key, of_map.key))

    def _calculated(self, node: Binary, left: Type, right: Type) -> Type:
        if DYNAMIC in (left, right):
            return DYNAMIC
        if {left, right} <= NUMBERS:
            number = self._joined([(node.left, left), (node.right, right)])
            if number in NUMBERS and not (node.operator == "%" and number == DOUBLE):
                return number
        elif node.operator == "+" and left.name == right.name and left.name in ("string", "bytes", "list"):
            return left if left == right else list_of(DYNAMIC)
        raise self._mismatch(node, f"'{node.operator}' does not take {left} and {right}")

    def _conditional(self, node: Conditional, scope: Scope) -> Type:
        self._want_bool(node.condition, scope)
        yes = self.type_of(node.yes, scope)
        no = self.type_of(node.no, scope)
        if not comparable(yes, no):
            raise self._mismatch(node, f"one branch is {yes}, the other {no}")
        return self._joined([(node.yes, yes), (node.no, no)])

    def _map(self, node: MapOf, scope: Scope) -> Type:
        self._elements += len(node.entries)
        keys = []
        for key, _ in node.entries:
            keys.append(self.type_of(key, scope))
            if keys[-1] not in (BOOL, INT, UINT, STRING, DYNAMIC):
                raise self._mismatch(key, f"{keys[-1]} cannot be a key")
        values = [(value, self.type_of(value, scope)) for _, value in node.entries]
        return map_of(common(keys), self._joined(values))

    def _joined(self, parts: list[tuple[Node, Type]]) -> Type:
        """The type that parts of several types have together; numbers become doubles when one of them is."""
        types = {part_type for _, part_type in parts}
        if DOUBLE not in types or not types <= NUMBERS:
            return common([part_type for _, part_type in parts])
        for node, part_type in parts:
            if part_type != DOUBLE:
                self.edits += [Edit(node.start, node.start, "double("), Edit(node.end, node.end, ")")]
        return DOUBLE

    def _want_bool(self, node: Node, scope: Scope) -> None:
        found = self.type_of(node, scope)
        if found not in (BOOL, DYNAMIC):
            raise self._mismatch(node, f"{found} stands where true or false is wanted")

    def _mismatch(self, node: Node, reason: str) -> ValueError:
        return ValueError(f"does not type-check: {reason}, in {shortened(self.text[node.start : node.end])}")


def known_functions() -> list[str]:
    return sorted({*FUNCTIONS, *MACROS, "has"})
