"""Integers as scripts take and answer them: 8 bytes each, little endian, as `struct` of Lua in Redis packs them. Hot."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from struct import Struct

from service.entities import Counter
from service.reservation import LimitStates


def pack_integers(*numbers: int) -> bytes:
    return _format(len(numbers)).pack(*numbers)


@lru_cache(maxsize=1024)
def _format(count: int) -> Struct:
    return Struct(f"<{count}q")


def unpack_integers(packed: bytes) -> tuple[int, ...]:
    return _format(len(packed) // 8).unpack(packed)


def unpack_states(packed: bytes) -> LimitStates:
    """Counters as lua/includes/pack_counters.lua writes them: three integers a limit."""
    return LimitStates(unpack_integers(packed))


def pack_states(states: Iterable[Counter]) -> bytes:
    return pack_integers(*chain.from_iterable(states))
