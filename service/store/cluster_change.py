"""Committing an admin's change on a cluster, where an entity, what it refers to and the directory live in several slots.

One slot after the other, in an order in which every state between is harmless, while nobody else changes that entity:
1. the entity is still the version that was read;
2. the directory: names that must be unique are claimed, new places in lists are taken, for old ones in the same list;
3. entities that must exist do;
4. the entity is written, with its counters: this is the change;
5. what hangs on it: locators of model configs;
6. the directory: places it no longer has, and the versions that tell workers to read again; before 4 where what is removed
   binds requests of all keys.
What fails before 4 is taken back. What a crash leaves: after 2 a claimed name without an entity, which the next who wants
the name takes over, or a place in a list that is not that of its name; after 4 an old name that nobody else may have, and
workers that learn of new limits of a provider or model with the next such change. The same request once more mends all.
"""

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Final, cast

import orjson
from redis.crc import key_slot

from service.errors import Conflict
from service.store import directory, keys
from service.store.connection import Store
from service.store.failures import store_errors
from service.store.keys import Ref

CLAIM_S: Final = 1.0
"""A claimed name without an entity after this long is what a crash left behind; one in progress takes milliseconds."""

_UNNUMBERED: Final = re.compile(r'"id":-\d+')
"""As in lua/commit.lua: quotes inside JSON texts are escaped, so what looks like the member is the member."""

LOCK_MS: Final = 60_000
"""How long an entity whose change was cut short by a crash cannot be changed: longer than any change takes."""
_TRIES: Final = 500
_PAUSE_S: Final = (0.002, 0.02)
OTHERS_KEEP_CHANGING: Final = "others keep changing this entity: read it again and retry"

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
        changed = next((self._keys[int(check[1]) - 1] for check in self._checks if check[0] == "version"), None)
        if changed is None:
            return await self._run()
        lock, holder = keys.lock(changed), token_hex(8)
        try:
            await self._acquire(lock, holder)
            return await self._run()
        finally:
            # After LOCK_MS it may be another's, who needs it still. It may be ours though nobody told us so.
            await self._store.scripts.run("unlock", [lock], [holder])

    async def _acquire(self, lock: str, holder: str) -> None:
        for _ in range(_TRIES):
            with store_errors("beginning a change"):
                if await self._store.redis.set(lock, holder, nx=True, px=LOCK_MS):
                    return
            await asyncio.sleep(random.uniform(*_PAUSE_S))
        raise Conflict(OTHERS_KEEP_CHANGING)

    async def _run(self) -> int | None:
        for place, check in enumerate(self._checks):
            if check[0] == "version" and await self._commit([place], []) is not None:
                return place
        in_directory = [place for place, check in enumerate(self._checks) if self._slot(check) == self._directory]
        claims, moves, rest = self._steps_in_directory(in_directory)
        failed = await self._claim(in_directory, claims + moves)
        if failed is not None:
            return failed
        await self._number_entries()
        if self._removes_what_is_shared():
            await self._commit([], rest)
            rest = []
        failed = await self._write_entities(set(in_directory))
        if failed is not None:
            back = [["ZREM", key, *members[1::2]] for _, key, *members in claims]
            back += [["ZADD", key, *(text for member in members for text in ("0", member))] for _, key, *members in moves]
            await self._commit([], back)
            return failed
        await self._commit([], rest)
        return None

    def _steps_in_directory(self, checks: Sequence[int]) -> tuple[list[Step], list[Step], list[Step]]:
        """New places; old places in lists that get a new one with it, so that no list has the entity twice; the rest.

        The old of two names stays until the change is made: nobody else may have it before.
        """
        named = {self._checks[place][1] for place in checks}
        writes = self._writes_of(lambda write: self._slot(write) == self._directory)
        claims = [write for write in writes if write[0] == "ZADD"]
        listed = {write[1] for write in claims} - named
        moves = [write for write in writes if write[0] == "ZREM" and write[1] in listed]
        return claims, moves, [write for write in writes if write not in claims and write not in moves]

    def _removes_what_is_shared(self) -> bool:
        """What workers learn of by a version must be off the lists, and that be raised, before it is gone: whoever repeats the
        removal then still finds it.
        """
        changed = {check[1] for check in self._checks if check[0] == "version"}
        raises = any(write[0] == "raise" for write in self._writes)
        return raises and any(write[0] == "UNLINK" and write[1] in changed for write in self._writes)

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
            found = await self._store.redis.zrangebylex(index, b"[" + start, b"(" + start + b"\xff")
            return [
                member
                for member in cast("list[bytes]", found)
                if not await self._store.redis.exists(keys.config(Ref(kind, directory.id_of(member))))
            ]

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
