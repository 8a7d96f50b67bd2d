"""/api/governance/prices lists base prices; POST /api/governance/quota/cost says what a usage would cost, and why."""

from collections import Counter
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.admin.listing import Page
from service.admin.prices import find_prices
from service.api.answers import json_answer
from service.api.calls import Answer, Caller
from service.api.paging import envelope, page_of
from service.api.rendering.prices import cost_line, priced_model
from service.api.rendering.times import timestamp
from service.api.routes import route
from service.api.services import services_of
from service.models.costs import CostRequest
from service.models.parsing import parse
from service.models.request_types import DEFAULT_REQUEST_TYPE
from service.money import to_dollars, to_nanousd
from service.names import split_model
from service.pricing import bundled
from service.pricing.catalog import IMPORTED, Catalog
from service.pricing.cost import has_price, sum_nanousd, working
from service.pricing.usage import usage_of
from service.quota.charging import OF_CALLER
from service.quota.enforcer import Enforcer
from service.store.keys import virtual_key_id

_FIRST_PAGE: Final = Page(0, 25)
"""All of them would be thousands."""


async def list_prices(request: Request) -> Response:
    params = request.query_params
    page = page_of(params, "model", "provider") or _FIRST_PAGE
    shared = await services_of(request).enforcer.plans.latest_shared()
    prices = shared.prices
    found = find_prices(prices, page, model=params.get("model", "").strip(), provider=params.get("provider", "").strip())
    rows = [priced_model(row, prices.clock()) for row in found.rows]
    sources = _sources(prices.catalog, found.models_by_source)
    return json_answer({**envelope("prices", rows, page, found.total), "sources": sources, "version": shared.versions.pricing})


def _sources(catalog: Catalog, models: Counter[str]) -> list[dict[str, Any]]:
    own = {"source": bundled.SOURCE, "models": models[bundled.SOURCE], "version": bundled.VERSION}
    sheet = catalog.sheet
    if sheet is None:
        return [own]
    imported_at = timestamp(sheet.imported_at_ms)
    return [{"source": IMPORTED, "models": models[IMPORTED], "name": sheet.name, "imported_at": imported_at}, own]


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
    prices = (await enforcer.plans.latest_shared()).prices
    price = prices.price(model, provider, request_type, _key_id(request, caller), request.provider_key_id)
    if price is not None:
        lines = working(price.rates, usage_of(request), request_type)
        shown["lines"] = [cost_line(line) for line in lines]
        if has_price(lines):
            shown |= {"cost": to_dollars(sum_nanousd(lines)), "priced": True, "price": price.facts}
    return Answer(200, orjson.dumps(shown))


def _key_id(request: CostRequest, caller: Caller) -> str | None:
    """Whose prices are meant. Whether there is such a key plays no part: one that is unknown has no prices of its own."""
    if request.virtual_key_id:
        return request.virtual_key_id
    value = request.virtual_key or caller.key_value
    return virtual_key_id(value) if value is not None else None


ROUTES: Final = [route("/prices", GET=list_prices)]
