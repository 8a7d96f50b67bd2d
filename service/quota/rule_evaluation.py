"""A dry run of routing rules: what they would make of a request now, and why."""

from dataclasses import dataclass
from functools import partial

from service.errors import InvalidRequest
from service.models.routing_evaluation import EvaluateRoutingRequest
from service.quota.enforcer import Enforcer, find_holder
from service.quota.plan import Holder
from service.quota.rule_routing import read_usage_of, routed_request_of
from service.routing.select import RoutedRequest, Selection, select
from service.routing.usage import Usage


@dataclass(frozen=True, slots=True)
class RuleEvaluation:
    """`request` as conditions saw it; `usage`: how full the limits are where it asked to go."""

    request: RoutedRequest
    usage: Usage
    rules_in_scope: int
    selection: Selection


async def evaluate_rules(enforcer: Enforcer, request: EvaluateRoutingRequest, request_id: str) -> RuleEvaluation:
    """By the configuration of this moment. Raises InvalidRequest for a virtual key that nobody knows."""
    holder = await _find_holder(enforcer, request)
    shared = await enforcer.plans.latest_shared()
    routed_request = routed_request_of(enforcer, holder, request, request_id)
    candidates = shared.rules.in_scope(routed_request.caller)
    read_usage = partial(read_usage_of, enforcer, holder, shared)
    known_providers = enforcer.plans.known_providers
    selection = await select(candidates, routed_request, read_usage, known_providers=known_providers, explained=True)
    return RuleEvaluation(routed_request, await read_usage(routed_request.aim), len(candidates.rules), selection)


async def _find_holder(enforcer: Enforcer, request: EvaluateRoutingRequest) -> Holder | None:
    if request.virtual_key is not None:
        found = await find_holder(enforcer, request.virtual_key)
        # This worker may know it from before it was deleted.
        holder = await enforcer.plans.latest_holder(found.key.entity.id) if isinstance(found, Holder) else None
        if holder is None:
            raise InvalidRequest("virtual_key is not one that is known", param="virtual_key")
        return holder
    if request.virtual_key_id is None:
        return None
    holder = await enforcer.plans.latest_holder(request.virtual_key_id)
    if holder is None:
        raise InvalidRequest("virtual_key_id is not that of a virtual key", param="virtual_key_id")
    return holder
