"""The demo of `--demo`: a customer, a team and a key with limits, in a store that holds nothing yet."""

from typing import Final

import orjson

from service.admin import customers, teams, virtual_keys
from service.admin.listing import Page
from service.admin.virtual_keys import KeyFilter
from service.entities import Kind, VirtualKey
from service.governance.virtual_keys import Known
from service.models.customers import CreateCustomerRequest
from service.models.parsing import parse
from service.models.teams import CreateTeamRequest
from service.models.virtual_keys import CreateVirtualKeyRequest
from service.providers import known_providers
from service.settings import Settings
from service.store import directory, keys
from service.store.connection import Store, with_store
from service.store.keys import Ref
from service.store.snapshot import read

KEY_NAME: Final = "demo"

# As an admin would send them.
_CUSTOMER: Final = {
    "name": "Acme",
    "budgets": [{"max_limit": 1000, "reset_duration": "1M"}],
    "calendar_aligned": True,
}
_TEAM: Final = {
    "name": "Research",
    "budgets": [{"max_limit": 250, "reset_duration": "1w"}],
    "rate_limit": {"token_max_limit": 2_000_000, "token_reset_duration": "1h"},
}
_KEY: Final = {
    "name": KEY_NAME,
    "description": "Made by quotad --demo; delete it when you have keys of your own.",
    "budgets": [{"max_limit": 5, "reset_duration": "1d"}, {"max_limit": 50, "reset_duration": "1M"}],
    "rate_limit": {
        "token_max_limit": 200_000,
        "token_reset_duration": "1m",
        "request_max_limit": 60,
        "request_reset_duration": "1m",
    },
    "provider_configs": [
        {"provider": "openai", "weight": 0.7, "allowed_models": ["*"], "key_ids": ["*"]},
        {"provider": "anthropic", "weight": 0.3, "allowed_models": ["*"], "key_ids": ["*"]},
    ],
}


def seed(settings: Settings) -> VirtualKey | None:
    """The demo key, made now if the store is empty; None in a store with other contents and no demo key."""
    return with_store(settings, lambda store: _seed(store, settings))


async def _seed(store: Store, settings: Settings) -> VirtualKey | None:
    kinds = (Kind.CUSTOMER, Kind.TEAM, Kind.VIRTUAL_KEY)
    if not any(await directory.count(store, *(keys.index(kind, "created") for kind in kinds))):
        return await _key(store, await _create(store, settings))
    found = await virtual_keys.find_keys(store, KeyFilter(search=KEY_NAME), Page(0, 100))
    named = (key.entity for key_id in found.ids if (key := found.snapshot.virtual_key(key_id)) is not None)
    return next((key for key in named if key.name == KEY_NAME), None)


async def _create(store: Store, settings: Settings) -> str:
    customer_id = await customers.create(store, parse(CreateCustomerRequest, orjson.dumps(_CUSTOMER)))
    team = {**_TEAM, "customer_id": customer_id}
    team_id = await teams.create(store, parse(CreateTeamRequest, orjson.dumps(team)))
    key = {**_KEY, "team_id": team_id}
    known = Known(known_providers(settings.providers), frozenset(settings.mcp_clients))
    return await virtual_keys.create(store, parse(CreateVirtualKeyRequest, orjson.dumps(key)), known)


async def _key(store: Store, key_id: str) -> VirtualKey | None:
    stored = (await read(store, [Ref(Kind.VIRTUAL_KEY, key_id)])).virtual_key(key_id)
    return stored.entity if stored else None
