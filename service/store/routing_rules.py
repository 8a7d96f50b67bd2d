"""Reading all routing rules."""

from service.entities import Kind, RoutingRule
from service.store import directory, keys
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import read


async def read_rules(store: Store) -> tuple[RoutingRule, ...]:
    """In order of evaluation within each scope: smaller priorities first, among equals the newest."""
    listed = directory.scan(store, keys.index(Kind.ROUTING_RULE, "priority"))
    refs = [Ref(Kind.ROUTING_RULE, rule_id) async for _, rule_id in listed]
    if not refs:
        return ()
    snapshot = await read(store, refs)
    rules = [rule.entity for ref in refs if (rule := snapshot.routing_rule(ref.id)) is not None]
    # By what was read of them: one that moved since they were listed is as it is now, and so is its place.
    return tuple(sorted(rules, key=lambda rule: (rule.priority, -rule.created_at_ms, rule.id)))
