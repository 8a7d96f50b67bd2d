"""explain: what reserve would answer now, and what came of every check on the way there. Changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from service.errors import InvalidRequest, KeepsChanging
from service.models.enforcement import ReserveRequest
from service.quota.charging import Estimates, own_estimate
from service.quota.decision import (
    ALLOW,
    KEY_EXPIRED,
    Estimate,
    Reading,
    Verdict,
    blocked,
    describe_usage,
    read_limits,
    refused,
    sooner,
)
from service.quota.enforcer import ATTEMPTS, Enforcer, find_holder
from service.quota.reserve import priced_routes
from service.quota.routes import Route, find_routes
from service.quota.rule_routing import Routed, RouteFacts, avoid_also, route_request, usable_keys, without_rules
from service.quota.shared import Shared
from service.reservation import Blocked, Explain, Explained, Granted, Plan, Refused, Stale


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One step of the order of checks in docs/limits.md. Limits are judged even where an earlier step has refused."""

    name: str
    passed: bool
    reason: str
    limit_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """`verdict` None: the request would go, taking `granted`. `plan` None: not even the key is known.

    `route` None: there is no rule in scope.
    """

    verdict: Verdict | None
    granted: Granted | None
    plan: Plan | None
    route: RouteFacts | None
    estimate: Estimate
    fallbacks: tuple[str, ...]
    readings: tuple[Reading, ...]
    checks: tuple[Check, ...]

    @property
    def decision(self) -> str:
        return ALLOW if self.verdict is None else self.verdict.decision

    @property
    def key_ids(self) -> tuple[str, ...]:
        return usable_keys(self.plan, self.route)


async def explain(enforcer: Enforcer, request: ReserveRequest, key_value: str | None, request_id: str) -> Explanation:
    """Goes the way of `_reserve` in reserve.py, step by step, and takes nothing: whoever changes one changes the other. It is
    written twice, as calls of what both had in common would be paid by every reserve.
    """
    avoided: frozenset[str] = frozenset()
    refusal: Explanation | None = None
    attempts = 0
    shared: Shared | None = None
    while attempts < ATTEMPTS:
        holder = await find_holder(enforcer, key_value)
        if isinstance(holder, Verdict):
            return _without_key(holder, request)
        shared = shared or await enforcer.plans.shared()
        routed = without_rules(enforcer, shared, request) or await route_request(
            enforcer, shared, holder, request, request_id, avoided=avoided, explained=True
        )
        if refusal is not None and routed.aim.provider in avoided:
            return refusal
        estimates = Estimates(request, shared.prices, routed.pinned_key_id, routed.aim.provider)
        routes = await find_routes(enforcer, holder, shared.limits, routed, request_id, estimates)
        if not enforcer.admits_unpriced:
            try:
                routes = await priced_routes(enforcer, shared, routes, estimates)
            except InvalidRequest:
                # It only has to wait where there is a price.
                if refusal is not None:
                    return refusal
                raise
        explanation = await _ask(enforcer, routes, routed, estimates)
        if explanation is None:
            attempts += 1
            shared = await enforcer.plans.shared_after(shared)
            continue
        if explanation.verdict is None:
            return explanation
        refusal = explanation if refusal is None else replace(refusal, verdict=sooner(refusal.verdict, explanation.verdict))
        also_avoided = avoid_also(avoided, routed, explanation.verdict, enforcer.plans.known_providers)
        if also_avoided is None:
            return refusal
        avoided = also_avoided
    if refusal is not None:
        return refusal
    raise KeepsChanging


async def _ask(enforcer: Enforcer, routes: list[Route], routed: Routed, estimates: Estimates) -> Explanation | None:
    """Of the first route. None: what this worker knew was stale, start again."""
    if not routes:
        return None
    plan, fallbacks = routes[0].plan, routes[0].fallbacks
    estimate = estimates.of(plan)
    explained = await enforcer.reservations.explain(
        Explain(plan=plan, tokens=estimate.tokens, cost_nanousd=estimate.cost_nanousd, basis=routed.basis)
    )
    if isinstance(explained, Stale):
        enforcer.plans.forget_holder(plan)
        return None
    return _explanation(routes[0], routed.facts(plan.provider, plan.model, fallbacks), explained, estimate)


def _without_key(verdict: Verdict, request: ReserveRequest) -> Explanation:
    return Explanation(
        verdict=verdict,
        granted=None,
        plan=None,
        route=None,
        estimate=own_estimate(request),
        fallbacks=(),
        readings=(),
        checks=(Check(name="virtual_key", passed=False, reason=verdict.message),),
    )


def _explanation(route: Route, facts: RouteFacts | None, explained: Explained, estimate: Estimate) -> Explanation:
    plan = route.plan
    verdict: Verdict | None = None
    granted: Granted | None = None
    match explained.outcome:
        case Granted() as granted:
            pass
        case Refused() as outcome:
            verdict = refused(plan, outcome, estimate, facts, route.others_free_at_ms)
        case Blocked() as outcome:
            verdict = blocked(plan, outcome, facts)
    return Explanation(
        verdict=verdict,
        granted=granted,
        plan=plan,
        route=facts,
        estimate=estimate,
        fallbacks=route.fallbacks if verdict is None else (),
        readings=read_limits(plan, explained.states),
        checks=tuple(_checks(plan, explained)),
    )


_OF_KEY: Final = ("virtual_key_blocked", "provider_blocked", "model_blocked")
"""Decisions of steps 4 to 6, in order."""

_PASSED: Final = {
    "virtual_key_blocked": ("virtual_key_active", "The virtual key is active"),
    "provider_blocked": ("provider_allowed", "The virtual key may use this provider"),
    "model_blocked": ("model_allowed", "The virtual key may use this model on this provider"),
}


def _checks(plan: Plan, explained: Explained) -> Iterator[Check]:
    if plan.key_id is not None:
        yield Check(name="virtual_key", passed=True, reason="The virtual key is known")
    yield from _checks_of_limits(plan, explained, range(plan.gate))
    if plan.key_id is not None:
        yield from _checks_of_key(plan, explained)
    yield from _checks_of_limits(plan, explained, range(plan.gate, len(plan.limits)))


def _checks_of_key(plan: Plan, explained: Explained) -> Iterator[Check]:
    failed, reason = (plan.blocked.decision, plan.blocked.reason) if plan.blocked is not None else (None, "")
    if plan.has_expired(explained.now_ms):
        failed, reason = "virtual_key_blocked", KEY_EXPIRED
    for decision in _OF_KEY:
        name, good = _PASSED[decision]
        if decision == failed:
            yield Check(name=name, passed=False, reason=reason)
            return
        yield Check(name=name, passed=True, reason=good)


def _checks_of_limits(plan: Plan, explained: Explained, places: range) -> Iterator[Check]:
    by_counter = {id(reading.planned): reading for reading in read_limits(plan, explained.states)}
    for place in places:
        planned = plan.limits[place]
        if planned.limit is None:
            continue
        yield Check(
            name=f"{planned.scope}_{planned.kind}",
            passed=place not in explained.over,
            reason=describe_usage(by_counter[id(planned)]),
            limit_id=planned.limit_id,
        )
