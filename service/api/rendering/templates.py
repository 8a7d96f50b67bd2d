"""Templates of bodies and headers: what stays is written once, what changes is filled in for every answer. Hot.

A template is kept as its parts, every second of which is a placeholder: filling them in is one assignment and one join, and what
several templates have in common is there once.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from service.api.rendering.times import FromNow, timestamp

# JSON and headers hold no NUL: where a name has one, JSON writes it as an escape.
PLACEHOLDER: Final = b"\0"
_NUMBER: Final = orjson.Fragment(PLACEHOLDER)
_TEXT: Final = orjson.Fragment(b'"%b"' % PLACEHOLDER)


def template_of(text: bytes, placeholder: bytes = PLACEHOLDER) -> tuple[bytes, ...]:
    """What stands around the placeholders, and something empty in place of each."""
    around = text.split(placeholder)
    parts = [b""] * (2 * len(around) - 1)
    parts[::2] = around
    return tuple(parts)


def fill(parts: Sequence[bytes], texts: Sequence[bytes]) -> bytes:
    """ValueError unless there are as many texts as placeholders."""
    filled = list(parts)
    filled[1::2] = texts
    return b"".join(filled)


def placeholder_for(value: str | int | float) -> orjson.Fragment:
    """What stands in a body where values like this one go."""
    return _TEXT if isinstance(value, str) else _NUMBER


def json_template(body: dict[str, Any]) -> tuple[bytes, ...]:
    """Of a body in which placeholders stand; texts that are filled in must need no escaping there."""
    return template_of(orjson.dumps(body))


class JsonTemplate:
    """Made of a body in which placeholders stand."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._parts = [part.decode() for part in json_template(body)]

    def fill(self, values: Iterable[str | int | float]) -> "TimedJson":
        """As many values as there are placeholders, in the order in which they stand; a FromNow where a text is."""
        values = list(values)
        filled = self._parts.copy()
        filled[1::2] = [_written(value) for value in values]
        return TimedJson(filled, [(1 + 2 * place, value) for place, value in enumerate(values) if isinstance(value, FromNow)])


def _written(value: str | int | float) -> str:
    if isinstance(value, str):
        return value
    # As in all other bodies: Python itself would write the zero of 4e-09.
    return orjson.dumps(value).decode() if isinstance(value, float) else str(value)


class TimedJson:
    """True at any moment: the times that depend on it are filled in last. `times`: of which parts."""

    __slots__ = ("_offsets", "_parts", "_whole")

    def __init__(self, parts: Sequence[str], times: Sequence[tuple[int, FromNow]]) -> None:
        self._offsets = [offset for _, offset in times]
        self._parts: list[str] = []
        after = 0
        for place, _ in times:
            self._parts += ("".join(parts[after:place]), "")
            after = place + 1
        self._parts.append("".join(parts[after:]))
        self._whole = b"" if times else self._parts[0].encode()

    def at(self, now_ms: int) -> bytes:
        if not self._offsets:
            return self._whole
        self._parts[1::2] = [timestamp(now_ms + offset) for offset in self._offsets]
        return "".join(self._parts).encode()
