"""Writing: an admin's change of entities, their counters and their places in the directory, committed whole or not at all."""

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import Final

import orjson

from service.entities import CounterEdits, Entity, Kind, ModelConfig, VirtualKey
from service.errors import Conflict, ServiceError
from service.store import directory, keys
from service.store.cluster_change import OTHERS_KEEP_CHANGING, ClusterCommit
from service.store.codec import encode_entity
from service.store.connection import Store
from service.store.directory import Entry
from service.store.keys import Ref
from service.store.snapshot import HELD_BY, Snapshot, Stored, read
from service.windows import CarryOver, Window

_ATTEMPTS: Final = 25
_LONGEST_PAUSE_S: Final = 0.02
_MOST_ARGUMENTS: Final = 4_000
"""Of one write; Lua hands no more than some 8,000 values to a command. Even, so that no field is cut off from its value."""
_NO_EDITS: Final = CounterEdits({}, set())
_SHARED: Final = {
    Kind.PROVIDER: "limits",
    Kind.MODEL_CONFIG: "limits",
    Kind.ROUTING_RULE: "routing",
    Kind.PRICING_OVERRIDE: "pricing",
}
"""Kinds that apply to requests of keys that do not name them: workers learn of a change by these versions."""
_KINDS_WITH_COUNTERS: Final = frozenset((Kind.VIRTUAL_KEY, Kind.TEAM, Kind.CUSTOMER, Kind.PROVIDER, Kind.MODEL_CONFIG))


