"""Counters as scripts answer them: four integers of 8 bytes a limit, as lua/includes/pack_counters.lua writes them. Hot."""

from collections.abc import Iterable
from itertools import chain
from struct import Struct, pack
from typing import Final

from service.reservation import LimitState

_STATE: Final = Struct("<4q")


def unpack_states(packed: bytes) -> tuple[LimitState, ...]:
    return tuple(map(LimitState._make, _STATE.iter_unpack(packed)))


def pack_states(states: Iterable[LimitState]) -> bytes:
    numbers = list(chain.from_iterable(states))
    return pack(f"<{len(numbers)}q", *numbers)
