"""Regular expressions in the syntax of RE2, searched for in linear time. Must not know where they are used.

The standard `re` backtracks, so one hostile pattern could stop the process; the CEL library compiles a pattern anew each time it
is matched, which takes up to 90 ms. The engine of pydantic's string patterns does neither. Linear is in the size of the pattern
times that of the text: counted repeats within counted repeats make a short pattern a large one, so both are limited here.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

MAX_PATTERN = 1_000
MAX_SIZE = 2_000
"""See size_of."""
MAX_CACHED = 1_024

_SIZE_OF_A_CLASS = 5
_WEIGHT_OF_A_LARGE_CLASS = 85
_TEXT_OF_A_WEIGHT = 16
_is_large = re.compile(r"\\[dDwWpP]").search
"""Of the text of a class: those that Unicode gives hundreds of ranges."""
_ATOMS = re.compile(
    r"(?P<class>\\[dDwWsS]|\\[pP](?:\{[^}]*\}|.)|\.|\[\^?\]?(?:\[:\^?\w+:\]|\[[^\]]*\]|\\.|[^\]\\])*\])"
    r"|(?P<open>\((?:\?(?:P?<\w+>|[a-zA-Z-]*:)?)?)|(?P<close>\))|\{(?P<least>[0-9]+)(?P<range>,(?P<most>[0-9]*))?\}"
    r"|(?P<nothing>[*+?|^$])|(?P<one>\\x\{[^}]*\}|\\.|.)",
    re.DOTALL,
)


class Pattern:
    """A compiled pattern; ValueError says what is wrong with it."""

    __slots__ = ("_validator", "size")

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN:
            raise ValueError(f"a pattern must not be longer than {MAX_PATTERN} characters")
        try:
            self._validator = SchemaValidator(core_schema.str_schema(pattern=text, regex_engine="rust-regex", strict=True))
        except SchemaError as error:
            # Its last line is the reason; the ones before draw the pattern and point into it.
            reason = str(error).rsplit("\n", 1)[-1].strip()
            raise ValueError(reason.removeprefix("SchemaError: ").removeprefix("error: ").rstrip(".")) from error
        self.size = size_of(text)
        if self.size > MAX_SIZE:
            raise ValueError("its repeats multiply to a pattern that would take too long to search for")

    def search(self, text: str) -> bool:
        """Whether the pattern occurs anywhere in `text`."""
        return self._validator.isinstance_python(text)


@lru_cache(maxsize=MAX_CACHED)
def compile_pattern(text: str) -> Pattern:
    return Pattern(text)


def size_of(pattern: str) -> int:
    """About how many steps the search for a pattern takes at each character at worst: characters, with those that are counted
    several times as often as they are. `pattern` compiles.
    """
    return _sum_up(pattern, lambda text: _SIZE_OF_A_CLASS)


def weight_of(pattern: str) -> int:
    """About how many kilobytes it takes compiled: \\w is a class of hundreds of ranges, there as often as it is counted."""
    return _sum_up(pattern, lambda text: _WEIGHT_OF_A_LARGE_CLASS if _is_large(text) else len(text) // _TEXT_OF_A_WEIGHT)


def _sum_up(pattern: str, value_of: Callable[[str], int]) -> int:
    """Of all classes, by `value_of`, and of other characters, 1 each, as often as they are repeated."""
    # Of each group that is open, the whole expression first.
    sizes = [0]
    last = 0
    for atom in _ATOMS.finditer(pattern):
        if atom["open"] is not None:
            sizes.append(0)
            last = 0
        elif atom["least"] is not None:
            times = max(int(atom["least"]) + (atom["range"] is not None), int(atom["most"] or 0), 1)
            sizes[-1] += last * (times - 1)
            last *= times
        elif atom["close"] is not None:
            last = sizes.pop()
            sizes[-1] += last
        elif atom["nothing"] is None:
            last = 1 if atom["class"] is None else value_of(atom["class"])
            sizes[-1] += last
    return sum(sizes)
