"""Entities of one snapshot as answers show them, with what they belong to inside; a dangling id is shown as none."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final, TypeVar

from service.api.rendering.limit_owners import customer_body, model_config_body, team_body
from service.api.rendering.virtual_keys import virtual_key_body
from service.entities import Customer, Team, VirtualKey
from service.store.snapshot import Snapshot, Stored

_MADE_AT_ONCE: Final = 50

Row = TypeVar("Row")


async def in_parts(rows: Iterable[Row | None]) -> list[Row]:
    """Those that are there, made as they are asked for. Gateways are answered meanwhile, as there may be thousands."""
    made = []
    for number, row in enumerate(rows, start=1):
        if row is not None:
            made.append(row)
        if number % _MADE_AT_ONCE == 0:
            await asyncio.sleep(0)
    return made


async def shown_keys(snapshot: Snapshot, key_ids: Iterable[str], *, embed: bool = True) -> list[dict[str, Any]]:
    """Those that are still there."""
    return await in_parts(shown_key(snapshot, key_id, embed=embed) for key_id in key_ids)


def shown_key(snapshot: Snapshot, key_id: str, *, embed: bool = True) -> dict[str, Any] | None:
    """None when the key is gone. `embed`: with its team or customer, unless it is shown inside of that."""
    stored = snapshot.virtual_key(key_id)
    if stored is None:
        return None
    team, customer = snapshot.team(stored.entity.team_id), snapshot.customer(stored.entity.customer_id)
    key: VirtualKey = replace(stored.entity, team_id=_id_of(team), customer_id=_id_of(customer))
    return virtual_key_body(
        key,
        stored.counters,
        snapshot.now_ms,
        team=shown_team(snapshot, team) if team and embed else None,
        customer=shown_customer(snapshot, customer) if customer and embed else None,
    )


async def shown_teams(snapshot: Snapshot, team_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Those that are still there, as shown inside their customer."""
    teams = map(snapshot.team, team_ids)
    return await in_parts(team and shown_team(snapshot, team, embed_customer=False) for team in teams)


def shown_team(
    snapshot: Snapshot,
    stored: Stored[Team],
    *,
    embed_customer: bool = True,
    virtual_keys: list[dict[str, Any]] | None = None,
    virtual_key_count: int | None = None,
) -> dict[str, Any]:
    customer = snapshot.customer(stored.entity.customer_id)
    return team_body(
        replace(stored.entity, customer_id=_id_of(customer)),
        stored.counters,
        snapshot.now_ms,
        customer=shown_customer(snapshot, customer) if customer and embed_customer else None,
        virtual_keys=virtual_keys,
        virtual_key_count=virtual_key_count,
    )


def shown_customer(
    snapshot: Snapshot,
    stored: Stored[Customer],
    *,
    teams: list[dict[str, Any]] | None = None,
    virtual_keys: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return customer_body(
        stored.entity,
        stored.counters,
        snapshot.now_ms,
        teams=teams,
        virtual_keys=virtual_keys,
        virtual_key_count=None if virtual_keys is None else len(virtual_keys),
    )


def shown_model_config(snapshot: Snapshot, config_id: str) -> dict[str, Any] | None:
    stored = snapshot.model_config(config_id)
    if stored is None:
        return None
    key = snapshot.key_of_model_config(config_id)
    return model_config_body(stored.entity, stored.counters, snapshot.now_ms, key=key.entity if key else None)


def _id_of(stored: Stored[Team] | Stored[Customer] | None) -> str | None:
    return None if stored is None else stored.entity.id
