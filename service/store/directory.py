"""Which sorted sets list an entity, and reading them: pages by rank, scans by member, names that must be unique.

Every set has only scores of 0, so it is ordered by its members: what sorts the listing, NUL, the name that a
search looks at, NUL, the id.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, cast

from service.entities import (
    Customer,
    Entity,
    Kind,
    ModelConfig,
    PricingOverride,
    Provider,
    RoutingRule,
    Team,
    VirtualKey,
)
from service.errors import Conflict
from service.store import keys
from service.store.connection import Store
from service.store.failures import store_errors
from service.store.keys import Ref

_CHUNK: Final = 5_000
_TIME_WIDTH: Final = 13
"""Digits of a time in ms, enough until the year 2286."""
_LAST_INTEGER: Final = 2**53


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of one sorted set. `taken` is the refusal when another entity has the same text, None where that is allowed."""

    key: str
    text: str
    id: str
    taken: Conflict | None = None

    @property
    def member(self) -> str:
        return self.text + keys.SEPARATOR + self.id


def entries(entity: Entity) -> list[Entry]:
    """All sorted-set members of one entity."""
    match entity:
        case VirtualKey():
            return _entries_of_virtual_key(entity)
        case Team():
            listed = [_by_age(Kind.TEAM, entity), _named(Kind.TEAM, entity, "team")]
            if entity.customer_id:
                listed.append(Entry(keys.children(Kind.TEAM, Ref(Kind.CUSTOMER, entity.customer_id)), _aged(entity), entity.id))
            return listed
        case Customer():
            return [_by_age(Kind.CUSTOMER, entity), _named(Kind.CUSTOMER, entity, "customer")]
        case Provider():
            return [Entry(keys.index(Kind.PROVIDER, "name"), entity.id, entity.id)]
        case ModelConfig():
            return _entries_of_model_config(entity)
        case RoutingRule():
            return _entries_of_routing_rule(entity)
        case PricingOverride():
            return [Entry(keys.index(Kind.PRICING_OVERRIDE, "created"), _aged(entity), entity.id)]


def _age(created_at_ms: int) -> str:
    return f"{created_at_ms:0{_TIME_WIDTH}}"


def _aged(entity: VirtualKey | Team | Customer | PricingOverride) -> str:
    """Of the same age, the smaller id comes first: a new name does not move an entity in a list."""
    return keys.SEPARATOR.join((_age(entity.created_at_ms), entity.id, entity.name))


def _by_age(kind: Kind, entity: VirtualKey | Team | Customer) -> Entry:
    return Entry(keys.index(kind, "created"), _aged(entity), entity.id)


def _named(kind: Kind, entity: VirtualKey | Team | Customer, noun: str) -> Entry:
    taken = Conflict(f"a {noun} with this name already exists: choose another name", param="name")
    return Entry(keys.index(kind, "name"), entity.name, entity.id, taken)


def _entries_of_virtual_key(key: VirtualKey) -> list[Entry]:
    listed = [
        _by_age(Kind.VIRTUAL_KEY, key),
        _named(Kind.VIRTUAL_KEY, key, "virtual key"),
        Entry(keys.index(Kind.VIRTUAL_KEY, "status"), f"{key.is_active:d}{_aged(key)}", key.id),
    ]
    if key.team_id:
        listed.append(Entry(keys.children(Kind.VIRTUAL_KEY, Ref(Kind.TEAM, key.team_id)), _aged(key), key.id))
    if key.customer_id:
        listed.append(Entry(keys.children(Kind.VIRTUAL_KEY, Ref(Kind.CUSTOMER, key.customer_id)), _aged(key), key.id))
    return listed


def _entries_of_model_config(config: ModelConfig) -> list[Entry]:
    identity = keys.SEPARATOR.join((config.scope, config.scope_id or "", config.model_name, config.provider or ""))
    return [
        Entry(
            keys.index(Kind.MODEL_CONFIG, "created"),
            keys.SEPARATOR.join((_age(config.created_at_ms), config.id, config.model_name)),
            config.id,
        ),
        Entry(
            keys.index(Kind.MODEL_CONFIG, "identity"),
            identity,
            config.id,
            Conflict("a model config for this scope, model and provider already exists: update that one", param="model_name"),
        ),
    ]


