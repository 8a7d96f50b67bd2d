"""The ways a request may go: by the provider it names, or by one its key chooses, leaving out those that are over a limit."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service.quota.choice import candidates, fallbacks
from service.quota.decision import Estimate
from service.quota.enforcer import Enforcer
from service.quota.names import names_of_model
from service.quota.plan import Holder
from service.reservation import Explain, Plan, Refused, Stale


@dataclass(frozen=True, slots=True)
class Route:
    """`own` are the places in the plan of limits that bind this choice of provider only: where they refuse, another may do.

    `fallbacks` is what the gateway may try when the provider itself fails.
    """

    plan: Plan
    own: frozenset[int] = frozenset()
    fallbacks: tuple[str, ...] = ()


async def find_routes(
    enforcer: Enforcer, holder: Holder | None, provider: str | None, model: str | None, request_id: str, estimate: Estimate
) -> list[Route]:
    """Routes in the order in which to try them. Empty: what this worker knew was stale and is forgotten now, ask again.

    One round trip when there is a choice and a provider of it has limits of its own, else none.
    """
    if provider is not None or holder is None:
        return [Route(await enforcer.plans.plan(holder, provider, model))]
    drawn = candidates(holder.key.entity, names_of_model(model, enforcer.plans.known_providers), request_id)
    if len(drawn) < 2:
        return [Route(await enforcer.plans.plan(holder, drawn[0].provider if drawn else None, model))]
    plans = [await enforcer.plans.plan(holder, config.provider, model) for config in drawn]
    own = _own_limits(plans)
    over = await asyncio.gather(*(_is_over(enforcer, plan, places, estimate) for plan, places in zip(plans, own, strict=True)))
    if None in over:
        return []
    # When all of them are over, the one drawn first says why.
    usable = [place for place, is_over in enumerate(over) if not is_over] or [0]
    return [
        Route(plans[place], own[place], tuple(fallbacks((drawn[other] for other in usable if other != place), model)))
        for place in usable
    ]


def _own_limits(plans: Sequence[Plan]) -> list[frozenset[int]]:
    """Places of the limits that not all of these plans have."""
    counters = [
        {(limit.limit_id, limit.kind): place for place, limit in enumerate(plan.limits) if limit.limit is not None}
        for plan in plans
    ]
    shared = set(counters[0]).intersection(*counters)
    return [frozenset(place for counter, place in of_plan.items() if counter not in shared) for of_plan in counters]


async def _is_over(enforcer: Enforcer, plan: Plan, own: frozenset[int], estimate: Estimate) -> bool | None:
    """None when the plan was stale."""
    if not own:
        return False
    explained = await enforcer.reservations.explain(
        Explain(plan=plan, tokens=estimate.tokens, cost_nanousd=estimate.cost_nanousd)
    )
    if isinstance(explained, Stale):
        await enforcer.plans.refresh(plan)
        return None
    return isinstance(explained.outcome, Refused) and not own.isdisjoint(explained.outcome.violations)
