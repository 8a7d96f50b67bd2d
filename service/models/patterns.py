"""Regular expressions in the syntax of RE2, searched for in linear time. Must not know where they are used.

The standard `re` backtracks, so one hostile pattern could stop the process; the CEL library compiles a pattern anew each time it
is matched, which takes up to 90 ms. The engine of pydantic's string patterns does neither.
"""

from functools import lru_cache

from pydantic_core import SchemaError, SchemaValidator, core_schema

MAX_PATTERN = 1_000
MAX_CACHED = 1_024


class Pattern:
    """A compiled pattern; ValueError says what is wrong with it."""

    __slots__ = ("_validator",)

    def __init__(self, text: str) -> None:
        if len(text) > MAX_PATTERN:
            raise ValueError(f"a pattern must not be longer than {MAX_PATTERN} characters")
        try:
            self._validator = SchemaValidator(core_schema.str_schema(pattern=text, regex_engine="rust-regex", strict=True))
        except SchemaError as error:
            # Its last line is the reason; the ones before draw the pattern and point into it.
            reason = str(error).rsplit("\n", 1)[-1].strip()
            raise ValueError(reason.removeprefix("SchemaError: ").removeprefix("error: ").rstrip(".")) from error

    def search(self, text: str) -> bool:
        """Whether the pattern occurs anywhere in `text`."""
        return self._validator.isinstance_python(text)


@lru_cache(maxsize=MAX_CACHED)
def compile_pattern(text: str) -> Pattern:
    return Pattern(text)
