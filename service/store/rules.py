"""Reading all routing rules, with the version they are of."""

from dataclasses import dataclass

from service.entities import Kind, RoutingRule
from service.store import directory, keys
from service.store.connection import Store
from service.store.keys import Ref
from service.store.scripts import store_errors
from service.store.snapshot import read


@dataclass(frozen=True, slots=True)
class StoredRules:
    """In order of evaluation within each scope. `version` may be older than the rules, never newer."""

    version: int
    rules: tuple[RoutingRule, ...]


async def routing_version(store: Store) -> int:
    """Raised by every change of a routing rule."""
    with store_errors("reading a version"):
        return int(await store.redis.hget(keys.versions(), "routing") or 0)


async def read_rules(store: Store) -> StoredRules:
    version = await routing_version(store)
    listed = directory.scan(store, keys.index(Kind.ROUTING_RULE, "priority"))
    refs = [Ref(Kind.ROUTING_RULE, rule_id) async for _, rule_id in listed]
    if not refs:
        return StoredRules(version, ())
    snapshot = await read(store, refs)
    return StoredRules(version, tuple(rule.entity for ref in refs if (rule := snapshot.routing_rule(ref.id)) is not None))
