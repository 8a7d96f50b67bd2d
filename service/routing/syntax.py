"""Reads a CEL expression into a tree of bounded depth: nothing that walks it, here or in the library, runs out of stack."""

from dataclasses import replace

from service.routing.tokens import Token, TokenKind, shortened, text_of, tokenise
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

MAX_DEPTH = 50
"""Levels of a tree. The library gives up above 90 parentheses, and dies of chains of 50,000 operators."""

MACROS = {"all": (2,), "exists": (2,), "exists_one": (2,), "existsOne": (2,), "map": (2, 3), "filter": (2,)}
"""Methods that bind their first argument as a variable, and how many arguments they take."""

RESERVED = frozenset(
    {"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let"}
    | {"loop", "namespace", "package", "return", "var", "void", "while"}
)
_KEYWORDS = frozenset({"true", "false", "null", "in"})
_OPERATORS = (["||"], ["&&"], ["<", "<=", ">", ">=", "==", "!=", "in"], ["+", "-"], ["*", "/", "%"])
"""Binary operators, the loosest first."""
_LEVELS = {operator: level for level, operators in enumerate(_OPERATORS) for operator in operators}


def parse(text: str) -> Node:
    """The tree of `text`; ValueError says where it does not parse."""
    parser = _Parser(tokenise(text))
    node = parser.expression()
    if parser.next.kind is not TokenKind.END:
        raise parser.unexpected("the end")
    return node


