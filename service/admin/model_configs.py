"""Model configs: create, update, delete; those of a virtual key are changes of the key."""

from uuid import uuid4

from service.admin.listing import Found, Page, find, narrowed
from service.admin.references import unknown
from service.admin.virtual_keys import replace_key
from service.entities import Kind, ModelConfig
from service.errors import NotFound
from service.governance import model_configs as rules
from service.models.model_configs import CreateModelConfigRequest, UpdateModelConfigRequest
from service.store import keys
from service.store.change import Change, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot


def not_found(config_id: str) -> NotFound:
    return NotFound(f"there is no model config {config_id}")


async def create(store: Store, request: CreateModelConfigRequest) -> str:
    """The id of the new model config."""
    config_id = str(uuid4())
    in_key = request.resolved_scope == "virtual_key"
    key_id = request.scope_id or ""

    def build(snapshot: Snapshot) -> Change:
        change = Change(snapshot.now_ms)
        if not in_key:
            edited = rules.create(request, now_ms=snapshot.now_ms, entity_id=config_id)
            change.create(Kind.MODEL_CONFIG, edited.entity, edited.counters)
            return change
        key = snapshot.virtual_key(key_id)
        if key is None:
            raise unknown(Kind.VIRTUAL_KEY, "scope_id")
        edited_key = rules.create_in_key(key.entity, request, now_ms=snapshot.now_ms, entity_id=config_id)
        replace_key(change, snapshot, key, edited_key.entity, edited_key.counters)
        change.create_in_key(edited_key.entity.model_configs[-1])
        return change

    await transact(store, [Ref(Kind.VIRTUAL_KEY, key_id)] if in_key else [], build)
    return config_id


async def update(store: Store, config_id: str, request: UpdateModelConfigRequest) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.model_config(config_id)
        if stored is None:
            raise not_found(config_id)
        change = Change(snapshot.now_ms)
        key = snapshot.key_of_model_config(config_id)
        if key is None:
            edited = rules.update(stored.entity, request, now_ms=snapshot.now_ms)
            change.replace(Kind.MODEL_CONFIG, stored, edited.entity, edited.counters)
            return change
        edited_key = rules.update_in_key(key.entity, stored.entity, request, now_ms=snapshot.now_ms)
        replace_key(change, snapshot, key, edited_key.entity, edited_key.counters)
        changed = next(config for config in edited_key.entity.model_configs if config.id == config_id)
        change.replace_in_key(stored.entity, changed)
        return change

    await transact(store, [Ref(Kind.MODEL_CONFIG, config_id)], build)


async def delete(store: Store, config_id: str) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.model_config(config_id)
        if stored is None:
            raise not_found(config_id)
        change = Change(snapshot.now_ms)
        key = snapshot.key_of_model_config(config_id)
        if key is None:
            change.delete(Kind.MODEL_CONFIG, stored)
            return change
        edited_key = rules.remove_from_key(key.entity, stored.entity, now_ms=snapshot.now_ms)
        replace_key(change, snapshot, key, edited_key.entity, edited_key.counters)
        change.delete_in_key(stored.entity)
        return change

    await transact(store, [Ref(Kind.MODEL_CONFIG, config_id)], build)


async def find_configs(store: Store, page: Page | None, *, scope: str, provider: str, search: str) -> Found:
    """Oldest first, newest first when paged. A filter reads all model configs: there are few."""
    index = keys.index(Kind.MODEL_CONFIG, "created")
    descending = page is not None
    if not (scope or provider):
        return await find(store, Kind.MODEL_CONFIG, index, page, search=search, descending=descending)
    everything = await find(store, Kind.MODEL_CONFIG, index, None, search=search, descending=descending)

    def passes(config: ModelConfig) -> bool:
        return scope in ("", config.scope) and provider in ("", config.provider)

    return narrowed(everything, everything.snapshot.model_config, passes, page)
