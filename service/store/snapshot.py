"""Reading entities with their counters and what they refer to, in one round trip."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, TypeVar, cast

import orjson

from service.entities import (
    Counters,
    Customer,
    Kind,
    ModelConfig,
    PricingOverride,
    Provider,
    RoutingRule,
    Team,
    VirtualKey,
)
from service.errors import StoreUnavailable
from service.store import keys
from service.store.codec import decode_counters, decode_entity, pairs
from service.store.connection import Store
from service.store.keys import Ref

E = TypeVar("E", covariant=True)

HELD_BY: Final = "held_by"
"""Field of the locator of a key-scoped model config: the id of the virtual key that holds it."""

_FOLLOWED: Final = {"team_id": Kind.TEAM, "customer_id": Kind.CUSTOMER, HELD_BY: Kind.VIRTUAL_KEY}
_FOLLOWED_ARGS: Final = tuple(
    text for field, kind in _FOLLOWED.items() for text in (field, keys.template(kind, "config"), keys.template(kind, "usage"))
)
_COME_ALONG: Final = (Kind.TEAM, Kind.CUSTOMER)
"""With every key that is theirs: what is configured alike is decoded once."""
_CHUNK: Final = 200
"""Entities per call: a few milliseconds of Redis, so that a long list does not hold up decisions."""


class Stored(NamedTuple, Generic[E]):
    """An entity at one version, with its counters at the moment of reading, if they were read."""

    entity: E
    version: int
    counters: Counters


class Snapshot:
    """What one read found. An id that names nothing (never there, or deleted since) gives None."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self._found: dict[str, tuple[dict[bytes, bytes], dict[bytes, bytes]]] = {}
        self._decoded: dict[str, Stored[Any]] = {}

    def add(self, config_key: str, config: dict[bytes, bytes], usage: dict[bytes, bytes]) -> None:
        self._found[config_key] = (config, usage)

    def update(self, other: "Snapshot") -> None:
        self._found.update(other._found)

    def named(self) -> list[Ref]:
        """What the entities that were found refer to."""
        return list(
            dict.fromkeys(
                Ref(kind, orjson.loads(config[field.encode()]))
                for config, _ in self._found.values()
                for field, kind in _FOLLOWED.items()
                if field.encode() in config
            )
        )

    def has(self, ref: Ref) -> bool:
        return keys.config(ref) in self._found

    def virtual_key(self, entity_id: str | None) -> Stored[VirtualKey] | None:
        return cast("Stored[VirtualKey] | None", self._get(Kind.VIRTUAL_KEY, entity_id))

    def team(self, entity_id: str | None) -> Stored[Team] | None:
        return cast("Stored[Team] | None", self._get(Kind.TEAM, entity_id))

    def customer(self, entity_id: str | None) -> Stored[Customer] | None:
        return cast("Stored[Customer] | None", self._get(Kind.CUSTOMER, entity_id))

    def provider(self, entity_id: str | None) -> Stored[Provider] | None:
        return cast("Stored[Provider] | None", self._get(Kind.PROVIDER, entity_id))

    def routing_rule(self, entity_id: str | None) -> Stored[RoutingRule] | None:
        return cast("Stored[RoutingRule] | None", self._get(Kind.ROUTING_RULE, entity_id))

    def pricing_override(self, entity_id: str | None) -> Stored[PricingOverride] | None:
        return cast("Stored[PricingOverride] | None", self._get(Kind.PRICING_OVERRIDE, entity_id))

    def model_config(self, entity_id: str) -> Stored[ModelConfig] | None:
        """A model config with its counters, wherever it lives: those of a key are held by the key."""
        key = self.key_of_model_config(entity_id)
        if key is None:
            return cast("Stored[ModelConfig] | None", self._get(Kind.MODEL_CONFIG, entity_id))
        for config in key.entity.model_configs:
            if config.id == entity_id:
                return Stored(config, key.version, key.counters)
        return None

    def key_of_model_config(self, model_config_id: str) -> Stored[VirtualKey] | None:
        """The virtual key that holds this model config; None for a global one."""
        found = self._found.get(keys.config(Ref(Kind.MODEL_CONFIG, model_config_id)))
        held_by = found[0].get(HELD_BY.encode()) if found else None
        return self.virtual_key(orjson.loads(held_by)) if held_by else None

    def _get(self, kind: Kind, entity_id: str | None) -> Stored[Any] | None:
        if entity_id is None:
            return None
        key = keys.config(Ref(kind, entity_id))
        stored = self._decoded.get(key)
        if stored is None and (found := self._found.get(key)) is not None:
            config, usage = found
            if HELD_BY.encode() in config:
                return None
            entity = _decoded(kind, *config.items()) if kind in _COME_ALONG else decode_entity(kind, config)
            stored = self._decoded[key] = Stored(entity, int(config[b"version"]), decode_counters(usage))
        return stored


@lru_cache(maxsize=4096)
def _decoded(kind: Kind, *config: tuple[bytes, bytes]) -> Any:
    return decode_entity(kind, dict(config))


async def read(store: Store, refs: Iterable[Ref], *, counters: bool = True) -> Snapshot:
    """The named entities, their teams and customers, and the keys of model configs. With no refs it still tells the time.

    `counters` False: as configured, with nothing counted. Those of a busy owner are many fields, one for each moment at which
    something that is held runs out.
    """
    wanted = list(dict.fromkeys(refs))
    snapshot = await _read_chunk(store, wanted[:_CHUNK], counters)
    for start in range(_CHUNK, len(wanted), _CHUNK):
        snapshot.update(await _read_chunk(store, wanted[start : start + _CHUNK], counters))
    return snapshot


async def _read_chunk(store: Store, refs: Sequence[Ref], counters: bool) -> Snapshot:
    """On a cluster what an entity refers to is read in a further round: a script follows no id to another slot."""
    snapshot, waiting, seen = Snapshot(0), list(refs), set(refs)
    followed = () if store.clustered else _FOLLOWED_ARGS
    while True:
        groups = store.by_slot(waiting, keys.config)
        args = [store.now_ms, str(int(counters)), *followed]
        calls = [(_keys_of(group), args) for group in groups]
        for reply in await store.scripts.run_each("read_entities", calls or [((), args)]):
            if isinstance(reply, StoreUnavailable):
                raise reply
            snapshot.now_ms, *found = reply
            for config_key, config, usage in found:
                snapshot.add(config_key.decode(), pairs(config), pairs(usage))
        waiting = [ref for ref in snapshot.named() if ref not in seen] if store.clustered else []
        if not waiting:
            return snapshot
        seen.update(waiting)


def _keys_of(refs: Sequence[Ref]) -> list[str]:
    return [key for ref in refs for key in (keys.config(ref), keys.usage(ref))]
