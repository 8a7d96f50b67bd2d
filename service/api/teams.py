"""/api/governance/teams: administration of teams."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin import teams as admin
from service.admin.listing import find
from service.api.answers import json_answer
from service.api.bodies import parse_body, parse_update
from service.api.paging import envelope, page_of
from service.api.rendering.snapshot import in_parts, shown_keys, shown_team
from service.api.routes import route
from service.api.services import Services, services_of
from service.entities import Kind
from service.models.teams import CreateTeamRequest, UpdateTeamRequest
from service.store import directory, keys
from service.store.keys import Ref
from service.store.snapshot import read


async def list_teams(request: Request) -> Response:
    store = services_of(request).store
    params = request.query_params
    page = page_of(params, "search", "customer_id", strict=False)
    customer_id = params.get("customer_id")
    index = keys.children(Kind.TEAM, Ref(Kind.CUSTOMER, customer_id)) if customer_id else keys.index(Kind.TEAM, "created")
    found = await find(store, Kind.TEAM, index, page, search=params.get("search", ""))
    teams = await in_parts(map(found.snapshot.team, found.ids))
    counts = await directory.count(store, *(keys.children(Kind.VIRTUAL_KEY, Ref(Kind.TEAM, team.entity.id)) for team in teams))
    counted = zip(teams, counts, strict=True)
    rows = await in_parts(shown_team(found.snapshot, team, virtual_key_count=count) for team, count in counted)
    return json_answer(envelope("teams", rows, page, found.total))


async def create_team(request: Request) -> Response:
    services = services_of(request)
    team_id = await admin.create(services.store, await parse_body(request, CreateTeamRequest))
    return json_answer({"message": "Team created successfully", "team": await _shown(services, team_id)})


async def get_team(request: Request) -> Response:
    return json_answer({"team": await _shown(services_of(request), request.path_params["team_id"])})


async def update_team(request: Request) -> Response:
    services = services_of(request)
    team_id: str = request.path_params["team_id"]

    async def require_team() -> None:
        if (await read(services.store, [Ref(Kind.TEAM, team_id)])).team(team_id) is None:
            raise admin.not_found(team_id)

    wanted = await parse_update(request, UpdateTeamRequest, require_team)
    await admin.update(services.store, team_id, wanted)
    return json_answer({"message": "Team updated successfully", "team": await _shown(services, team_id)})


async def delete_team(request: Request) -> Response:
    await admin.delete(services_of(request).store, request.path_params["team_id"])
    return json_answer({"message": "Team deleted successfully"})


async def _shown(services: Services, team_id: str) -> dict[str, Any]:
    """One team with its keys."""
    ref = Ref(Kind.TEAM, team_id)
    snapshot = await read(services.store, [ref])
    stored = snapshot.team(team_id)
    if stored is None:
        raise admin.not_found(team_id)
    found = await find(services.store, Kind.VIRTUAL_KEY, keys.children(Kind.VIRTUAL_KEY, ref), None)
    rows = await shown_keys(found.snapshot, found.ids, embed=False)
    return shown_team(snapshot, stored, virtual_keys=rows, virtual_key_count=len(rows))


ROUTES: Final = [
    route("/teams", GET=list_teams, POST=create_team),
    route("/teams/{team_id}", GET=get_team, PUT=update_team, DELETE=delete_team),
]
