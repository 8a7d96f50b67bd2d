"""JSON with gaps: what stays is written once, what changes is filled in for every answer."""

import re
from collections.abc import Iterable
from typing import Any, Final

import orjson

from service.api.rendering.times import FromNow, timestamp

# No name may hold NUL, so nothing that a client sent looks like a gap.
_TEXT: Final = "\0text"
_NUMBER: Final = "\0number"
_GAP: Final = re.compile(r'"\\u0000number"|\\u0000text')
_TIME: Final = "\0"


def gap(value: str | int | float) -> str:
    """What stands in a body where values like this one go."""
    return _TEXT if isinstance(value, str) else _NUMBER


def gapped(body: dict[str, Any]) -> str:
    """JSON to be filled in by `%`; texts that are filled in must need no escaping in JSON."""
    return _GAP.sub("%s", orjson.dumps(body).decode().replace("%", "%%"))


class GappedJson:
    """Made of a body in which gaps stand."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._format = gapped(body)

    def fill(self, values: Iterable[str | int | float]) -> "TimedJson":
        """As many values as there are gaps, in the order in which they stand; a FromNow where a text is."""
        values = tuple(values)
        filled = self._format % tuple([_written(value) for value in values])
        return TimedJson(filled, [value for value in values if isinstance(value, FromNow)])


def _written(value: str | int | float) -> str | int:
    if isinstance(value, FromNow):
        return _TIME
    # As in all other bodies: Python itself would write the zero of 4e-09.
    return orjson.dumps(value).decode() if isinstance(value, float) else value


class TimedJson:
    """True at any moment: the times that depend on it are filled in last."""

    __slots__ = ("_offsets", "_parts", "_whole")

    def __init__(self, text: str, offsets: list[FromNow]) -> None:
        self._offsets = offsets
        self._whole = b"" if offsets else text.encode()
        self._parts = [part for before in text.split(_TIME) for part in (before, "")]

    def at(self, now_ms: int) -> bytes:
        if not self._offsets:
            return self._whole
        self._parts[1:-1:2] = [timestamp(now_ms + offset) for offset in self._offsets]
        return "".join(self._parts).encode()
