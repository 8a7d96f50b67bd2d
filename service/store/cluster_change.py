"""Committing an admin's change on a cluster, where an entity, what it refers to and the directory live in several slots.

One slot after the other, in an order in which every state between is harmless:
1. the directory: names that must be unique are claimed, new places in lists are taken;
2. entities that must exist;
3. the entity, if it is still the version that was read, with its counters: this is the change;
4. what hangs on it: locators of model configs;
5. the directory: places it no longer has, and the versions that tell workers to read again.
What fails before 3 is taken back. What a crash leaves: after 1 a claimed name without an entity, which the next who wants
the name takes over; after 3 an old place in a list, and workers that learn of new limits of a provider or model with the
next such change. The same request once more mends both.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson
from redis.crc import key_slot

from service.store import keys
from service.store.connection import Store
from service.store.keys import Ref
from service.store.scripts import store_errors

CLAIM_S: Final = 1.0
"""A claimed name without an entity after this long is what a crash left behind; one in progress takes milliseconds."""

_UNNUMBERED: Final = re.compile(r'"id":-\d+')
"""As in lua/commit.lua: quotes inside JSON texts are escaped, so what looks like the member is the member."""

Step = list[str]
"""A check or a write of a commit; the key is its second member, as the place in the keys of the change."""


class ClusterCommit:
    """`checks` and `writes` as lua/commit.lua takes them, of any slots. Answers the place of the check that failed, or None."""

    def __init__(self, store: Store, redis_keys: Sequence[str], checks: Sequence[Step], writes: Sequence[Step]) -> None:
        self._store = store
        self._keys = redis_keys
        self._checks = checks
        self._writes = [list(write) for write in writes]
        self._directory = key_slot(keys.versions().encode())

    async def run(self) -> int | None:
        await self._number_entries()
        in_directory = [place for place in range(len(self._checks)) if self._slot(self._checks[place]) == self._directory]
        claims = self._writes_of(lambda write: self._slot(write) == self._directory and write[0] == "ZADD")
        failed = await self._claim(in_directory, claims)
        if failed is not None:
            return failed
        failed = await self._write_entities(set(in_directory))
        if failed is not None:
            await self._commit([], [["ZREM", key, *members[1::2]] for _, key, *members in claims])
            return failed
        rest = self._writes_of(lambda write: self._slot(write) == self._directory and write[0] != "ZADD")
        await self._commit([], rest)
        return None

    async def _claim(self, checks: Sequence[int], claims: Sequence[Step]) -> int | None:
        failed = await self._commit(checks, claims)
        if failed is not None and await self._is_left_behind(self._checks[failed]):
            failed = await self._commit(checks, claims)
        return failed

    async def _write_entities(self, done: set[int]) -> int | None:
        """First the slots that are only asked, then the one whose version is checked, then the others."""
        slots: dict[int, tuple[list[int], list[Step]]] = {}
        for place, check in enumerate(self._checks):
            if place not in done:
                slots.setdefault(self._slot(check), ([], []))[0].append(place)
        for write in self._writes_of(lambda write: self._slot(write) != self._directory):
            slots.setdefault(self._slot(write), ([], []))[1].append(write)
        for checks, writes in sorted(slots.values(), key=lambda steps: (not steps[0], bool(steps[1]))):
            failed = await self._commit(checks, writes)
            if failed is not None:
                return failed
        return None

    async def _number_entries(self) -> None:
        """The sequence is in another slot than the entries that it numbers; of a change that fails numbers are used up."""
        for command, key, *rest in self._writes:
            if command == "number_entries":
                sequence, field = rest
                for write in self._writes:
                    if write[:2] == ["HSET", key] and field in write[2::2]:
                        place = 3 + 2 * write[2::2].index(field)
                        write[place] = await self._numbered(write[place], self._keys[int(sequence) - 1])
        self._writes = self._writes_of(lambda write: write[0] != "number_entries")

    async def _numbered(self, text: str, sequence: str) -> str:
        first, *rest = _UNNUMBERED.split(text)
        with store_errors("numbering"):
            last = int(await self._store.redis.incrby(sequence, len(rest)))
        return first + "".join(f'"id":{last - len(rest) + place}{part}' for place, part in enumerate(rest, start=1))

    async def _is_left_behind(self, check: Step) -> bool:
        """Whether a name is claimed by an entity that does not exist, for longer than creating one takes; then it is freed."""
        kind, key, prefix, *_ = check
        if kind != "unique":
            return False
        index = self._keys[int(key) - 1]
        if not await self._strays(index, prefix):
            return False
        await asyncio.sleep(CLAIM_S)
        strays = await self._strays(index, prefix)
        if strays:
            with store_errors("freeing a name"):
                await self._store.redis.zrem(index, *strays)
        return bool(strays)

    async def _strays(self, index: str, prefix: str) -> list[bytes]:
        kind = keys.kind_of_index(index)
        start = prefix.encode()
        with store_errors("looking for a name"):
            found: Any = await self._store.redis.zrangebylex(index, b"[" + start, b"(" + start + b"\xff")
            strays = []
            for member in found:
                entity_id = member.rpartition(keys.SEPARATOR.encode())[2].decode()
                if not await self._store.redis.exists(keys.config(Ref(kind, entity_id))):
                    strays.append(member)
        return strays

    async def _commit(self, checks: Sequence[int], writes: Sequence[Step]) -> int | None:
        """One script call on one slot."""
        if not checks and not writes:
            return None
        places: dict[str, int] = {}

        def moved(step: Step) -> Step:
            command, place, *rest = step
            return [command, str(places.setdefault(self._keys[int(place) - 1], len(places) + 1)), *rest]

        change = {"checks": [moved(self._checks[place]) for place in checks], "writes": [moved(write) for write in writes]}
        text = orjson.dumps(change)
        word, *failed = await self._store.scripts.run("commit", list(places), [self._store.now_ms, text])
        return None if word == b"committed" else checks[failed[0] - 1]

    def _slot(self, step: Step) -> int:
        return int(key_slot(self._keys[int(step[1]) - 1].encode()))

    def _writes_of(self, wanted: Callable[[Step], bool]) -> list[Step]:
        return [write for write in self._writes if wanted(write)]
