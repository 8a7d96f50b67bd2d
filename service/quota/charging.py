"""What calls of gateways cost: what they say themselves, else what their usage costs at the prices in force."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import orjson

from service.errors import InvalidRequest
from service.models.allow_lists import EVERYTHING
from service.models.enforcement import ReserveRequest, SettleRequest
from service.models.request_types import DEFAULT_REQUEST_TYPE
from service.money import to_nanousd
from service.names import split_model
from service.pricing.book import Price, Prices
from service.pricing.cost import cost_of_tokens_nanousd, has_price, sum_nanousd, working
from service.pricing.usage import usage_of
from service.quota.allow_lists import narrowed
from service.quota.decision import UNPRICED, Estimate
from service.quota.shared import Shared
from service.reservation import Charge, Plan

PriceFacts = Mapping[str, Any]
"""What an answer says of a price; JSON, because it is kept for replays."""

OF_CALLER: Final[PriceFacts] = {"source": "caller", "provider": None, "model": None, "override_id": None}
"""The price of a cost that came with the call."""
_OF_CALLER_JSON: Final = orjson.dumps(OF_CALLER)


class Estimates:
    """What one request is expected to cost, by the plan of each way that it may go. `pinned_key_id`: the key that a rule wants,
    of the provider `pinned_at`.
    """

    def __init__(self, request: ReserveRequest, prices: Prices, pinned_key_id: str | None, pinned_at: str | None) -> None:
        self.request_type = request.request_type
        self._request = request
        self._prices = prices
        self._pinned_key_id = pinned_key_id
        self._pinned_at = pinned_at

    def of(self, plan: Plan) -> Estimate:
        request = self._request
        if request.cost is None:
            request_type = request.request_type or DEFAULT_REQUEST_TYPE
            # A fallback elsewhere has nothing of the pinned key's price.
            pinned = self._pinned_key_id if plan.provider == self._pinned_at else None
            provider_key_id = only_key(narrowed(plan.key_ids, pinned))
            price = self._prices.price(plan.model, plan.provider, request_type, plan.key_id, provider_key_id)
            if price is not None:
                return Estimate(request.estimated_tokens, self._cost_nanousd(price, request_type), price.facts_json)
        return own_estimate(request)

    def is_priced(self, plan: Plan) -> bool:
        return self.of(plan).price != UNPRICED

    def _cost_nanousd(self, price: Price, request_type: str) -> int:
        request = self._request
        prompt, generated, both = request.input_tokens or 0, request.max_output_tokens or 0, request.tokens
        if both is None or both == prompt + generated:
            return cost_of_tokens_nanousd(price.rates, prompt, generated, request_type)
        # Nobody says which of the others are generated, or which half has fewer: the dearer one, so that what is held suffices.
        prompt, generated = min(prompt, both), min(generated, both)
        ways = (prompt, both - prompt), (both - generated, generated)
        return max(cost_of_tokens_nanousd(price.rates, *way, request_type) for way in ways)


def own_estimate(request: ReserveRequest) -> Estimate:
    """What the request itself says, whatever it is for."""
    if request.cost is None:
        return Estimate(request.estimated_tokens, 0, UNPRICED)
    return Estimate(request.estimated_tokens, to_nanousd(request.cost), _OF_CALLER_JSON)


def unpriced(plan: Plan) -> InvalidRequest:
    model = f"model {plan.model}" if plan.model else "a request without a model"
    provider = f" of provider {plan.provider}" if plan.provider else ""
    return InvalidRequest(
        f"nobody has said what {model}{provider} costs, and this service refuses what it cannot price: send a cost, or have an "
        "admin import its price or add a pricing override",
        param="model",
    )


def charge(request: SettleRequest, shared: Shared, known_providers: Collection[str], plan: Plan) -> Charge:
    """What was really called has its price, where the request says that it was not what was reserved: a fallback, for one."""
    if request.cost is not None:
        return Charge(cost_nanousd=to_nanousd(request.cost), detail=_OF_CALLER_JSON)
    provider, model = plan.provider, plan.model
    # A reserved model may have what looks like a provider in its name: routers and clouds have such.
    if request.provider is not None or request.model not in (None, plan.model):
        named_provider, named_model = split_model(request.provider, request.model, known_providers)
        provider, model = named_provider or provider, named_model or model
    request_type = request.request_type or plan.request_type or DEFAULT_REQUEST_TYPE
    key = request.provider_key_id or (only_key(plan.key_ids) if provider == plan.provider else None)
    price = shared.prices.price(model, provider, request_type, plan.key_id, key)
    if price is None:
        return Charge(cost_nanousd=0, detail=UNPRICED, basis=shared.basis)
    cost = _cost_nanousd(request, price, request_type)
    detail = UNPRICED if cost is None else price.facts_json
    return Charge(cost or 0, detail, shared.basis)


def _cost_nanousd(request: SettleRequest, price: Price, request_type: str) -> int | None:
    """None: nothing of what was used has a price."""
    if request.uses_only_tokens and request.status != "failed":
        cost = cost_of_tokens_nanousd(price.rates, request.input_tokens or 0, request.output_tokens or 0, request_type)
        if cost:
            return cost
    usage = usage_of(request)
    if request.status == "failed":
        # Whoever has tokens to tell was served, if not to the end.
        usage = usage._replace(images=request.images or 0, requests=1 if usage.total_tokens else 0)
    lines = working(price.rates, usage, request_type)
    return sum_nanousd(lines) if has_price(lines) else None


def only_key(key_ids: tuple[str, ...]) -> str | None:
    """The provider's key that serves, where no other may."""
    return key_ids[0] if len(key_ids) == 1 and key_ids[0] != EVERYTHING else None
