"""The ways a request may go: to the provider it names or is routed to, or to one its key chooses, if that is not over a limit."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from service.names import names_of_model
from service.quota.charging import Estimates
from service.quota.choice import candidates, ranked_fallbacks
from service.quota.decision import earliest
from service.quota.enforcer import Enforcer
from service.quota.plan import Holder, SharedLimits
from service.quota.rule_routing import Routed
from service.reservation import Explain, Plan, Refused, Stale
from service.routing.select import Aim


class Route(NamedTuple):
    """`own` are the places in the plan of limits that bind this choice of provider only: where they refuse, another may do.

    `fallbacks` is what the gateway may try when the provider itself fails: what the key may use and no limit of its own refuses.
    `others_free_at_ms`: where no choice is open, when the first of the others will be; None: never, or there are none.
    """

    plan: Plan
    own: frozenset[int] = frozenset()
    fallbacks: tuple[str, ...] = ()
    others_free_at_ms: int | None = None


def known_routes(
    enforcer: Enforcer, holder: Holder | None, limits: SharedLimits, routed: Routed, estimates: Estimates
) -> list[Route] | None:
    """The one route to a provider that is named, which needs no asking; None: find_routes has to look."""
    provider, model = routed.aim.provider, routed.aim.model
    if (provider is None and holder is not None) or routed.fallbacks:
        return None
    return [Route(enforcer.plans.plan(holder, limits, provider, model, estimates.request_type))]


async def find_routes(
    enforcer: Enforcer, holder: Holder | None, limits: SharedLimits, routed: Routed, request_id: str, estimates: Estimates
) -> list[Route]:
    """Routes in the order in which to try them. Empty: what this worker knew was stale and is forgotten now, ask again.

    One round trip when there is a choice and a provider of it has limits of its own, else none; the same for fallbacks of a rule.
    """
    routes = await _by_weight(enforcer, holder, limits, routed.aim, request_id, estimates)
    if not routes or not routed.fallbacks:
        return routes
    open_fallbacks = await _open_fallbacks(enforcer, holder, limits, routes[0].plan, routed.fallbacks, estimates)
    return [] if open_fallbacks is None else [route._replace(fallbacks=open_fallbacks) for route in routes]


async def _by_weight(
    enforcer: Enforcer, holder: Holder | None, limits: SharedLimits, aim: Aim, request_id: str, estimates: Estimates
) -> list[Route]:
    provider, model = aim.provider, aim.model
    if provider is not None or holder is None:
        return [Route(enforcer.plans.plan(holder, limits, provider, model, estimates.request_type))]
    drawn = candidates(holder.key.entity, names_of_model(model, enforcer.plans.known_providers), request_id)
    if len(drawn) < 2:
        only = drawn[0].provider if drawn else None
        return [Route(enforcer.plans.plan(holder, limits, only, model, estimates.request_type))]
    plans = [enforcer.plans.plan(holder, limits, config.provider, model, estimates.request_type) for config in drawn]
    priced = [place for place, plan in enumerate(plans) if _has_price(enforcer, plan, estimates)]
    if priced:
        # The others would be refused for want of a price: where these only have to wait, that is what to say.
        drawn, plans = [drawn[place] for place in priced], [plans[place] for place in priced]
    own = _own_limits(plans)
    refusals = await _own_refusals(enforcer, plans, own, estimates)
    if refusals is None:
        return []
    usable = [place for place, refusal in enumerate(refusals) if refusal is None]
    if not usable:
        # The one drawn first says why.
        frees_at_ms = [refusal.retry_at_ms for refusal in refusals[1:] if refusal is not None]
        return [Route(plans[0], own[0], others_free_at_ms=earliest(*frees_at_ms))]
    return [
        Route(plans[place], own[place], tuple(ranked_fallbacks((drawn[other] for other in usable if other != place), model)))
        for place in usable
    ]


def _has_price(enforcer: Enforcer, plan: Plan, estimates: Estimates) -> bool:
    """Or needs none: the operator may let go what nobody has a price for."""
    return enforcer.admits_unpriced or estimates.is_priced(plan)


async def _open_fallbacks(
    enforcer: Enforcer,
    holder: Holder | None,
    limits: SharedLimits,
    plan: Plan,
    fallbacks: tuple[str, ...],
    estimates: Estimates,
) -> tuple[str, ...] | None:
    """Those that would pass all checks. None: what this worker knew was stale."""
    plans = []
    for fallback in fallbacks:
        provider, _, model = fallback.partition("/")
        plans.append(enforcer.plans.plan(holder, limits, provider, model or None, estimates.request_type))
    refusals = await _own_refusals(enforcer, plans, _own_limits([plan, *plans])[1:], estimates)
    if refusals is None:
        return None
    return tuple(
        fallback
        for fallback, plan, refusal in zip(fallbacks, plans, refusals, strict=True)
        if plan.blocked is None and refusal is None and _has_price(enforcer, plan, estimates)
    )


async def _own_refusals(
    enforcer: Enforcer, plans: Sequence[Plan], own: Sequence[frozenset[int]], estimates: Estimates
) -> list[Refused | None] | None:
    """Of each whether limits of its own refuse it; None when one of them was stale."""
    asked = zip(plans, own, strict=True)
    refusals = await asyncio.gather(*(_own_refusal(enforcer, plan, places, estimates) for plan, places in asked))
    known = [refusal for refusal in refusals if not isinstance(refusal, Stale)]
    return known if len(known) == len(refusals) else None


def _own_limits(plans: Sequence[Plan]) -> list[frozenset[int]]:
    """Places of the limits that not all of these plans have."""
    counters = [
        {(limit.limit_id, limit.kind): place for place, limit in enumerate(plan.limits) if limit.limit is not None}
        for plan in plans
    ]
    shared = set(counters[0]).intersection(*counters)
    return [frozenset(place for counter, place in of_plan.items() if counter not in shared) for of_plan in counters]


async def _own_refusal(enforcer: Enforcer, plan: Plan, own: frozenset[int], estimates: Estimates) -> Refused | Stale | None:
    if not own:
        return None
    estimate = estimates.of(plan)
    explained = await enforcer.reservations.explain(
        Explain(plan=plan, tokens=estimate.tokens, cost_nanousd=estimate.cost_nanousd)
    )
    if isinstance(explained, Stale):
        enforcer.plans.forget_holder(plan)
        return explained
    outcome = explained.outcome
    # Of all that would refuse: what is judged first may bind the others, too, and be open again long before this one's own.
    return outcome if isinstance(outcome, Refused) and not own.isdisjoint(outcome.over) else None
