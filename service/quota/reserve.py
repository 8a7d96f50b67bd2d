"""reserve: may this request go? Takes what it needs from every limit that binds it, or from none."""

import logging
import time
from hashlib import blake2b
from operator import itemgetter
from typing import Final, NamedTuple

import orjson

from service.errors import Conflict, InvalidRequest, KeepsChanging, StoreUnavailable
from service.logs import ThrottledLog
from service.models.enforcement import ReserveRequest
from service.names import names_of_model
from service.quota.charging import Estimates, unpriced
from service.quota.choice import candidates
from service.quota.decision import KEY_NOT_FOUND, Verdict, blocked, refused, sooner
from service.quota.enforcer import ATTEMPTS, Enforcer, find_holder, recall_holder
from service.quota.plan import Holder
from service.quota.routes import Route, find_routes, known_routes
from service.quota.rule_routing import (
    Routed,
    RouteFacts,
    avoid_also,
    route_request,
    suppose_no_usage,
    usable_keys,
    without_rules,
)
from service.quota.shared import Shared
from service.reservation import NO_STATES, Blocked, Explain, Granted, IdConflict, Plan, Refused, Replayed, Reserve, Stale

_unasked: Final = ThrottledLog(logging.getLogger(__name__))

OTHER_REQUEST: Final = "this request_id belongs to another request: use a new one, or repeat that request unchanged"


class Admission(NamedTuple):
    """The request may go, as `granted` by the limits of `plan`. `route` None: no rule had a say in it. `price` is JSON."""

    request_id: str
    plan: Plan
    granted: Granted
    fallbacks: tuple[str, ...]
    route: RouteFacts | None
    price: bytes
    replayed: bool = False

    @property
    def key_ids(self) -> tuple[str, ...]:
        return usable_keys(self.plan, self.route)


class DegradedAdmission(NamedTuple):
    """The request may go although the store was away and no limit could be asked. `plan`: as far as this worker remembers."""

    request_id: str
    plan: Plan | None
    provider: str
    model: str
    route: RouteFacts | None

    @property
    def key_ids(self) -> tuple[str, ...]:
        return usable_keys(self.plan, self.route)


async def reserve(
    enforcer: Enforcer, request: ReserveRequest, key_value: str | None, request_id: str, *, by_rules: bool = True
) -> Admission | DegradedAdmission | Verdict:
    """Raises Conflict for an id of another request, StoreUnavailable when the limits could not be asked and have to be,
    KeepsChanging when admins changed the key before every attempt, InvalidRequest where nobody knows what the request costs and
    the operator wants it refused.

    `by_rules`: routing rules may send the request elsewhere, the caller will be told.
    """
    try:
        return await _reserve(enforcer, request, key_value, request_id, by_rules)
    except StoreUnavailable as error:
        if not enforcer.admits_without_store:
            raise
        _unasked.warning("admitted without asking any limit, unless the key is known to be shut out: %s", error.reason)
        return await _admit_unasked(enforcer, request, key_value, request_id, by_rules)


async def _reserve(
    enforcer: Enforcer, request: ReserveRequest, key_value: str | None, request_id: str, by_rules: bool
) -> Admission | Verdict:
    """`explain` in explain.py goes the same way."""
    avoided: frozenset[str] = frozenset()
    refusal: Verdict | None = None
    attempts = 0
    shared: Shared | None = None
    while attempts < ATTEMPTS:
        # What is known already is recalled: a coroutine for each question would cost more than its answer.
        holder = recall_holder(enforcer, key_value) or await find_holder(enforcer, key_value)
        if isinstance(holder, Verdict):
            return holder
        shared = shared or enforcer.plans.recall_shared() or await enforcer.plans.shared()
        routed = without_rules(enforcer, shared, request, by_rules=by_rules) or await route_request(
            enforcer, shared, holder, request, request_id, avoided=avoided
        )
        if refusal is not None and routed.aim.provider in avoided:
            return refusal
        estimates = Estimates(request, shared.prices, routed.pinned_key_id, routed.aim.provider)
        routes = known_routes(enforcer, holder, shared.limits, routed, estimates) or await find_routes(
            enforcer, holder, shared.limits, routed, request_id, estimates
        )
        if not enforcer.admits_unpriced:
            try:
                routes = await _priced_or_reserved(enforcer, shared, routes, estimates, request_id)
            except InvalidRequest:
                # It only has to wait where there is a price.
                if refusal is not None:
                    return refusal
                raise
        outcome = await _take(enforcer, routes, routed, request, holder, request_id, estimates)
        if isinstance(outcome, Verdict):
            refusal = sooner(refusal, outcome)
            also_avoided = avoid_also(avoided, routed, outcome, enforcer.plans.known_providers)
            if also_avoided is None:
                return refusal
            avoided = also_avoided
        elif outcome is not None:
            return outcome
        else:
            attempts += 1
            shared = await enforcer.plans.shared_after(shared)
    if refusal is not None:
        return refusal
    raise KeepsChanging


async def _priced_or_reserved(
    enforcer: Enforcer, shared: Shared, routes: list[Route], estimates: Estimates, request_id: str
) -> list[Route]:
    """All of them where the id is reserved already: it had a price then, and is told its first answer."""
    try:
        return await priced_routes(enforcer, shared, routes, estimates)
    except InvalidRequest:
        if await enforcer.reservations.is_known(request_id):
            return routes
        raise


