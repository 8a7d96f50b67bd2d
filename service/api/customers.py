"""/api/governance/customers: administration of customers."""

import asyncio
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin import customers as admin
from service.admin.listing import find
from service.api.answers import json_answer
from service.api.bodies import parse_body, parse_update
from service.api.paging import envelope, page_of
from service.api.rendering.snapshot import shown_customer, shown_keys, shown_teams
from service.api.routes import route
from service.api.services import Services, services_of
from service.entities import Kind
from service.models.customers import CreateCustomerRequest, UpdateCustomerRequest
from service.store import directory, keys
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot, read


async def list_customers(request: Request) -> Response:
    store = services_of(request).store
    page = page_of(request.query_params, "search", strict=False)
    index = keys.index(Kind.CUSTOMER, "created")
    found = await find(store, Kind.CUSTOMER, index, page, search=request.query_params.get("search", ""))
    rows = await _with_members(store, found.snapshot, found.ids)
    return json_answer(envelope("customers", rows, page, found.total))


async def create_customer(request: Request) -> Response:
    services = services_of(request)
    customer_id = await admin.create(services.store, await parse_body(request, CreateCustomerRequest))
    return json_answer({"message": "Customer created successfully", "customer": await _shown(services, customer_id)})


async def get_customer(request: Request) -> Response:
    return json_answer({"customer": await _shown(services_of(request), request.path_params["customer_id"])})


async def update_customer(request: Request) -> Response:
    services = services_of(request)
    customer_id: str = request.path_params["customer_id"]

    async def require_customer() -> None:
        if (await read(services.store, [Ref(Kind.CUSTOMER, customer_id)])).customer(customer_id) is None:
            raise admin.not_found(customer_id)

    wanted = await parse_update(request, UpdateCustomerRequest, require_customer)
    await admin.update(services.store, customer_id, wanted)
    return json_answer({"message": "Customer updated successfully", "customer": await _shown(services, customer_id)})


async def delete_customer(request: Request) -> Response:
    await admin.delete(services_of(request).store, request.path_params["customer_id"])
    return json_answer({"message": "Customer deleted successfully"})


async def _shown(services: Services, customer_id: str) -> dict[str, Any]:
    snapshot = await read(services.store, [Ref(Kind.CUSTOMER, customer_id)])
    rows = await _with_members(services.store, snapshot, [customer_id])
    if not rows:
        raise admin.not_found(customer_id)
    return rows[0]


async def _with_members(store: Store, snapshot: Snapshot, customer_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The customers that are there, each with its teams and the keys that belong to it directly."""
    stored = [customer for customer_id in customer_ids if (customer := snapshot.customer(customer_id)) is not None]
    refs = [Ref(Kind.CUSTOMER, customer.entity.id) for customer in stored]
    lists = await directory.members(store, *(keys.children(kind, ref) for kind in (Kind.TEAM, Kind.VIRTUAL_KEY) for ref in refs))
    team_ids, key_ids = lists[: len(refs)], lists[len(refs) :]
    members = [Ref(Kind.TEAM, team_id) for team_id in chain(*team_ids)] + [
        Ref(Kind.VIRTUAL_KEY, key_id) for key_id in chain(*key_ids)
    ]
    found = await read(store, members) if members else snapshot
    rows = []
    for customer, teams_of_customer, keys_of_customer in zip(stored, team_ids, key_ids, strict=True):
        teams = await shown_teams(found, teams_of_customer)
        virtual_keys = await shown_keys(found, keys_of_customer, embed=False)
        rows.append(shown_customer(snapshot, customer, teams=teams, virtual_keys=virtual_keys))
        # As in a long list of teams: gateways are answered meanwhile.
        await asyncio.sleep(0)
    return rows


ROUTES: Final = [
    route("/customers", GET=list_customers, POST=create_customer),
    route("/customers/{customer_id}", GET=get_customer, PUT=update_customer, DELETE=delete_customer),
]
