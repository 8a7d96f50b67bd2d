"""JSON with gaps: what stays is written once, what changes is filled in for every answer."""

import re
from collections.abc import Iterable
from typing import Any, Final

import orjson

# No name may hold NUL, so nothing that a client sent looks like a gap.
_TEXT: Final = "\0text"
_NUMBER: Final = "\0number"
_GAP: Final = re.compile(r'"\\u0000number"|\\u0000text')


def gap(value: str | int | float) -> str:
    """What stands in a body where values like this one go."""
    return _TEXT if isinstance(value, str) else _NUMBER


class GappedJson:
    """Made of a body in which gaps stand; texts that are filled in must need no escaping in JSON."""

    def __init__(self, body: dict[str, Any]) -> None:
        self._format = _GAP.sub("%s", orjson.dumps(body).decode().replace("%", "%%"))

    def fill(self, values: Iterable[str | int | float]) -> bytes:
        """As many values as there are gaps, in the order in which they stand."""
        return (self._format % tuple(values)).encode()
