"""/api/governance/virtual-keys: administration of virtual keys. What their holders read is in quota.py."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin import virtual_keys as admin
from service.admin.virtual_keys import KeyFilter
from service.api.answers import json_answer
from service.api.bodies import parse_body, parse_update
from service.api.paging import envelope, page_of
from service.api.rendering.snapshot import shown_key, shown_keys
from service.api.routes import route
from service.api.services import Services, services_of
from service.entities import Kind
from service.governance.virtual_keys import Known
from service.models.virtual_keys import CreateVirtualKeyRequest, UpdateVirtualKeyRequest
from service.store.keys import Ref
from service.store.snapshot import read

_SWITCHES: Final = ("search", "customer_id", "team_id", "sort_by")


async def list_virtual_keys(request: Request) -> Response:
    params = request.query_params
    page = page_of(params, *_SWITCHES, export=params.get("export") == "true")
    # A direction means nothing without something to sort by.
    sorts = params.get("sort_by") in admin.ORDERS
    wanted = KeyFilter(
        team_id=params.get("team_id", ""),
        customer_id=params.get("customer_id", ""),
        search=params.get("search", ""),
        order=params["sort_by"] if sorts else "created_at",
        descending=sorts and params.get("order", "").lower() == "desc",
    )
    found = await admin.find_keys(services_of(request).store, wanted, page)
    rows = await shown_keys(found.snapshot, found.ids)
    return json_answer(envelope("virtual_keys", rows, page, found.total))


async def create_virtual_key(request: Request) -> Response:
    services = services_of(request)
    wanted = await parse_body(request, CreateVirtualKeyRequest)
    key_id = await admin.create(services.store, wanted, _known(services))
    return json_answer({"message": "Virtual key created successfully", "virtual_key": await _shown(services, key_id)})


async def get_virtual_key(request: Request) -> Response:
    return json_answer({"virtual_key": await _shown(services_of(request), request.path_params["vk_id"])})


async def update_virtual_key(request: Request) -> Response:
    services = services_of(request)
    key_id: str = request.path_params["vk_id"]
    wanted = await parse_update(request, UpdateVirtualKeyRequest, lambda: _shown(services, key_id))
    await admin.update(services.store, key_id, wanted, _known(services))
    return json_answer({"message": "Virtual key updated successfully", "virtual_key": await _shown(services, key_id)})


async def delete_virtual_key(request: Request) -> Response:
    await admin.delete(services_of(request).store, request.path_params["vk_id"])
    return json_answer({"message": "Virtual key deleted successfully"})


async def _shown(services: Services, key_id: str) -> dict[str, Any]:
    shown = shown_key(await read(services.store, [Ref(Kind.VIRTUAL_KEY, key_id)]), key_id)
    if shown is None:
        raise admin.not_found(key_id)
    return shown


def _known(services: Services) -> Known:
    return Known(services.providers, frozenset(services.settings.mcp_clients))


ROUTES: Final = [
    route("/virtual-keys", GET=list_virtual_keys, POST=create_virtual_key),
    route("/virtual-keys/{vk_id}", GET=get_virtual_key, PUT=update_virtual_key, DELETE=delete_virtual_key),
]
