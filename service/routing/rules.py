"""Routing rules made ready: grouped by scope in order of evaluation, each condition compiled once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from service.entities import RoutingRule
from service.routing.environment import Environment
from service.routing.expression import Expression, Match, compile_expression
from service.routing.usage import USAGE_VARIABLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose request it is, as conditions see it; "" for what there is none of."""

    virtual_key_id: str = ""
    virtual_key_name: str = ""
    team_id: str = ""
    team_name: str = ""
    customer_id: str = ""
    customer_name: str = ""


NOBODY: Final = Caller()
"""Who sends no virtual key."""


@dataclass(frozen=True, slots=True)
class PreparedRule:
    """`condition` is an outcome where there is nothing to evaluate. `wants_usage`: it refers to how full limits are."""

    rule: RoutingRule
    condition: Expression | Match
    wants_usage: bool = False

    def evaluate(self, environment: Environment) -> Match:
        return self.condition if isinstance(self.condition, Match) else self.condition.evaluate(environment)


class Rules:
    """All enabled rules of one version. A scope is compiled when it is first asked for: most workers see few of many."""

    def __init__(self, rules: Iterable[RoutingRule], known: "Rules | None" = None) -> None:
        """`rules` in order of evaluation within their scopes. `known`: an older version; what stayed is not compiled again."""
        self._stored: dict[tuple[str, str], list[RoutingRule]] = {}
        for rule in rules:
            if rule.enabled:
                self._stored.setdefault((rule.scope, rule.scope_id or ""), []).append(rule)
        self._prepared: dict[tuple[str, str], tuple[PreparedRule, ...]] = {}
        of_known = known._prepared.values() if known is not None else ()
        self._known = {prepared.rule.id: prepared for scope in of_known for prepared in scope}

    def in_scope(self, caller: Caller) -> tuple[PreparedRule, ...]:
        """Those of the key, its team, its customer, and all requests, in this order."""
        if not self._stored:
            return ()
        return (
            *self._of("virtual_key", caller.virtual_key_id),
            *self._of("team", caller.team_id),
            *self._of("customer", caller.customer_id),
            *self._of("global", ""),
        )

    def _of(self, scope: str, scope_id: str) -> tuple[PreparedRule, ...]:
        place = (scope, scope_id)
        stored = self._stored.get(place)
        if stored is None:
            return ()
        prepared = self._prepared.get(place)
        if prepared is None:
            prepared = self._prepared[place] = tuple(self._prepare(rule) for rule in stored)
        return prepared

    def _prepare(self, rule: RoutingRule) -> PreparedRule:
        known = self._known.get(rule.id)
        return known if known is not None and known.rule == rule else _prepare(rule)


NO_RULES: Final = Rules(())


def _prepare(rule: RoutingRule) -> PreparedRule:
    """A rule that cannot be used, because an older quotad stored it, is passed over like one whose condition fails."""
    if not rule.targets:
        return PreparedRule(rule, Match(False, "has no targets"))
    try:
        expression = compile_expression(rule.cel_expression)
    except ValueError as error:
        return PreparedRule(rule, Match(False, str(error)))
    return PreparedRule(rule, expression, wants_usage=not USAGE_VARIABLES.isdisjoint(expression.variables))
