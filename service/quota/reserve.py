"""reserve: may this request go? Takes what it needs from every limit that binds it, or from none."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import orjson

from service.errors import Conflict, StoreUnavailable
from service.models.enforcement import ReserveRequest
from service.money import to_nanousd
from service.quota.choice import candidates
from service.quota.decision import Estimate, Verdict, blocked, refused
from service.quota.enforcer import ATTEMPTS, KEEPS_CHANGING, Enforcer, find_holder, recall_holder
from service.quota.names import names_of_model, split_model
from service.quota.plan import Holder
from service.quota.routes import Route, find_routes
from service.reservation import Blocked, Granted, IdConflict, Plan, Refused, Replayed, Reserve, Stale

OTHER_REQUEST: Final = "this request_id belongs to another request: use a new one, or repeat that request unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The request may go, as `granted` by the limits of `plan`."""

    request_id: str
    plan: Plan
    granted: Granted
    fallbacks: tuple[str, ...]
    priced: bool
    replayed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradedAdmission:
    """The request may go although the store was away and no limit could be asked. `plan`: as far as this worker remembers."""

    request_id: str
    plan: Plan | None
    provider: str
    model: str


async def reserve(
    enforcer: Enforcer, request: ReserveRequest, key_value: str | None, request_id: str
) -> Admission | DegradedAdmission | Verdict:
    """Raises Conflict for an id of another request, StoreUnavailable when the limits could not be asked and have to be."""
    estimate = estimate_of(request)
    provider, model = split_model(request.provider, request.model, enforcer.plans.known_providers)
    try:
        for _ in range(ATTEMPTS):
            holder = await find_holder(enforcer, key_value)
            if isinstance(holder, Verdict):
                return holder
            routes = await find_routes(enforcer, holder, provider, model, request_id, estimate)
            outcome = await _take(enforcer, routes, request, holder, request_id, estimate)
            if outcome is not None:
                return outcome
        raise StoreUnavailable(KEEPS_CHANGING)
    except StoreUnavailable:
        if not enforcer.admits_without_store:
            raise
        return _admit_unasked(enforcer, key_value, provider, model, request_id)


def estimate_of(request: ReserveRequest) -> Estimate:
    cost = request.cost
    return Estimate(request.estimated_tokens, to_nanousd(cost) if cost is not None else 0, priced=cost is not None)


async def _take(
    enforcer: Enforcer, routes: list[Route], request: ReserveRequest, holder: Holder | None, request_id: str, estimate: Estimate
) -> Admission | Verdict | None:
    """The first route that is open, or why the first one is not. None: what this worker knew was stale, start again."""
    fingerprint = _fingerprint(request, holder)
    verdict: Verdict | None = None
    for route in routes:
        plan = route.plan
        outcome = await enforcer.reservations.reserve(
            Reserve(
                plan=plan,
                request_id=request_id,
                fingerprint=fingerprint,
                tokens=estimate.tokens,
                cost_nanousd=estimate.cost_nanousd,
                lease_ms=request.ttl_ms,
                detail=orjson.dumps([estimate.priced, route.fallbacks]),
            )
        )
        match outcome:
            case Granted():
                return Admission(
                    request_id=request_id,
                    plan=plan,
                    granted=outcome,
                    fallbacks=route.fallbacks,
                    priced=estimate.priced,
                    replayed=False,
                )
            case Replayed():
                return _repeat(outcome, request_id)
            case Refused():
                verdict = verdict or refused(plan, outcome, estimate)
                if not route.own.issuperset(outcome.violations):
                    return verdict  # what refused binds the other routes, too
            case Blocked():
                return blocked(plan, outcome)
            case IdConflict():
                raise Conflict(OTHER_REQUEST, param="request_id")
            case Stale():
                await enforcer.plans.refresh(plan)
                return None
    return verdict


def _repeat(replayed: Replayed, request_id: str) -> Admission:
    priced, fallbacks = orjson.loads(replayed.detail)
    return Admission(
        request_id=request_id,
        plan=replayed.plan,
        granted=replayed.first,
        fallbacks=tuple(fallbacks),
        priced=priced,
        replayed=True,
    )


def _fingerprint(request: ReserveRequest, holder: Holder | None) -> bytes:
    """Of the key and the body as understood: the order and spaces of the JSON play no part, nor where key and id were sent."""
    key_id = holder.key.entity.id if holder is not None else ""
    body = request.model_dump_json(exclude={"request_id", "virtual_key"})
    return blake2b(f"{key_id} {body}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _admit_unasked(
    enforcer: Enforcer, key_value: str | None, provider: str | None, model: str | None, request_id: str
) -> DegradedAdmission | Verdict:
    """Open to all but those whom this worker knows to be shut out whatever their limits say."""
    holder = recall_holder(enforcer, key_value) if key_value is not None else None
    if holder is not None and provider is None:
        drawn = candidates(holder.key.entity, names_of_model(model, enforcer.plans.known_providers), request_id)
        provider = drawn[0].provider if drawn else None
    plan = enforcer.plans.recall(holder, provider, model) if holder is not None or key_value is None else None
    if plan is not None and plan.blocked is not None:
        return Verdict(decision=plan.blocked.decision, message=plan.blocked.reason, plan=plan)
    return DegradedAdmission(request_id=request_id, plan=plan, provider=provider or "", model=model or "")
