"""Cuts a CEL expression into tokens, each with its place in the text. What they mean together is for syntax.py."""

import re
from dataclasses import dataclass
from enum import StrEnum

BLANKS = " \t\r\n\f"
MAX_SHOWN = 60


class TokenKind(StrEnum):
    NAME = "name"
    FLOAT = "double"
    UINT = "uint"
    INT = "int"
    STRING = "string"
    BYTES = "bytes"
    SYMBOL = "symbol"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    kind: TokenKind
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


_ESCAPE = r"""\\(?:[abfnrtv"'`?\\]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})"""
_QUOTED = "|".join(
    (
        rf'"""(?:[^\\]|{_ESCAPE})*?"""',
        rf"'''(?:[^\\]|{_ESCAPE})*?'''",
        # Three quotes always open a long string: that they could be an empty one and a quote helps no expression to parse.
        rf'"(?!"")(?:[^"\\\n\r]|{_ESCAPE})*"',
        rf"'(?!'')(?:[^'\\\n\r]|{_ESCAPE})*'",
    )
)
_RAW = r'''[rR](?:"""[\s\S]*?"""|\'\'\'[\s\S]*?\'\'\'|"(?!"")[^"\n\r]*"|'(?!'')[^'\n\r]*')'''

_TOKEN = re.compile(
    rf"(?P<ignored>[{BLANKS}]+|//[^\n]*)"
    rf"|(?P<{TokenKind.BYTES}>[bB](?:{_RAW}|{_QUOTED}))"
    rf"|(?P<{TokenKind.STRING}>{_RAW}|{_QUOTED})"
    rf"|(?P<{TokenKind.NAME}>[A-Za-z_][A-Za-z0-9_]*)"
    rf"|(?P<{TokenKind.FLOAT}>[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|\.[0-9]+(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<{TokenKind.UINT}>(?:0x[0-9a-fA-F]+|[0-9]+)[uU])"
    rf"|(?P<{TokenKind.INT}>0x[0-9a-fA-F]+|[0-9]+)"
    rf"|(?P<{TokenKind.SYMBOL}>[=!<>]=|&&|\|\||[-<>!+*/%?:.,()\[\]{{}}])"
)


def tokenise(text: str) -> list[Token]:
    """The tokens of `text`, closed by an END; ValueError at the first character that begins none."""
    tokens = []
    position = 0
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise ValueError(f"does not parse: {_unreadable(text[position])} at character {position + 1}")
        position = found.end()
        kind = found.lastgroup
        if kind is not None and kind != "ignored":
            tokens.append(Token(TokenKind(kind), found.group(), found.start()))
    tokens.append(Token(TokenKind.END, "", len(text)))
    return tokens


def _unreadable(character: str) -> str:
    if character in "\"'":
        return "a string that does not end, or has an unknown escape,"
    return f"there is no use for {character!r}"


_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def text_of(token: Token) -> str:
    """What a string literal stands for."""
    raw = token.text[0] in "rR"
    literal = token.text[1:] if raw else token.text
    quotes = 3 if len(literal) >= 6 and literal[:3] in ('"""', "'''") else 1
    inside = literal[quotes:-quotes]
    return inside if raw else re.sub(_ESCAPE, _unescape, inside)


def _unescape(found: re.Match[str]) -> str:
    escape = found.group()[1:]
    if escape[0] in "xXuU":
        return _character(int(escape[1:], 16))
    if escape[0] in "0123":
        return _character(int(escape, 8))
    return _ESCAPED.get(escape, escape)


def _character(code: int) -> str:
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError(f"does not parse: there is no character U+{code:04X}")
    return chr(code)


def shortened(text: str) -> str:
    """A piece of an expression as shown in an error message."""
    line = " ".join(text.split())
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}..."


def literal_of(text: str) -> str:
    """A string literal that stands for `text`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'
