"""Routing rules made ready: grouped by scope in order of evaluation, each condition compiled once."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
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

    @property
    def variables(self) -> frozenset[str]:
        return frozenset() if isinstance(self.condition, Match) else self.condition.variables

    def evaluate(self, environment: Environment) -> Match:
        return self.condition if isinstance(self.condition, Match) else self.condition.evaluate(environment)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Rules in order of evaluation, and all variables that their conditions refer to."""

    rules: tuple[PreparedRule, ...] = ()
    variables: frozenset[str] = frozenset()


NO_CANDIDATES: Final = Candidates()


class Rules:
    """All enabled rules of one version. A scope is compiled when it is first asked for: most workers see few of many."""

    def __init__(self, rules: Iterable[RoutingRule], known: "Rules | None" = None) -> None:
        """`rules` in order of evaluation within their scopes. `known`: an older version; what stayed is not compiled again."""
        self._stored: dict[tuple[str, str], list[RoutingRule]] = {}
        for rule in rules:
            if rule.enabled:
                self._stored.setdefault((rule.scope, rule.scope_id or ""), []).append(rule)
        self._prepared: dict[tuple[str, str], Candidates] = {}
        of_known = known._prepared.values() if known is not None else ()
        self._known = {prepared.rule.id: prepared for scope in of_known for prepared in scope.rules}

    def in_scope(self, caller: Caller) -> Candidates:
        """Those of the key, its team, its customer, and all requests, in this order."""
        scopes = (
            ("virtual_key", caller.virtual_key_id),
            ("team", caller.team_id),
            ("customer", caller.customer_id),
            ("global", ""),
        )
        found = [self._of(place) for place in scopes if place in self._stored]
        if len(found) < 2:
            return found[0] if found else NO_CANDIDATES
        return Candidates(
            tuple(chain.from_iterable(candidates.rules for candidates in found)),
            frozenset().union(*(candidates.variables for candidates in found)),
        )

    def _of(self, place: tuple[str, str]) -> Candidates:
        prepared = self._prepared.get(place)
        if prepared is None:
            rules = tuple(self._prepare(rule) for rule in self._stored[place])
            prepared = Candidates(rules, frozenset().union(*(rule.variables for rule in rules)))
            self._prepared[place] = prepared
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
