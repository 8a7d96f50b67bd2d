"""Routing rules exactly as they are stored."""

from typing import Any

from service.api.rendering.times import timestamp
from service.entities import RoutingRule, RoutingTarget


def routing_rule_body(stored: RoutingRule) -> dict[str, Any]:
    return {
        "id": stored.id,
        "name": stored.name,
        "description": stored.description,
        "enabled": stored.enabled,
        "cel_expression": stored.cel_expression,
        "targets": [_target(target) for target in stored.targets],
        "fallbacks": stored.fallbacks,
        "scope": stored.scope,
        "scope_id": stored.scope_id,
        "priority": stored.priority,
        "query": stored.query,
        "chain_rule": stored.chain_rule,
        "config_hash": "",
        "created_at": timestamp(stored.created_at_ms),
        "updated_at": timestamp(stored.updated_at_ms),
    }


def _target(target: RoutingTarget) -> dict[str, Any]:
    shown: dict[str, Any] = {"provider": target.provider, "model": target.model, "key_id": target.key_id}
    return {member: value for member, value in shown.items() if value} | {"weight": target.weight}
