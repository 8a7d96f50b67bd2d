"""Rules for routing rules: a condition that compiles, fallbacks to providers that exist, a scope with its id."""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from service.entities import RoutingRule, RoutingTarget
from service.errors import InvalidRequest
from service.models.routing_rules import (
    CreateRoutingRuleRequest,
    RoutingTargetRequest,
    UpdateRoutingRuleRequest,
    scope_id_is_missing,
)
from service.routing.expression import compile_expression


def create(request: CreateRoutingRuleRequest, *, now_ms: int, rule_id: str, providers: frozenset[str]) -> RoutingRule:
    fallbacks = request.fallbacks or ()
    _require_known(fallbacks, providers)
    _require_condition(request.cel_expression)
    return RoutingRule(
        id=rule_id,
        name=request.name,
        description=request.description or "",
        enabled=request.enabled is not False,
        cel_expression=request.cel_expression,
        targets=_targets(request.targets),
        fallbacks=fallbacks,
        scope=request.scope,
        scope_id=_scope_id(request.scope, request.scope_id),
        priority=request.priority,
        query=request.query,
        chain_rule=request.chain_rule is True,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )


def update(stored: RoutingRule, request: UpdateRoutingRuleRequest, *, now_ms: int, providers: frozenset[str]) -> RoutingRule:
    """What is not sent stays, unchecked: a rule outlives the setting that made its provider known."""
    if request.fallbacks is not None:
        _require_known(request.fallbacks, providers)
    if request.cel_expression is not None:
        _require_condition(request.cel_expression)
    scope, scope_id = _resulting_scope(stored, request)
    rule = replace(
        stored,
        name=stored.name if request.name is None else request.name,
        description=stored.description if request.description is None else request.description,
        enabled=stored.enabled if request.enabled is None else request.enabled,
        cel_expression=stored.cel_expression if request.cel_expression is None else request.cel_expression,
        targets=stored.targets if request.targets is None else _targets(request.targets),
        fallbacks=stored.fallbacks if request.fallbacks is None else request.fallbacks,
        scope=scope,
        scope_id=scope_id,
        priority=stored.priority if request.priority is None else request.priority,
        query=stored.query if request.query is None else request.query,
        chain_rule=stored.chain_rule if request.chain_rule is None else request.chain_rule,
    )
    # To Python 1, 1.0 and True are equal, to a client's query they are not.
    unchanged = rule == stored and orjson.dumps(rule.query) == orjson.dumps(stored.query)
    return stored if unchanged else replace(rule, updated_at_ms=now_ms)


def _resulting_scope(stored: RoutingRule, request: UpdateRoutingRuleRequest) -> tuple[str, str | None]:
    scope = request.scope or stored.scope
    # The id of a team is not that of a customer: another scope needs an id of its own.
    kept = stored.scope_id if scope == stored.scope else None
    return scope, _scope_id(scope, kept if request.scope_id is None else request.scope_id)


def _scope_id(scope: str, scope_id: str | None) -> str | None:
    if scope_id_is_missing(scope, scope_id):
        raise InvalidRequest(f"scope_id is required in scope {scope}", param="scope_id")
    return None if scope == "global" else scope_id


def _require_known(fallbacks: Sequence[str], providers: frozenset[str]) -> None:
    for place, fallback in enumerate(fallbacks):
        # Models may have slashes in their names, providers may not.
        if fallback.partition("/")[0] not in providers:
            raise InvalidRequest(
                f"fallbacks[{place}] does not begin with a configured provider: use one that is, or add it with QUOTAD_PROVIDERS",
                param=f"fallbacks[{place}]",
            )


def _require_condition(text: str) -> None:
    try:
        compile_expression(text)
    except ValueError as error:
        raise InvalidRequest(f"cel_expression {error}", param="cel_expression") from error


def _targets(requests: Sequence[RoutingTargetRequest]) -> tuple[RoutingTarget, ...]:
    return tuple(
        RoutingTarget(provider=request.provider, model=request.model, key_id=request.key_id, weight=request.weight)
        for request in requests
    )
