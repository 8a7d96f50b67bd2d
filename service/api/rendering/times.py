"""Times as every body writes them: RFC 3339, UTC, milliseconds, Z."""

from datetime import UTC, datetime
from functools import lru_cache


class FromNow(int):
    """A time told as milliseconds from the moment of the answer, as it is another one in every answer."""


@lru_cache(maxsize=16_384)
def timestamp(at_ms: int) -> str:
    # The same few times (created, last reset) are shown again and again: remembering them is half the cost of a quota read.
    return f"{datetime.fromtimestamp(at_ms // 1000, UTC).isoformat()[:19]}.{at_ms % 1000:03}Z"


@lru_cache(maxsize=16_384)
def timestamp_bytes(at_ms: int) -> bytes:
    """The same for bodies that are filled in."""
    return timestamp(at_ms).encode()
