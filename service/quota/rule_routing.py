"""Where routing rules send a request before its limits are asked."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

from service.errors import KeepsChanging
from service.models.allow_lists import EVERYTHING
from service.models.enforcement import ReserveRequest
from service.models.request_types import DEFAULT_REQUEST_TYPE
from service.models.routing_evaluation import EvaluateRoutingRequest
from service.names import split_model
from service.quota.allow_lists import narrowed
from service.quota.decision import Verdict
from service.quota.enforcer import ATTEMPTS, Enforcer
from service.quota.plan import Holder
from service.quota.shared import Shared
from service.reservation import PROVIDER_SCOPES, Explain, Plan, Stale
from service.routing.facts import route_facts
from service.routing.rules import NO_RULES, NOBODY, Caller
from service.routing.select import NOTHING_SELECTED, Aim, ReadUsage, RoutedRequest, Selection, aim_at, select
from service.routing.usage import NO_USAGE, Usage, usage_of, watches_usage

RouteFacts = Mapping[str, Any]
"""What an answer says of a route; JSON, because it is kept for replays."""


class Routed(NamedTuple):
    """`aim` is where the request goes: as asked, or as rules say. `basis`: versions of the rules that were asked."""

    aim: Aim
    selection: Selection
    basis: str

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """Those of the rule; where it has some, they replace the ones that the weights of the key give."""
        return self.selection.route.fallbacks if self.selection.route is not None else ()

    @property
    def pinned_key_id(self) -> str | None:
        """The key of the provider that the rule wants."""
        return self.selection.route.key_id if self.selection.route is not None else None

    def facts(self, provider: str | None, model: str | None, fallbacks: tuple[str, ...]) -> RouteFacts | None:
        """None when there is nothing to tell of. `provider`, `model`, `fallbacks`: what became of those that the rules wanted."""
        if not self.selection.trace:
            return None
        return route_facts(self.selection, Aim(provider or None, model or None), fallbacks if self.fallbacks else ())


def without_rules(enforcer: Enforcer, shared: Shared | None, request: ReserveRequest, *, by_rules: bool = True) -> Routed | None:
    """As asked, where no rule has a say; None: they have to be asked."""
    if shared is None:
        return Routed(_asked(enforcer, request), NOTHING_SELECTED, "")
    if by_rules and shared.rules is not NO_RULES:
        return None
    return Routed(_asked(enforcer, request), NOTHING_SELECTED, shared.basis)


async def route_request(
    enforcer: Enforcer,
    shared: Shared | None,
    holder: Holder | None,
    request: ReserveRequest,
    request_id: str,
    *,
    read_usage: ReadUsage | None = None,
    avoided: frozenset[str] = frozenset(),
    explained: bool = False,
) -> Routed:
    """By the rules. No round trip, but for one where evaluation comes to a rule that refers to how full limits are."""
    assert shared is not None, "without_rules has an answer then"
    routed_request = routed_request_of(enforcer, holder, request, request_id)
    candidates = shared.rules.in_scope(routed_request.caller)
    usage = read_usage or partial(read_usage_of, enforcer, holder, shared)
    selection = await select(
        candidates, routed_request, usage, known_providers=enforcer.plans.known_providers, avoided=avoided, explained=explained
    )
    return Routed(selection.aim(routed_request.aim), selection, shared.basis)


def routed_request_of(
    enforcer: Enforcer, holder: Holder | None, request: ReserveRequest | EvaluateRoutingRequest, request_id: str
) -> RoutedRequest:
    """The request as conditions see it."""
    return RoutedRequest(
        request_id=request_id,
        aim=_asked(enforcer, request),
        request_type=request.request_type or DEFAULT_REQUEST_TYPE,
        headers=request.headers or {},
        params=request.params or {},
        caller=caller_of(holder),
    )


def _asked(enforcer: Enforcer, request: ReserveRequest | EvaluateRoutingRequest) -> Aim:
    return Aim(*split_model(request.provider, request.model, enforcer.plans.known_providers))


def caller_of(holder: Holder | None) -> Caller:
    if holder is None:
        return NOBODY
    key, team, customer = holder.key.entity, holder.team, holder.customer
    return Caller(
        virtual_key_id=key.id,
        virtual_key_name=key.name,
        team_id=team.entity.id if team is not None else "",
        team_name=team.entity.name if team is not None else "",
        customer_id=customer.entity.id if customer is not None else "",
        customer_name=customer.entity.name if customer is not None else "",
    )


async def read_usage_of(enforcer: Enforcer, holder: Holder | None, shared: Shared, aim: Aim) -> Usage:
    """One round trip where anything limits this provider and model."""
    for _ in range(ATTEMPTS):
        plan = enforcer.plans.plan(holder, shared.limits, aim.provider, aim.model)
        if not watches_usage(plan):
            return NO_USAGE
        explained = await enforcer.reservations.explain(Explain(plan=plan, tokens=0, cost_nanousd=0))
        if not isinstance(explained, Stale):
            return usage_of(plan, explained.states)
        enforcer.plans.forget_holder(plan)
        shared = await enforcer.plans.shared_after(shared)
        if holder is not None:
            holder = await enforcer.plans.holder(holder.key.entity.id)
    raise KeepsChanging


async def suppose_no_usage(aim: Aim) -> Usage:
    """While the store is away."""
    return NO_USAGE


def avoid_also(
    avoided: frozenset[str], routed: Routed, refusal: Verdict, known_providers: Collection[str]
) -> frozenset[str] | None:
    """Which providers to avoid from now on, where a rule has a target elsewhere; None: nothing is left to try.

    A provider that is over a limit of its own is left out of the draw, be the request over other limits, too: the provider's may
    be the last to be open again.
    """
    provider = routed.aim.provider
    if provider is None or not any(violation.planned.scope in PROVIDER_SCOPES for violation in refusal.violations):
        return None
    more = avoided | {provider}
    drawn = (step for step in routed.selection.trace if step.target is not None)
    aims = (aim_at(target, step.aim, known_providers) for step in drawn for target in step.rule.targets)
    elsewhere = any(aim.provider not in more for aim in aims)
    return more if elsewhere else None


def usable_keys(plan: Plan | None, route: RouteFacts | None) -> tuple[str, ...]:
    """Keys of the provider that may serve: the one that a rule pins, if the virtual key may use it."""
    return narrowed(plan.key_ids if plan is not None else (EVERYTHING,), route["key_id"] if route is not None else None)
