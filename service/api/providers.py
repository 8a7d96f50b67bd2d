"""/api/governance/providers: limits of whole providers."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin import providers as admin
from service.admin.listing import find
from service.api.answers import json_answer
from service.api.bodies import parse_update
from service.api.rendering.limit_owners import provider_body
from service.api.routes import route
from service.api.services import services_of
from service.entities import Kind, Provider
from service.governance.providers import unconfigured
from service.models.provider_governance import UpdateProviderGovernanceRequest
from service.store import keys
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Stored, read


async def list_provider_governance(request: Request) -> Response:
    store = services_of(request).store
    found = await find(store, Kind.PROVIDER, keys.index(Kind.PROVIDER, "name"), None)
    rows = [
        provider_body(stored.entity, stored.counters, found.snapshot.now_ms)
        for name in found.ids
        if (stored := found.snapshot.provider(name)) is not None and admin.has_limits(stored.entity)
    ]
    return json_answer({"providers": rows, "count": len(rows)})


async def update_provider_governance(request: Request) -> Response:
    services = services_of(request)
    name: str = request.path_params["provider_name"]

    async def require_provider() -> None:
        admin.require_known(name, services.providers)

    wanted = await parse_update(request, UpdateProviderGovernanceRequest, require_provider)
    await require_provider()
    await admin.update(services.store, name, wanted)
    return json_answer({"message": "Provider governance updated successfully", **await _shown(services.store, name)})


async def delete_provider_governance(request: Request) -> Response:
    services = services_of(request)
    name: str = request.path_params["provider_name"]
    await admin.delete(services.store, name, services.providers)
    return json_answer({"message": "Provider governance deleted successfully"})


async def _shown(store: Store, name: str) -> dict[str, Any]:
    snapshot = await read(store, [Ref(Kind.PROVIDER, name)])
    stored = snapshot.provider(name) or Stored[Provider](unconfigured(name, now_ms=snapshot.now_ms), 0, {})
    return provider_body(stored.entity, stored.counters, snapshot.now_ms)


ROUTES: Final = [
    route("/providers", GET=list_provider_governance),
    # A name that is in the way may hold slashes: it gets the error that names it.
    route("/providers/{provider_name:path}", PUT=update_provider_governance, DELETE=delete_provider_governance),
]
