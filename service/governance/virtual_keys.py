"""Rules for virtual keys: what a create or an update makes of the request and of what is stored."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from service.entities import Budget, McpConfig, ProviderConfig, VirtualKey
from service.errors import InvalidRequest
from service.governance.edits import Edited, LimitEditor
from service.governance.limits import create_limits, dated, edit_limits
from service.models.virtual_keys import (
    CreateVirtualKeyRequest,
    McpConfigRequest,
    ProviderConfigRequest,
    UpdateVirtualKeyRequest,
)
from service.settings import VIRTUAL_KEY_PREFIX

Config = TypeVar("Config", ProviderConfig, McpConfig)


@dataclass(frozen=True, slots=True)
class Known:
    """Names that a key may refer to although they are no entities here."""

    providers: frozenset[str]
    mcp_clients: frozenset[str]


def new_value() -> str:
    """The secret of a new key; whoever holds it is the key."""
    return f"{VIRTUAL_KEY_PREFIX}{uuid.uuid4()}"


def create(
    request: CreateVirtualKeyRequest, *, key_id: str, value: str, now_ms: int, known: Known, numbers: Iterator[int]
) -> Edited[VirtualKey]:
    """`numbers` gives each provider config and MCP config its id."""
    editor = LimitEditor.for_new(request.calendar_aligned, now_ms=now_ms)
    provider_configs = _provider_configs(None, request.provider_configs or (), editor, known, numbers)
    mcp_configs = _mcp_configs(None, request.mcp_configs or (), known, numbers)
    limits = create_limits(editor, request, keep_bare=True)
    key = VirtualKey(
        id=key_id,
        name=request.name,
        value=value,
        description=request.description or "",
        is_active=request.is_active is not False,
        expires_at_ms=_expiry(request, None, now_ms),
        team_id=request.team_id or None,
        customer_id=request.customer_id or None,
        calendar_aligned=editor.aligned,
        enforcement=request.enforcement or None,
        provider_configs=provider_configs,
        mcp_configs=mcp_configs,
        budgets=limits.budgets,
        rate_limit=limits.rate_limit,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )
    return Edited(replace(key, next_slot=editor.next_slot), editor.counters())


def update(
    stored: VirtualKey, request: UpdateVirtualKeyRequest, *, now_ms: int, known: Known, numbers: Iterator[int]
) -> Edited[VirtualKey]:
    """Everything left out stays; budgets and configs that stay keep their ids and what they counted."""
    editor = LimitEditor.for_stored(stored, request.calendar_aligned, now_ms=now_ms)
    provider_configs = _edited_provider_configs(stored, request, editor, known, numbers)
    mcp_configs = _edited_mcp_configs(stored, request, known, numbers)
    limits = edit_limits(editor, stored, request, keep_bare=True)
    key = replace(
        stored,
        name=stored.name if request.name is None else request.name,
        description=stored.description if request.description is None else request.description,
        is_active=stored.is_active if request.is_active is None else request.is_active,
        expires_at_ms=_expiry(request, stored.expires_at_ms, now_ms),
        team_id=(request.team_id or None) if request.moves else stored.team_id,
        customer_id=(request.customer_id or None) if request.moves else stored.customer_id,
        calendar_aligned=editor.aligned,
        enforcement=stored.enforcement if request.enforcement is None else request.enforcement or None,
        provider_configs=provider_configs,
        mcp_configs=mcp_configs,
        budgets=limits.budgets,
        rate_limit=limits.rate_limit,
    )
    # The key's calendar governs the limits on its models too.
    for config in stored.model_configs:
        editor.keep(config.budgets, config.rate_limit)
    if request.reset_budget_usage:
        for provider_config in key.provider_configs:
            editor.reset_usage(provider_config.budgets)
    return Edited(dated(stored, replace(key, next_slot=editor.next_slot), now_ms=now_ms), editor.counters())


def _expiry(request: CreateVirtualKeyRequest | UpdateVirtualKeyRequest, stored_ms: int | None, now_ms: int) -> int | None:
    """Left out: as stored; the empty string: never. A key that has expired may be changed by whoever sends back all of it."""
    if request.expires_at is None:
        return stored_ms
    expires_at_ms = request.expires_at_ms
    if expires_at_ms is not None and expires_at_ms != stored_ms and expires_at_ms <= now_ms:
        raise InvalidRequest("expires_at must lie in the future", param="expires_at")
    return expires_at_ms


def _edited_provider_configs(
    stored: VirtualKey, request: UpdateVirtualKeyRequest, editor: LimitEditor, known: Known, numbers: Iterator[int]
) -> tuple[ProviderConfig, ...]:
    if request.provider_configs is not None:
        return _provider_configs(stored.provider_configs, request.provider_configs, editor, known, numbers)
    for config in stored.provider_configs:
        editor.keep(config.budgets, config.rate_limit)
    return stored.provider_configs


def _provider_configs(
    stored: tuple[ProviderConfig, ...] | None,
    requests: tuple[ProviderConfigRequest, ...],
    editor: LimitEditor,
    known: Known,
    numbers: Iterator[int],
) -> tuple[ProviderConfig, ...]:
    """The complete new list: entries with an id change that config, the others are new, stored ones not named go.

    `stored` None: the key itself is new, where an id means nothing.
    """
    going = {config.id: config for config in stored or ()}
    configs = []
    for place, request in enumerate(requests):
        path = f"provider_configs[{place}]"
        if request.provider not in known.providers:
            raise InvalidRequest(
                f"{path}.provider is not a configured provider: use one that is, or add it with QUOTAD_PROVIDERS",
                param=f"{path}.provider",
            )
        old = None if stored is None else _taken(going, request.id, path)
        configs.append(
            ProviderConfig(
                id=next(numbers) if old is None else old.id,
                provider=request.provider,
                weight=request.weight,
                allowed_models=request.allowed_models or (),
                blacklisted_models=request.blacklisted_models or (),
                allow_all_keys=request.allow_all_keys,
                key_ids=() if request.allow_all_keys else request.key_ids or (),
                budgets=_budgets(old, request, editor, path),
                rate_limit=editor.edit_rate_limit(old.rate_limit if old else None, request.rate_limit, keep_bare=True),
            )
        )
    for config in going.values():
        editor.drop(config.budgets, config.rate_limit)
    return tuple(configs)


def _budgets(old: ProviderConfig | None, request: ProviderConfigRequest, editor: LimitEditor, path: str) -> tuple[Budget, ...]:
    if request.budget is not None:
        return editor.edit_single_budget(old.budgets if old else (), request.budget, path=f"{path}.budget")
    if old is None:
        return editor.create_budgets(request.budgets or ())
    return editor.edit_budgets(old.budgets, request.budgets, path=f"{path}.budgets")


def _edited_mcp_configs(
    stored: VirtualKey, request: UpdateVirtualKeyRequest, known: Known, numbers: Iterator[int]
) -> tuple[McpConfig, ...]:
    if request.mcp_configs is None:
        return stored.mcp_configs
    return _mcp_configs(stored.mcp_configs, request.mcp_configs, known, numbers)


def _mcp_configs(
    stored: tuple[McpConfig, ...] | None, requests: tuple[McpConfigRequest, ...], known: Known, numbers: Iterator[int]
) -> tuple[McpConfig, ...]:
    going = {config.id: config for config in stored or ()}
    configs = []
    for place, request in enumerate(requests):
        path = f"mcp_configs[{place}]"
        if request.mcp_client_name not in known.mcp_clients:
            raise InvalidRequest(
                f"{path}.mcp_client_name is not a configured MCP client: name it in QUOTAD_MCP_CLIENTS first",
                param=f"{path}.mcp_client_name",
            )
        old = None if stored is None else _taken(going, request.id, path)
        configs.append(
            McpConfig(
                id=next(numbers) if old is None else old.id,
                mcp_client_name=request.mcp_client_name,
                tools_to_execute=request.tools_to_execute or (),
            )
        )
    return tuple(configs)


def _taken(going: dict[int, Config], wanted: int | None, path: str) -> Config | None:
    """The stored entry that a request means, taken out of those that go; None when it asks for a new one."""
    if wanted is None:
        return None
    if wanted not in going:
        raise InvalidRequest(f"{path}.id is not that of an entry of this key: leave it out to create one", param=f"{path}.id")
    return going.pop(wanted)
