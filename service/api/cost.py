"""POST /api/governance/quota/cost: what a usage would cost, and why. Charges nothing."""

from typing import Any

import orjson

from service.api.calls import Answer, Caller
from service.api.rendering.prices import cost_line_body
from service.models.costs import CostRequest
from service.models.parsing import parse
from service.models.request_types import DEFAULT_REQUEST_TYPE
from service.money import to_dollars, to_nanousd
from service.names import split_model
from service.pricing.cost import has_price, sum_nanousd, working
from service.pricing.usage import usage_of
from service.quota.charging import OF_CALLER, only_key
from service.quota.enforcer import Enforcer
from service.quota.shared import Shared
from service.store.keys import virtual_key_id


async def answer_cost(enforcer: Enforcer, body: bytes, caller: Caller) -> Answer:
    request = parse(CostRequest, body)
    provider, model = split_model(request.provider, request.model, enforcer.plans.known_providers)
    assert model is not None
    request_type = request.request_type or DEFAULT_REQUEST_TYPE
    shown: dict[str, Any] = {
        "cost": 0.0,
        "priced": False,
        "price": None,
        "provider": provider,
        "model": model,
        "request_type": request_type,
        "tokens": request.total_tokens,
        "lines": [],
    }
    if request.cost is not None:
        shown |= {"cost": to_dollars(to_nanousd(request.cost)), "priced": True, "price": OF_CALLER}
        return Answer(200, orjson.dumps(shown))
    key_id = _key_id(request, caller)
    shared = await enforcer.plans.latest_shared()
    provider_key_id = request.provider_key_id or await _only_key_of(enforcer, shared, key_id, provider, model)
    price = shared.prices.price(model, provider, request_type, key_id, provider_key_id)
    if price is not None:
        lines = working(price.rates, usage_of(request), request_type)
        shown["lines"] = [cost_line_body(line) for line in lines]
        if has_price(lines):
            shown |= {"cost": to_dollars(sum_nanousd(lines)), "priced": True, "price": price.facts}
    return Answer(200, orjson.dumps(shown))


def _key_id(request: CostRequest, caller: Caller) -> str | None:
    """Whose prices are meant. Whether there is such a key plays no part: one that is unknown has no prices of its own."""
    if request.virtual_key_id:
        return request.virtual_key_id
    value = request.virtual_key or caller.key_value
    return virtual_key_id(value) if value is not None else None


async def _only_key_of(enforcer: Enforcer, shared: Shared, key_id: str | None, provider: str | None, model: str) -> str | None:
    """The key of the provider by which settle would charge, where the virtual key may use no other."""
    holder = await enforcer.plans.latest_holder(key_id) if key_id is not None else None
    return only_key(enforcer.plans.plan(holder, shared.limits, provider, model).key_ids) if holder is not None else None
