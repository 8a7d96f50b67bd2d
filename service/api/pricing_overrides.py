"""/api/governance/pricing-overrides: administration of pricing overrides."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin import pricing_overrides as admin
from service.admin.pricing_overrides import OverrideFilter
from service.api.answers import json_answer
from service.api.bodies import parse_body, parse_update
from service.api.paging import envelope, page_of
from service.api.rendering.pricing_overrides import pricing_override_body
from service.api.rendering.snapshot import in_parts
from service.api.routes import route
from service.api.services import Services, services_of
from service.entities import Kind
from service.models.pricing_overrides import CreatePricingOverrideRequest, UpdatePricingOverrideRequest
from service.store.keys import Ref
from service.store.snapshot import read

_FILTERS: Final = ("scope_kind", "virtual_key_id", "provider_id", "provider_key_id")


async def list_pricing_overrides(request: Request) -> Response:
    params = request.query_params
    filters = {name: value for name in _FILTERS if (value := params.get(name, "").strip())}
    page = page_of(params, "search", *filters)
    wanted = OverrideFilter(**filters, search=params.get("search", ""))
    found = await admin.find_overrides(services_of(request).store, page, wanted)
    overrides = map(found.snapshot.pricing_override, found.ids)
    rows = await in_parts(override and pricing_override_body(override.entity) for override in overrides)
    return json_answer(envelope("pricing_overrides", rows, page, found.total))


async def create_pricing_override(request: Request) -> Response:
    services = services_of(request)
    override_id = await admin.create(services.store, await parse_body(request, CreatePricingOverrideRequest))
    shown = await _shown(services, override_id)
    return json_answer({"message": "Pricing override created successfully", "pricing_override": shown}, 201)


async def update_pricing_override(request: Request) -> Response:
    services = services_of(request)
    override_id: str = request.path_params["id"]
    wanted = await parse_update(request, UpdatePricingOverrideRequest, lambda: _shown(services, override_id))
    await admin.update(services.store, override_id, wanted)
    shown = await _shown(services, override_id)
    return json_answer({"message": "Pricing override updated successfully", "pricing_override": shown})


async def delete_pricing_override(request: Request) -> Response:
    await admin.delete(services_of(request).store, request.path_params["id"])
    return json_answer({"message": "Pricing override deleted successfully"})


async def _shown(services: Services, override_id: str) -> dict[str, Any]:
    stored = (await read(services.store, [Ref(Kind.PRICING_OVERRIDE, override_id)])).pricing_override(override_id)
    if stored is None:
        raise admin.not_found(override_id)
    return pricing_override_body(stored.entity)


ROUTES: Final = [
    route("/pricing-overrides", GET=list_pricing_overrides, POST=create_pricing_override),
    route("/pricing-overrides/{id}", PUT=update_pricing_override, DELETE=delete_pricing_override),
]
