"""Remembers what was made of an object, for as long as that very object is asked about again."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Subject = TypeVar("Subject")
Made = TypeVar("Made")


def remembered(largest: int) -> Callable[[Callable[[Subject], Made]], Callable[[Subject], Made]]:
    """Like functools.lru_cache, by identity: no hash of a large value, no comparison. Full, it forgets all and begins anew."""

    def decorate(make: Callable[[Subject], Made]) -> Callable[[Subject], Made]:
        # The subject is kept, too: another object must not come by its id.
        known: dict[int, tuple[Subject, Made]] = {}

        @wraps(make)
        def recall(subject: Subject) -> Made:
            found = known.get(id(subject))
            if found is not None:
                return found[1]
            made = make(subject)
            if len(known) >= largest:
                known.clear()
            known[id(subject)] = (subject, made)
            return made

        return recall

    return decorate