async def priced_routes(enforcer: Enforcer, shared: Shared, routes: list[Route], estimates: Estimates) -> list[Route]:
    """Those that may go where requests without a price may not; empty: what this worker knew was stale."""
    if not routes:
        return routes
    # A request that is blocked anyway is better told why.
    priced = [route for route in routes if route.plan.blocked is not None or estimates.is_priced(route.plan)]
    if not priced:
        plan = routes[0].plan
        # The key may have changed, too: other providers, off, gone.
        explained = await enforcer.reservations.explain(Explain(plan, tokens=0, cost_nanousd=0, basis=shared.basis))
        if not isinstance(explained, Stale):
            raise unpriced(plan)
        enforcer.plans.forget_holder(plan)
    return priced


async def _take(
    enforcer: Enforcer,
    routes: list[Route],
    routed: Routed,
    request: ReserveRequest,
    holder: Holder | None,
    request_id: str,
    estimates: Estimates,
) -> Admission | Verdict | None:
    """The first route that is open, or why the first one is not. None: what this worker knew was stale, start again."""
    fingerprint = _fingerprint(request, holder)
    verdict: Verdict | None = None
    for route in routes:
        plan = route.plan
        estimate = estimates.of(plan)
        facts = routed.facts(plan.provider, plan.model, route.fallbacks)
        outcome = await enforcer.reservations.reserve(
            # By place, as all that is made for each request: by name it would take twice as long.
            Reserve(
                plan,
                request_id,
                fingerprint,
                estimate.tokens,
                estimate.cost_nanousd,
                request.ttl_ms,
                _detail(estimate.price, route.fallbacks, facts),
                routed.basis,
            )
        )
        match outcome:
            case Granted():
                return Admission(request_id, plan, outcome, route.fallbacks, facts, estimate.price)
            case Replayed() | IdConflict() if await _is_gone(enforcer, holder):
                return KEY_NOT_FOUND
            case Replayed():
                return _repeat(outcome, request_id)
            case Refused():
                verdict = sooner(verdict, refused(plan, outcome, estimate, facts, route.others_free_at_ms))
                if not route.own.issuperset(outcome.violations):
                    return verdict  # what refused binds the other routes, too
            case Blocked():
                return blocked(plan, outcome, facts)
            case IdConflict():
                raise Conflict(OTHER_REQUEST, param="request_id")
            case Stale():
                enforcer.plans.forget_holder(plan)
                return None
    return verdict


async def _is_gone(enforcer: Enforcer, holder: Holder | None) -> bool:
    """The script looks at the record first: this worker may know the key from before it was deleted."""
    return holder is not None and await enforcer.plans.latest_holder(holder.key.entity.id) is None


def _repeat(replayed: Replayed, request_id: str) -> Admission:
    detail = orjson.loads(replayed.detail)
    return Admission(
        request_id=request_id,
        plan=replayed.plan,
        granted=replayed.first,
        fallbacks=tuple(detail["fallbacks"]),
        route=detail["route"],
        price=orjson.dumps(detail["price"]),
        replayed=True,
    )


def _detail(price: bytes, fallbacks: tuple[str, ...], route: RouteFacts | None) -> bytes:
    """What a replay is told besides; JSON, as is the price."""
    if not fallbacks and route is None:
        return b'{"price":%b,"fallbacks":[],"route":null}' % price
    return orjson.dumps({"price": orjson.Fragment(price), "fallbacks": fallbacks, "route": route})


_understood: Final = itemgetter(*(name for name in ReserveRequest.model_fields if name not in ("request_id", "virtual_key")))
"""Of the members of a request those that say what is asked; in one order, so that all workers find the same fingerprint."""


def _fingerprint(request: ReserveRequest, holder: Holder | None) -> bytes:
    """Of the key and the body as understood: the order and spaces of the JSON play no part, nor where key and id were sent."""
    key_id = holder.key.entity.id if holder is not None else None
    return blake2b(orjson.dumps((key_id, _understood(vars(request)))), digest_size=16).digest()


async def _admit_unasked(
    enforcer: Enforcer, request: ReserveRequest, key_value: str | None, request_id: str, by_rules: bool
) -> DegradedAdmission | Verdict:
    """Open to all but those whom this worker knows to be shut out whatever their limits say. Asks the store nothing."""
    holder, shared = recall_holder(enforcer, key_value), enforcer.plans.recall_shared()
    routed = without_rules(enforcer, shared, request, by_rules=by_rules) or await route_request(
        enforcer, shared, holder, request, request_id, read_usage=suppose_no_usage
    )
    provider, model = routed.aim.provider, routed.aim.model
    if holder is not None and provider is None:
        drawn = candidates(holder.key.entity, names_of_model(model, enforcer.plans.known_providers), request_id)
        provider = drawn[0].provider if drawn else None
    plan = None
    if shared is not None and (holder is not None or key_value is None):
        plan = enforcer.plans.plan(holder, shared.limits, provider, model)
    facts = routed.facts(provider, model, routed.fallbacks)
    # The clock of Redis is away, too.
    now_ms = time.time_ns() // 1_000_000
    if plan is not None and (plan.has_expired(now_ms) or plan.blocked is not None):
        return blocked(plan, Blocked(now_ms=now_ms, key_expired=plan.has_expired(now_ms), states=NO_STATES), facts)
    return DegradedAdmission(request_id=request_id, plan=plan, provider=provider or "", model=model or "", route=facts)
