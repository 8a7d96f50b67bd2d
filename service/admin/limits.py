"""All budgets and rate limits there are, with whose they are."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from service.entities import Budget, Counters, Kind, LimitOwner, ModelConfig, ProviderConfig, RateLimit, VirtualKey
from service.store import directory, keys
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot, Stored, read

_CHUNK: Final = 100
_INDEXES: Final = {
    Kind.CUSTOMER: "created",
    Kind.TEAM: "created",
    Kind.VIRTUAL_KEY: "created",
    Kind.MODEL_CONFIG: "created",
    Kind.PROVIDER: "name",
}


@dataclass(frozen=True, slots=True)
class LimitsOfOwner:
    """`named` is the member of a published budget that says whose it is."""

    named: dict[str, str | int]
    aligned: bool
    budgets: tuple[Budget, ...]
    rate_limit: RateLimit | None
    counters: Counters
    now_ms: int


async def owners_of_limits(store: Store) -> AsyncIterator[LimitsOfOwner]:
    """Every owner, a virtual key's provider configs and limits on models as owners of their own; read in chunks."""
    for kind, order in _INDEXES.items():
        ids: list[str] = []
        async for _, entity_id in directory.scan(store, keys.index(kind, order)):
            ids.append(entity_id)
            if len(ids) == _CHUNK:
                for owner in await _read_owners(store, kind, ids):
                    yield owner
                ids = []
        for owner in await _read_owners(store, kind, ids):
            yield owner


async def _read_owners(store: Store, kind: Kind, ids: list[str]) -> list[LimitsOfOwner]:
    if not ids:
        return []
    snapshot = await read(store, (Ref(kind, entity_id) for entity_id in ids))
    return [owner for entity_id in ids for owner in _owners(snapshot, kind, entity_id)]


def _owners(snapshot: Snapshot, kind: Kind, entity_id: str) -> Iterator[LimitsOfOwner]:
    match kind:
        case Kind.VIRTUAL_KEY:
            if key := snapshot.virtual_key(entity_id):
                yield _whole(snapshot, {"virtual_key_id": entity_id}, key.entity, key.counters)
                for config in key.entity.provider_configs:
                    yield _part(snapshot, {"provider_config_id": config.id}, config, key)
        case Kind.MODEL_CONFIG:
            if model_config := snapshot.model_config(entity_id):
                named: dict[str, str | int] = {"model_config_id": entity_id}
                key_of_config = snapshot.key_of_model_config(entity_id)
                if key_of_config is None:
                    yield _whole(snapshot, named, model_config.entity, model_config.counters)
                else:
                    yield _part(snapshot, named, model_config.entity, key_of_config)
        case Kind.TEAM:
            if team := snapshot.team(entity_id):
                yield _whole(snapshot, {"team_id": entity_id}, team.entity, team.counters)
        case Kind.CUSTOMER:
            if customer := snapshot.customer(entity_id):
                yield _whole(snapshot, {"customer_id": entity_id}, customer.entity, customer.counters)
        case Kind.PROVIDER:
            if provider := snapshot.provider(entity_id):
                yield _whole(snapshot, {}, provider.entity, provider.counters)


def _whole(snapshot: Snapshot, named: dict[str, str | int], owner: LimitOwner, counters: Counters) -> LimitsOfOwner:
    return LimitsOfOwner(named, owner.calendar_aligned, owner.budgets, owner.rate_limit, counters, snapshot.now_ms)


def _part(
    snapshot: Snapshot, named: dict[str, str | int], part: ProviderConfig | ModelConfig, key: Stored[VirtualKey]
) -> LimitsOfOwner:
    """Counted in its key, on the key's calendar."""
    return LimitsOfOwner(named, key.entity.calendar_aligned, part.budgets, part.rate_limit, key.counters, snapshot.now_ms)
