"""Teams: create, update, delete."""

from dataclasses import replace
from uuid import uuid4

from service.entities import Kind
from service.errors import InvalidRequest, NotFound
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
        _require_new_customer(change, snapshot, request.customer_id)
        change.create(Kind.TEAM, edited.entity, edited.counters)
        return change

    await transact(store, _customer(request.customer_id), build)
    return team_id


async def update(store: Store, team_id: str, request: UpdateTeamRequest) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.team(team_id)
        if stored is None:
            raise not_found(team_id)
        edited = rules.update(stored.entity, request, now_ms=snapshot.now_ms)
        team = edited.entity
        change = Change(snapshot.now_ms)
        _require_new_customer(change, snapshot, request.customer_id)
        if team.customer_id and snapshot.customer(team.customer_id) is None:
            team = replace(team, customer_id=None)
        for ref in _customer(team.customer_id):
            change.require(ref)
        change.replace(Kind.TEAM, stored, team, edited.counters)
        return change

    await transact(store, [Ref(Kind.TEAM, team_id), *_customer(request.customer_id)], build)


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


def _customer(customer_id: str | None) -> list[Ref]:
    return [Ref(Kind.CUSTOMER, customer_id)] if customer_id else []


def _require_new_customer(change: Change, snapshot: Snapshot, customer_id: str | None) -> None:
    if customer_id:
        refusal = InvalidRequest("customer_id is not that of a customer", param="customer_id")
        if snapshot.customer(customer_id) is None:
            raise refusal
        change.require(Ref(Kind.CUSTOMER, customer_id), refusal)
