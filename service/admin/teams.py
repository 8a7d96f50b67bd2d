"""Teams: create, update, delete."""

from dataclasses import replace
from uuid import uuid4

from service.admin.references import refs, require
from service.entities import Kind
from service.errors import NotFound
from service.governance import teams as rules
from service.models.teams import CreateTeamRequest, UpdateTeamRequest
from service.store.change import Change, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot


def not_found(team_id: str) -> NotFound:
    return NotFound(f"there is no team {team_id}")


async def create(store: Store, request: CreateTeamRequest) -> str:
    """The id of the new team."""
    team_id = str(uuid4())

    def build(snapshot: Snapshot) -> Change:
        edited = rules.create(request, now_ms=snapshot.now_ms, entity_id=team_id)
        change = Change(snapshot.now_ms)
        require(change, snapshot, Kind.CUSTOMER, request.customer_id, param="customer_id")
        change.create(Kind.TEAM, edited.entity, edited.counters)
        return change

    await transact(store, refs(Kind.CUSTOMER, request.customer_id), build)
    return team_id


async def update(store: Store, team_id: str, request: UpdateTeamRequest) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.team(team_id)
        if stored is None:
            raise not_found(team_id)
        edited = rules.update(stored.entity, request, now_ms=snapshot.now_ms)
        team = edited.entity
        change = Change(snapshot.now_ms)
        require(change, snapshot, Kind.CUSTOMER, request.customer_id, param="customer_id")
        if team.customer_id and snapshot.customer(team.customer_id) is None:
            team = replace(team, customer_id=None)
        for ref in refs(Kind.CUSTOMER, team.customer_id):
            change.require(ref)
        change.replace(Kind.TEAM, stored, team, edited.counters)
        return change

    await transact(store, [Ref(Kind.TEAM, team_id), *refs(Kind.CUSTOMER, request.customer_id)], build)


async def delete(store: Store, team_id: str) -> None:
    """Its keys stay, without a team."""

    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.team(team_id)
        if stored is None:
            raise not_found(team_id)
        change = Change(snapshot.now_ms)
        change.delete(Kind.TEAM, stored)
        change.forget_children(Ref(Kind.TEAM, team_id), Kind.VIRTUAL_KEY)
        return change

    await transact(store, [Ref(Kind.TEAM, team_id)], build)
