"""Reading what binds the requests of every key: provider governance and global model configs, with the version they are of."""

from dataclasses import dataclass
from typing import Final

from service.entities import Kind, ModelConfig, Provider
from service.store import directory, keys
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import read
from service.store.versions import read_versions

_GLOBAL: Final = f"global{keys.SEPARATOR}"
"""How the identities of global model configs begin; those that keys hold come after them."""


@dataclass(frozen=True, slots=True)
class SharedEntities:
    """`version` may be older than the entities, never newer: the first decision by an older one reads again."""

    version: int
    providers: tuple[Provider, ...]
    model_configs: tuple[ModelConfig, ...]


async def read_shared_limits(store: Store) -> SharedEntities:
    version = (await read_versions(store)).limits
    providers = [Ref(Kind.PROVIDER, name) async for _, name in directory.scan(store, keys.index(Kind.PROVIDER, "name"))]
    configs = [Ref(Kind.MODEL_CONFIG, config_id) for config_id in await _global_model_configs(store)]
    snapshot = await read(store, [*providers, *configs], counters=False)
    return SharedEntities(
        version,
        tuple(provider.entity for ref in providers if (provider := snapshot.provider(ref.id)) is not None),
        tuple(config.entity for ref in configs if (config := snapshot.model_config(ref.id)) is not None),
    )


async def _global_model_configs(store: Store) -> list[str]:
    listed = directory.scan(store, keys.index(Kind.MODEL_CONFIG, "identity"))
    found = []
    async for identity, config_id in listed:
        if not identity.startswith(_GLOBAL):
            break
        found.append(config_id)
    return found
