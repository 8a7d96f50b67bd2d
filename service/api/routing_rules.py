"""/api/governance/routing-rules: administration of routing rules."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin import routing_rules as admin
from service.api.answers import json_answer
from service.api.bodies import parse_body, parse_update
from service.api.paging import envelope, page_of
from service.api.rendering.routing_rules import routing_rule_body
from service.api.rendering.snapshot import in_parts
from service.api.routes import route
from service.api.services import Services, services_of
from service.entities import Kind
from service.models.routing_rules import CreateRoutingRuleRequest, UpdateRoutingRuleRequest
from service.store.keys import Ref
from service.store.snapshot import read


async def list_routing_rules(request: Request) -> Response:
    params = request.query_params
    # A scope is shown whole: what decides in it is the order of all its rules.
    page = page_of(params, "search")
    found = await admin.find_rules(
        services_of(request).store,
        page,
        scope=params.get("scope", ""),
        scope_id=params.get("scope_id", ""),
        search=params.get("search", ""),
    )
    rules = map(found.snapshot.routing_rule, found.ids)
    rows = await in_parts(rule and routing_rule_body(rule.entity) for rule in rules)
    return json_answer(envelope("rules", rows, page, found.total))


async def create_routing_rule(request: Request) -> Response:
    services = services_of(request)
    wanted = await parse_body(request, CreateRoutingRuleRequest)
    rule_id = await admin.create(services.store, wanted, services.providers)
    return json_answer({"message": "Routing rule created successfully", "rule": await _shown(services, rule_id)})


async def get_routing_rule(request: Request) -> Response:
    return json_answer({"rule": await _shown(services_of(request), request.path_params["rule_id"])})


async def update_routing_rule(request: Request) -> Response:
    services = services_of(request)
    rule_id: str = request.path_params["rule_id"]
    wanted = await parse_update(request, UpdateRoutingRuleRequest, lambda: _shown(services, rule_id))
    await admin.update(services.store, rule_id, wanted, services.providers)
    return json_answer({"message": "Routing rule updated successfully", "rule": await _shown(services, rule_id)})


async def delete_routing_rule(request: Request) -> Response:
    await admin.delete(services_of(request).store, request.path_params["rule_id"])
    return json_answer({"message": "Routing rule deleted successfully"})


async def _shown(services: Services, rule_id: str) -> dict[str, Any]:
    stored = (await read(services.store, [Ref(Kind.ROUTING_RULE, rule_id)])).routing_rule(rule_id)
    if stored is None:
        raise admin.not_found(rule_id)
    return routing_rule_body(stored.entity)


ROUTES: Final = [
    route("/routing-rules", GET=list_routing_rules, POST=create_routing_rule),
    route("/routing-rules/{rule_id}", GET=get_routing_rule, PUT=update_routing_rule, DELETE=delete_routing_rule),
]
