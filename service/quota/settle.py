"""settle: charges what a request really used and gives back the rest of what it held."""

from functools import partial
from typing import Final

from service import metrics
from service.errors import KeepsChanging, NotFound
from service.models.enforcement import SettleRequest
from service.money import to_dollars
from service.names import split_model
from service.quota.charging import charge
from service.quota.decision import UNPRICED, Verdict
from service.quota.enforcer import ATTEMPTS, Enforcer, find_holder
from service.quota.shared import Shared
from service.reservation import Plan, Settle, Settled, Stale, Unknown

NO_RESERVATION: Final = (
    "there is no such reservation (any more); sent with provider, model and virtual key, too, usage is charged all the same"
)


async def settle(enforcer: Enforcer, request: SettleRequest, key_value: str | None) -> Settled | Verdict:
    """Raises NotFound for an id nobody reserved, unless the request says whom to charge; then only the key may be refused."""
    shared = await enforcer.plans.shared()
    for _ in range(ATTEMPTS):
        outcome = await enforcer.reservations.settle(_call(enforcer, request, shared, None))
        match outcome:
            case Settled():
                _count(outcome, request, "commit")
                return outcome
            case Stale():
                shared = await enforcer.plans.shared_after(shared)
            case Unknown():
                return await _settle_unreserved(enforcer, request, key_value)
    raise KeepsChanging


async def _settle_unreserved(enforcer: Enforcer, request: SettleRequest, key_value: str | None) -> Settled | Verdict:
    provider, model = split_model(request.provider, request.model, enforcer.plans.known_providers)
    if provider is None or model is None or (key_value is None and enforcer.require_key):
        metrics.uncharged("unknown_reservation").inc()
        raise NotFound(NO_RESERVATION, param="reservation_id")
    shared = await enforcer.plans.shared()
    for _ in range(ATTEMPTS):
        holder = await find_holder(enforcer, key_value)
        if isinstance(holder, Verdict):
            metrics.uncharged("unknown_reservation").inc()
            return holder
        plan = enforcer.plans.plan(holder, shared.limits, provider, model, request.request_type)
        match await enforcer.reservations.settle(_call(enforcer, request, shared, plan)):
            case Settled() as settled:
                _count(settled, request, "unreserved")
                return settled
            case Stale() | Unknown():
                enforcer.plans.forget_holder(plan)
                shared = await enforcer.plans.shared_after(shared)
    raise KeepsChanging


def _count(settled: Settled, request: SettleRequest, outcome: str) -> None:
    if settled.replayed:
        return metrics.settlements("duplicate").inc()
    metrics.settlements(outcome).inc()
    if settled.detail == UNPRICED:
        metrics.uncharged("no_price").inc()
    elif request.tells_nothing and request.status != "failed":
        metrics.uncharged("no_usage").inc()
    metrics.count_usage(
        settled.plan.provider,
        settled.plan.model,
        to_dollars(settled.cost_nanousd),
        request.input_tokens or 0,
        request.output_tokens or 0,
        request.cached_input_tokens or 0,
    )


def _call(enforcer: Enforcer, request: SettleRequest, shared: Shared, plan: Plan | None) -> Settle:
    charge_by = partial(charge, request, shared, enforcer.plans.known_providers)
    return Settle(request.reservation_id, request.total_tokens, request.status != "failed", charge_by, plan)
