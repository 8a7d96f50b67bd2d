"""/api/governance/prices: the base prices of all models."""

from collections import Counter
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin.listing import Page
from service.admin.prices import find_prices
from service.api.answers import json_answer
from service.api.paging import DEFAULT_LIMIT, envelope, page_of
from service.api.rendering.prices import priced_model_body
from service.api.rendering.times import timestamp
from service.api.routes import route
from service.api.services import services_of
from service.pricing import bundled
from service.pricing.catalog import IMPORTED, Catalog

_FIRST_PAGE: Final = Page(0, DEFAULT_LIMIT)
"""All of them would be thousands."""


async def list_prices(request: Request) -> Response:
    params = request.query_params
    page = page_of(params, "model", "provider") or _FIRST_PAGE
    shared = await services_of(request).enforcer.plans.latest_shared()
    prices = shared.prices
    found = find_prices(prices, page, model=params.get("model", "").strip(), provider=params.get("provider", "").strip())
    rows = [priced_model_body(row, prices.clock()) for row in found.rows]
    sources = _sources(prices.catalog, found.models_by_source)
    return json_answer({**envelope("prices", rows, page, found.total), "sources": sources, "version": shared.versions.pricing})


def _sources(catalog: Catalog, models: Counter[str]) -> list[dict[str, Any]]:
    own = {"source": bundled.SOURCE, "models": models[bundled.SOURCE], "version": bundled.VERSION}
    sheet = catalog.sheet
    if sheet is None:
        return [own]
    imported_at = timestamp(sheet.imported_at_ms)
    return [{"source": IMPORTED, "models": models[IMPORTED], "name": sheet.name, "imported_at": imported_at}, own]


ROUTES: Final = [route("/prices", GET=list_prices)]
