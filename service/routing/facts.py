"""What is told of a route, in answers and in what is kept of them: the members of models/routing_evaluation.py."""

from typing import Any

from service.entities import RoutingTarget
from service.routing.select import Aim, Selection, Step


def route_facts(selection: Selection, aim: Aim, fallbacks: tuple[str, ...]) -> dict[str, Any]:
    """`aim` and `fallbacks` are what became of those that the rules wanted."""
    route = selection.route
    return {
        "rule_id": route.rule_id if route is not None else None,
        "rule_name": route.rule_name if route is not None else None,
        "provider": aim.provider,
        "model": aim.model,
        "key_id": route.key_id if route is not None else None,
        "fallbacks": fallbacks,
        "end": selection.end,
        "trace": [_step_facts(step) for step in selection.trace],
    }


def _step_facts(step: Step) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "rule_id": step.rule.id,
        "rule_name": step.rule.name,
        "scope": step.rule.scope,
        "provider": step.aim.provider,
        "model": step.aim.model,
        "matched": step.matched,
    }
    if step.error is not None:
        facts["error"] = step.error
    if step.target is not None:
        facts["target"] = _target_facts(step.target)
    return facts


def _target_facts(target: RoutingTarget) -> dict[str, Any]:
    members = {"provider": target.provider, "model": target.model, "key_id": target.key_id, "weight": target.weight}
    return {name: value for name, value in members.items() if value is not None}
