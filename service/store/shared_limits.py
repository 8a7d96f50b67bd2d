"""Reading what binds the requests of every key: provider governance and global model configs."""

from typing import Final

from service.entities import Kind, ModelConfig, Provider
from service.store import directory, keys
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Stored, read

_GLOBAL: Final = f"global{keys.SEPARATOR}"
"""How the identities of global model configs begin; those that keys hold come after them."""


async def read_shared_limits(store: Store) -> tuple[list[Stored[Provider]], list[Stored[ModelConfig]]]:
    providers = [Ref(Kind.PROVIDER, name) async for _, name in directory.scan(store, keys.index(Kind.PROVIDER, "name"))]
    configs = [Ref(Kind.MODEL_CONFIG, config_id) for config_id in await _global_model_configs(store)]
    snapshot = await read(store, [*providers, *configs], counters=False)
    return (
        [provider for ref in providers if (provider := snapshot.provider(ref.id)) is not None],
        [config for ref in configs if (config := snapshot.model_config(ref.id)) is not None],
    )


async def _global_model_configs(store: Store) -> list[str]:
    listed = directory.scan(store, keys.index(Kind.MODEL_CONFIG, "identity"))
    found = []
    async for identity, config_id in listed:
        if not identity.startswith(_GLOBAL):
            break
        found.append(config_id)
    return found