class Change:
    """Checks and writes of one commit. The writes assume what was read; the checks make sure that it still holds."""

    def __init__(self, now_ms: int) -> None:
        # A version never comes back, not even when Redis has lost its last second: workers go by it.
        self._least_version = now_ms
        self.keys: dict[str, int] = {}
        self.checks: list[list[str]] = []
        self.writes: list[list[str]] = []
        self.refusals: list[ServiceError | None] = []
        """What a failed check means, by its place; None: somebody else was faster, read again."""

    def create(self, kind: Kind, entity: Entity, edits: CounterEdits = _NO_EDITS) -> None:
        self._check(None, "version", keys.config(Ref(kind, entity.id)), "")
        self._write_entity(kind, entity, edits, version=1)
        self._list(directory.entries(entity), [])
        self._announce(kind)

    def replace(self, kind: Kind, stored: Stored[Entity], entity: Entity, edits: CounterEdits = _NO_EDITS) -> None:
        config = keys.config(Ref(kind, entity.id))
        self._check(None, "version", config, str(stored.version))
        fields = encode_entity(entity)
        cleared = encode_entity(stored.entity).keys() - fields.keys()
        if cleared:
            self._write("HDEL", config, *sorted(cleared))
        self._write_entity(kind, entity, edits, version=max(stored.version + 1, self._least_version))
        self._list(directory.entries(entity), directory.entries(stored.entity))
        self._announce(kind)

    def delete(self, kind: Kind, stored: Stored[Entity]) -> None:
        ref = Ref(kind, stored.entity.id)
        self._check(None, "version", keys.config(ref), str(stored.version))
        self._write("UNLINK", keys.config(ref))
        self._write("UNLINK", keys.usage(ref))
        self._list([], directory.entries(stored.entity))
        self._announce(kind)

    def create_in_key(self, config: ModelConfig) -> None:
        """Lists a model config that is part of a virtual key, and says where it is."""
        locator = keys.config(Ref(Kind.MODEL_CONFIG, config.id))
        self._write("HSET", locator, "version", "1", HELD_BY, orjson.dumps(config.scope_id).decode())
        self._list(directory.entries(config), [])

    def replace_in_key(self, old: ModelConfig, new: ModelConfig) -> None:
        self._list(directory.entries(new), directory.entries(old))

    def delete_in_key(self, config: ModelConfig) -> None:
        self._write("UNLINK", keys.config(Ref(Kind.MODEL_CONFIG, config.id)))
        self._list([], directory.entries(config))

    def require(self, ref: Ref, otherwise: ServiceError | None = None) -> None:
        """The entity must be there at that moment; with nothing to say otherwise, the change is built anew without it."""
        self._check(otherwise, "exists", keys.config(ref))

    def forget_children(self, parent: Ref, *kinds: Kind) -> None:
        """Drops the lists of what belonged to a parent that goes; what names it reads as detached from now on."""
        for kind in kinds:
            self._write("UNLINK", keys.children(kind, parent))

    def _write_entity(self, kind: Kind, entity: Entity, edits: CounterEdits, *, version: int) -> None:
        ref = Ref(kind, entity.id)
        config_fields = [text for pair in encode_entity(entity).items() for text in pair]
        self._write("HSET", keys.config(ref), "version", str(version), *config_fields)
        if isinstance(entity, VirtualKey):
            self._number_entries(entity)
        if kind not in _KINDS_WITH_COUNTERS:
            return
        if edits.drops:
            self._write("uncount", keys.usage(ref), *map(str, sorted(edits.drops)))
        for slot, edit in edits.writes.items():
            if isinstance(edit, CarryOver):
                self._carry_over(keys.usage(ref), slot, edit)
            if edit.usage is not None or edit.last_reset_ms is not None:
                numbers = ("" if number is None else str(number) for number in (edit.usage, edit.last_reset_ms))
                self._write("count", keys.usage(ref), str(slot), *numbers)
        self._write("HSET", keys.usage(ref), "v", str(version))

    def _number_entries(self, key: VirtualKey) -> None:
        """Numbers are given out in the commit itself: a change that is refused uses up none."""
        for field, entries in (("provider_configs", key.provider_configs), ("mcp_configs", key.mcp_configs)):
            if any(entry.id < 0 for entry in entries):
                sequence = self._key(keys.sequence("config"))
                self._write("number_entries", keys.config(Ref(Kind.VIRTUAL_KEY, key.id)), sequence, field)

    def _carry_over(self, usage: str, slot: int, edit: CarryOver) -> None:
        into = edit.into or Window(length_ms=0, align="")
        self._write("carry_over", usage, str(slot), str(edit.was.length_ms), edit.was.align, str(into.length_ms), into.align)

    def _list(self, new: Iterable[Entry], old: Iterable[Entry]) -> None:
        listed = {(entry.key, entry.member) for entry in old}
        kept = set()
        for entry in new:
            kept.add((entry.key, entry.member))
            if (entry.key, entry.member) in listed:
                continue
            if entry.taken is not None:
                self._check(entry.taken, "unique", entry.key, entry.text + keys.SEPARATOR, entry.id)
            self._write("ZADD", entry.key, "0", entry.member)
        for key, member in sorted(listed - kept):
            self._write("ZREM", key, member)

    def _announce(self, kind: Kind) -> None:
        if kind in _SHARED:
            self._write("raise", keys.versions(), _SHARED[kind])

    def _key(self, key: str) -> str:
        return str(self.keys.setdefault(key, len(self.keys) + 1))

    def _check(self, otherwise: ServiceError | None, kind: str, key: str, *args: str) -> None:
        self.checks.append([kind, self._key(key), *args])
        self.refusals.append(otherwise)

    def _write(self, command: str, key: str, *args: str) -> None:
        for start in range(0, max(len(args), 1), _MOST_ARGUMENTS):
            self.writes.append([command, self._key(key), *args[start : start + _MOST_ARGUMENTS]])


async def commit(store: Store, change: Change) -> bool:
    """True when applied; False when an entity changed since it was read. Raises what a failed check says otherwise."""
    if store.clustered:
        failed = await ClusterCommit(store, list(change.keys), change.checks, change.writes).run()
    else:
        text = orjson.dumps({"checks": change.checks, "writes": change.writes})
        word, *place = await store.scripts.run("commit", list(change.keys), [store.now_ms, text])
        failed = place[0] - 1 if word == b"refused" else None
    if failed is None:
        return True
    refusal = change.refusals[failed]
    if refusal is None:
        return False
    raise refusal


async def transact(store: Store, refs: Iterable[Ref], build: Callable[[Snapshot], Change]) -> None:
    """Reads, builds the change from what was read, commits; starts again when another admin came between.

    `build` must be a pure function of the snapshot: it may run several times.
    """
    wanted = list(refs)
    for _ in range(_ATTEMPTS):
        if await commit(store, build(await read(store, wanted))):
            return
        # Admins who collide once would collide again in step.
        await asyncio.sleep(random.uniform(0, _LONGEST_PAUSE_S))
    raise Conflict(OTHERS_KEEP_CHANGING)
