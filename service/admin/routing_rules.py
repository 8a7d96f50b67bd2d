"""Routing rules: create, update, delete, and finding the ones a list shows."""

from uuid import uuid4

from service.admin.listing import Found, Page, find, narrowed
from service.admin.references import refs, require
from service.entities import Kind, RoutingRule
from service.errors import NotFound
from service.governance import routing_rules as rules
from service.models.routing_rules import CreateRoutingRuleRequest, UpdateRoutingRuleRequest
from service.store import keys
from service.store.change import Change, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot

_SCOPES = {"team": Kind.TEAM, "customer": Kind.CUSTOMER, "virtual_key": Kind.VIRTUAL_KEY}


def not_found(rule_id: str) -> NotFound:
    return NotFound(f"there is no routing rule {rule_id}")


async def create(store: Store, request: CreateRoutingRuleRequest, providers: frozenset[str]) -> str:
    """The id of the new rule."""
    rule_id = str(uuid4())

    def build(snapshot: Snapshot) -> Change:
        rule = rules.create(request, now_ms=snapshot.now_ms, rule_id=rule_id, providers=providers)
        change = Change(snapshot.now_ms)
        _require_scope(change, snapshot, rule)
        change.create(Kind.ROUTING_RULE, rule)
        return change

    await transact(store, _scope_ref(request.scope, request.scope_id), build)
    return rule_id


async def update(store: Store, rule_id: str, request: UpdateRoutingRuleRequest, providers: frozenset[str]) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.routing_rule(rule_id)
        if stored is None:
            raise not_found(rule_id)
        rule = rules.update(stored.entity, request, now_ms=snapshot.now_ms, providers=providers)
        change = Change(snapshot.now_ms)
        if (rule.scope, rule.scope_id) != (stored.entity.scope, stored.entity.scope_id):
            _require_scope(change, snapshot, rule)
        change.replace(Kind.ROUTING_RULE, stored, rule)
        return change

    # Which scope results is known only with the stored rule: the id sent may be of any kind.
    named = [ref for scope in _SCOPES for ref in _scope_ref(scope, request.scope_id)]
    await transact(store, [Ref(Kind.ROUTING_RULE, rule_id), *named], build)


async def delete(store: Store, rule_id: str) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.routing_rule(rule_id)
        if stored is None:
            raise not_found(rule_id)
        change = Change(snapshot.now_ms)
        change.delete(Kind.ROUTING_RULE, stored)
        return change

    await transact(store, [Ref(Kind.ROUTING_RULE, rule_id)], build)


async def find_rules(store: Store, page: Page | None, *, scope: str, scope_id: str, search: str) -> Found:
    """In the order of evaluation. A filter or a search reads all rules: there are few."""
    index = keys.index(Kind.ROUTING_RULE, "priority")
    if not (scope or scope_id or search):
        return await find(store, Kind.ROUTING_RULE, index, page)
    everything = await find(store, Kind.ROUTING_RULE, index, None)
    needle = search.casefold()

    def passes(rule: RoutingRule) -> bool:
        return (
            scope in ("", rule.scope)
            and scope_id in ("", rule.scope_id)
            and (needle in rule.name.casefold() or needle in rule.cel_expression.casefold())
        )

    return narrowed(everything, everything.snapshot.routing_rule, passes, page)


def _scope_ref(scope: str, scope_id: str | None) -> list[Ref]:
    return refs(_SCOPES[scope], scope_id) if scope in _SCOPES else []


def _require_scope(change: Change, snapshot: Snapshot, rule: RoutingRule) -> None:
    if rule.scope in _SCOPES:
        require(change, snapshot, _SCOPES[rule.scope], rule.scope_id, param="scope_id")
