"""settle: charges what a request really used and gives back the rest of what it held."""

from typing import Final

import orjson

from service import metrics
from service.errors import NotFound, StoreUnavailable
from service.models.enforcement import SettleRequest
from service.money import to_nanousd
from service.quota.decision import Verdict
from service.quota.enforcer import ATTEMPTS, KEEPS_CHANGING, Enforcer, find_holder
from service.quota.names import split_model
from service.reservation import Plan, Settle, Settled, Stale, Unknown

NO_RESERVATION: Final = (
    "there is no such reservation (any more); sent with provider, model and virtual key, too, usage is charged all the same"
)


async def settle(enforcer: Enforcer, request: SettleRequest, key_value: str | None) -> Settled | Verdict:
    """Raises NotFound for an id nobody reserved, unless the request says whom to charge; then only the key may be refused."""
    outcome = await enforcer.reservations.settle(_call(request, None))
    if isinstance(outcome, Settled):
        _count(outcome, request, "commit")
        return outcome
    provider, model = split_model(request.provider, request.model, enforcer.plans.known_providers)
    if provider is None or model is None or (key_value is None and enforcer.require_key):
        metrics.uncharged("unknown_reservation").inc()
        raise NotFound(NO_RESERVATION, param="reservation_id")
    for _ in range(ATTEMPTS):
        holder = await find_holder(enforcer, key_value)
        if isinstance(holder, Verdict):
            return holder
        plan = await enforcer.plans.plan(holder, provider, model)
        match await enforcer.reservations.settle(_call(request, plan)):
            case Settled() as settled:
                _count(settled, request, "unreserved")
                return settled
            case Stale() | Unknown():
                await enforcer.plans.refresh(plan)
    raise StoreUnavailable(KEEPS_CHANGING)


def _count(settled: Settled, request: SettleRequest, outcome: str) -> None:
    metrics.settlements("duplicate" if settled.replayed else outcome).inc()
    if request.cost is None and not settled.replayed:
        metrics.uncharged("unpriced").inc()


def _call(request: SettleRequest, plan: Plan | None) -> Settle:
    cost = request.cost
    return Settle(
        request_id=request.reservation_id,
        tokens=request.total_tokens,
        cost_nanousd=to_nanousd(cost) if cost is not None else 0,
        success=request.status != "failed",
        detail=orjson.dumps(cost is not None),
        plan=plan,
    )
