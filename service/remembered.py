"""Remembers what was made of an object, for as long as that very object is there."""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Final, TypeVar
from weakref import ref

LONGEST_REMEMBERED: Final = 256
"""Of a text that anybody may send: what follows from a longer one is found anew each time, so that nobody fills memory."""

Subject = TypeVar("Subject")
Made = TypeVar("Made")


def remembered(largest: int = sys.maxsize) -> Callable[[Callable[[Subject], Made]], Callable[[Subject], Made]]:
    """Like functools.lru_cache, by identity: no hash of a large value, no comparison, and no subject is kept for its sake.

    What is made must not hold the subject, or neither would ever go. Full, it forgets all and begins anew.
    """

    def decorate(make: Callable[[Subject], Made]) -> Callable[[Subject], Made]:
        known: dict[int, tuple[Made, ref[Subject]]] = {}

        @wraps(make)
        def recall(subject: Subject) -> Made:
            identity = id(subject)
            found = known.get(identity)
            if found is not None:
                return found[0]
            made = make(subject)
            if len(known) >= largest:
                known.clear()
            # Told when the subject goes, before another object can come by its id.
            known[identity] = made, ref(subject, lambda _: known.pop(identity, None))
            return made

        return recall

    return decorate