def _entries_of_routing_rule(rule: RoutingRule) -> list[Entry]:
    scope = rule.scope + keys.SEPARATOR + (rule.scope_id or "")
    # Smaller priorities first, among equals the newest first.
    rank = f"{rule.priority + _LAST_INTEGER:017}{_LAST_INTEGER - rule.created_at_ms:016}"
    return [
        Entry(keys.index(Kind.ROUTING_RULE, "priority"), rank, rule.id),
        Entry(
            keys.index(Kind.ROUTING_RULE, "name"),
            f"{scope}{keys.SEPARATOR}{rule.name}",
            rule.id,
            Conflict("a routing rule with this name already exists in its scope: choose another name", param="name"),
        ),
        Entry(
            keys.index(Kind.ROUTING_RULE, "rank"),
            f"{scope}{keys.SEPARATOR}{rule.priority}",
            rule.id,
            Conflict("a routing rule with this priority already exists in its scope: choose another priority", param="priority"),
        ),
    ]


def id_of(member: bytes) -> str:
    """Of the entity that this member of a sorted set lists."""
    return member.rpartition(keys.SEPARATOR.encode())[2].decode()


async def count(store: Store, *indexes: str) -> list[int]:
    """How many entries each sorted set has, in one round trip."""
    if not indexes:
        return []
    with store_errors("counting"):
        async with store.redis.pipeline(transaction=False) as pipe:
            for index in indexes:
                pipe.zcard(index)
            return [int(total) for total in await pipe.execute()]


async def members(store: Store, *indexes: str) -> list[list[str]]:
    """Ids of all entries of each sorted set, in one round trip unless there are very many."""
    if not indexes:
        return []
    with store_errors("listing"):
        async with store.redis.pipeline(transaction=False) as pipe:
            for index in indexes:
                pipe.zrangebylex(index, "-", "+", start=0, num=_CHUNK)
            found = cast("list[list[bytes]]", await pipe.execute())
    return [
        [id_of(member) for member in first] if len(first) < _CHUNK else [entity_id async for _, entity_id in scan(store, index)]
        for index, first in zip(indexes, found, strict=True)
    ]


async def page(store: Store, index: str, *, offset: int, limit: int, descending: bool = False) -> tuple[list[str], int]:
    """Ids of one page and the number of all entries; it costs what the page holds, not what the set holds."""
    with store_errors("listing"):
        # No transaction: a Redis that is out of memory refuses those, whatever is in them.
        async with store.redis.pipeline(transaction=False) as pipe:
            pipe.zrange(index, offset, offset + limit - 1, desc=descending)
            pipe.zcard(index)
            listed, total = await pipe.execute()
    return [id_of(member) for member in listed], int(total)


async def scan(store: Store, index: str, *, descending: bool = False) -> AsyncIterator[tuple[str, str]]:
    """(text, id) of every entry in order, read in chunks so that no call holds Redis up.

    What is neither added nor removed meanwhile comes exactly once; so does what only gets another name, in order of age.
    """
    bound = b"+" if descending else b"-"
    last = ""
    while True:
        with store_errors("listing"):
            if descending:
                found = await store.redis.zrevrangebylex(index, bound, b"-", start=0, num=_CHUNK)
            else:
                found = await store.redis.zrangebylex(index, bound, b"+", start=0, num=_CHUNK)
        listed = cast("list[bytes]", found)
        for member in listed:
            text, _, entity_id = member.decode().rpartition(keys.SEPARATOR)
            # The name comes last there: a new one may put the last entry right behind itself.
            if entity_id != last:
                yield text, entity_id
            last = entity_id
        if len(listed) < _CHUNK:
            return
        bound = b"(" + listed[-1]


async def search(store: Store, index: str, wanted: str, *, descending: bool = False) -> list[str]:
    """Ids whose name (the last part of the text) contains `wanted`, letter case aside, in the order of the index."""
    needle = wanted.casefold()
    return [
        entity_id
        async for text, entity_id in scan(store, index, descending=descending)
        if needle in text.rpartition(keys.SEPARATOR)[2].casefold()
    ]