class _Parser:
    """Recursive descent over the tokens, with few calls per level of the tree: Python counts them too."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._nesting = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._position]

    def unexpected(self, wanted: str) -> ValueError:
        token = self.next
        found = repr(shortened(token.text)) if token.kind is not TokenKind.END else "the end"
        return ValueError(f"does not parse: {wanted} expected, {found} found at character {token.start + 1}")

    def expression(self) -> Node:
        # Counted on the way down: thousands of "(" must not get as far as building a node.
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            raise _too_deep()
        node = self._operation(0)
        if self._accept("?"):
            yes = self._operation(0)
            self._expect(":")
            no = self.expression()
            node = Conditional(start=node.start, end=no.end, depth=_above(node, yes, no), condition=node, yes=yes, no=no)
        self._nesting -= 1
        return node

    def _operation(self, loosest: int) -> Node:
        """A value, and the operators after it that bind at least as tightly as `loosest`."""
        left = self._unary()
        while (level := _LEVELS.get(self.next.text, -1)) >= loosest:
            operator = self._take().text
            operands = [left, self._operation(level + 1)]
            while operator in ("&&", "||") and self._accept(operator):
                operands.append(self._operation(level + 1))
            left = _operation(operator, operands)
        return left

    def _unary(self) -> Node:
        first = self.next
        if first.text not in ("!", "-"):
            return self._member()
        while self._accept(first.text):
            pass
        operand = self._member()
        return Unary(start=first.start, end=operand.end, depth=_above(operand), operator=first.text, operand=operand)

    def _member(self) -> Node:
        node = self._primary()
        while True:
            if self._accept("."):
                node = self._after_dot(node)
            elif self._accept("["):
                index = self.expression()
                end = self._expect("]").end
                node = Index(start=node.start, end=end, depth=_above(node, index), operand=node, index=index)
            else:
                return node

    def _after_dot(self, operand: Node) -> Node:
        if self.next.kind is not TokenKind.NAME or self.next.text in _KEYWORDS:
            raise self.unexpected("a name")
        name = self._take()
        if not self._accept("("):
            return Select(start=operand.start, end=name.end, depth=_above(operand), operand=operand, member=name.text)
        arguments, end = self._sequence(")")
        if name.text in MACROS:
            return _comprehension(name, operand, arguments, end)
        return _call(name, (operand, *arguments), operand.start, end, method=True)

    def _primary(self) -> Node:
        token = self.next
        if token.text == "(":
            self._take()
            inner = self.expression()
            # Its parentheses are part of it: whatever is written around it goes around them.
            return replace(inner, start=token.start, end=self._expect(")").end, depth=_above(inner))
        if token.text == "[":
            self._take()
            elements, end = self._sequence("]")
            return ListOf(start=token.start, end=end, depth=_above(*elements), elements=elements)
        if token.text == "{":
            return self._map()
        if token.kind is TokenKind.NAME and token.text != "in" and token.text not in RESERVED:
            return self._named()
        if token.kind in (TokenKind.SYMBOL, TokenKind.END, TokenKind.NAME):
            raise self.unexpected("a value")
        self._take()
        if token.kind is TokenKind.STRING:
            return Text(start=token.start, end=token.end, value=text_of(token))
        return Literal(start=token.start, end=token.end, kind=token.kind)

    def _named(self) -> Node:
        token = self._take()
        if token.text in _KEYWORDS:
            return Literal(start=token.start, end=token.end, kind="null" if token.text == "null" else "bool")
        if not self._accept("("):
            return Name(start=token.start, end=token.end, name=token.text)
        arguments, end = self._sequence(")")
        if token.text == "has":
            return _presence_test(token, arguments, end)
        return _call(token, arguments, token.start, end, method=False)

    def _map(self) -> Node:
        start = self._take().start
        entries = []
        while self.next.text != "}":
            key = self.expression()
            self._expect(":")
            entries.append((key, self.expression()))
            if not self._accept(","):
                break
        end = self._expect("}").end
        depth = _above(*(node for entry in entries for node in entry))
        return MapOf(start=start, end=end, depth=depth, entries=tuple(entries))

    def _sequence(self, closing: str) -> tuple[tuple[Node, ...], int]:
        """Expressions up to `closing`, and where that ends. A list, unlike a call, may have a comma before it."""
        nodes: list[Node] = []
        while self.next.text != closing or (nodes and closing == ")"):
            nodes.append(self.expression())
            if not self._accept(","):
                break
        return tuple(nodes), self._expect(closing).end

    def _take(self) -> Token:
        token = self.next
        self._position += 1
        return token

    def _accept(self, text: str) -> bool:
        if self.next.text != text:
            return False
        self._position += 1
        return True

    def _expect(self, text: str) -> Token:
        if self.next.text != text:
            raise self.unexpected(repr(text))
        return self._take()


def _above(*children: Node) -> int:
    depth = 1 + max((child.depth for child in children), default=0)
    if depth > MAX_DEPTH:
        raise _too_deep()
    return depth


def _too_deep() -> ValueError:
    return ValueError(f"is nested too deeply: no more than {MAX_DEPTH} levels")


def _operation(operator: str, operands: list[Node]) -> Node:
    start, end, depth = operands[0].start, operands[-1].end, _above(*operands)
    if operator in ("&&", "||"):
        return Logic(start=start, end=end, depth=depth, operator=operator, operands=tuple(operands))
    left, right = operands
    return Binary(start=start, end=end, depth=depth, operator=operator, left=left, right=right)


def _call(name: Token, arguments: tuple[Node, ...], start: int, end: int, *, method: bool) -> Node:
    function = Name(start=name.start, end=name.end, name=name.text)
    return Call(start=start, end=end, depth=_above(*arguments), function=function, arguments=arguments, method=method)


def _comprehension(macro: Token, collection: Node, arguments: tuple[Node, ...], end: int) -> Node:
    if len(arguments) not in MACROS[macro.text]:
        wanted = " or ".join(str(count) for count in MACROS[macro.text])
        raise ValueError(f"does not parse: {macro.text}() takes {wanted} arguments, at character {macro.start + 1}")
    variable, *bodies = arguments
    if not isinstance(variable, Name):
        raise ValueError(f"does not parse: the first argument of {macro.text}() is a name, at character {macro.start + 1}")
    return Comprehension(
        start=collection.start,
        end=end,
        depth=_above(collection, *bodies),
        macro=macro.text,
        collection=collection,
        variable=variable.name,
        bodies=tuple(bodies),
    )


def _presence_test(token: Token, arguments: tuple[Node, ...], end: int) -> Node:
    if len(arguments) != 1 or not isinstance(arguments[0], Select) or arguments[0].tested:
        raise ValueError(
            f"does not parse: has() takes a member such as headers.tier, at character {token.start + 1}; "
            f'for a quoted name write "x-tier" in headers'
        )
    return replace(arguments[0], start=token.start, end=end, tested=True)
