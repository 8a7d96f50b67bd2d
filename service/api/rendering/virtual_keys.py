"""Virtual keys as an admin sees them, secret included."""

from typing import Any

from service.api.rendering.limits import budget_bodies, rate_limit_body
from service.api.rendering.times import timestamp
from service.entities import Counters, McpConfig, ProviderConfig, VirtualKey


def virtual_key_body(
    stored: VirtualKey,
    counters: Counters,
    now_ms: int,
    *,
    team: dict[str, Any] | None = None,
    customer: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """`team` and `customer` are embedded when given. Clear a team_id or customer_id that names nothing any more before."""
    aligned = stored.calendar_aligned
    shown: dict[str, Any] = {"id": stored.id, "name": stored.name, "value": stored.value}
    if stored.description:
        shown["description"] = stored.description
    shown["is_active"] = stored.is_active
    if stored.expires_at_ms is not None:
        shown["expires_at"] = timestamp(stored.expires_at_ms)
    if stored.enforcement is not None:
        shown["enforcement"] = stored.enforcement
    shown["provider_configs"] = provider_config_bodies(stored, counters, now_ms)
    shown["mcp_configs"] = [_mcp_config(config, stored.id) for config in stored.mcp_configs]
    if stored.team_id is not None:
        shown["team_id"] = stored.team_id
    if stored.customer_id is not None:
        shown["customer_id"] = stored.customer_id
    if team is not None:
        shown["team"] = team
    if customer is not None:
        shown["customer"] = customer
    shown["budgets"] = budget_bodies(stored.budgets, counters, now_ms, aligned=aligned, owner={"virtual_key_id": stored.id})
    if stored.rate_limit is not None:
        shown["rate_limit_id"] = stored.rate_limit.id
        shown["rate_limit"] = rate_limit_body(stored.rate_limit, counters, now_ms, aligned=aligned)
    shown["calendar_aligned"] = aligned
    shown["config_hash"] = ""
    shown["created_at"] = timestamp(stored.created_at_ms)
    shown["updated_at"] = timestamp(stored.updated_at_ms)
    return shown


def provider_config_bodies(
    stored: VirtualKey, counters: Counters, now_ms: int, *, with_keys: bool = True
) -> list[dict[str, Any]]:
    return [_provider_config(config, stored, counters, now_ms, with_keys=with_keys) for config in by_provider(stored)]


def by_provider(stored: VirtualKey) -> list[ProviderConfig]:
    """In the order in which they are shown."""
    return sorted(stored.provider_configs, key=lambda config: (config.provider, config.id))


def _provider_config(
    config: ProviderConfig, key: VirtualKey, counters: Counters, now_ms: int, *, with_keys: bool
) -> dict[str, Any]:
    aligned = key.calendar_aligned
    shown: dict[str, Any] = {
        "id": config.id,
        "virtual_key_id": key.id,
        "provider": config.provider,
        "weight": config.weight,
        "allowed_models": config.allowed_models,
        "blacklisted_models": config.blacklisted_models,
        "allow_all_keys": config.allow_all_keys,
        "keys": [{"key_id": key_id} for key_id in config.key_ids] if with_keys else None,
    }
    if config.budgets:
        owner = {"provider_config_id": config.id}
        shown["budgets"] = budget_bodies(config.budgets, counters, now_ms, aligned=aligned, owner=owner)
    if config.rate_limit is not None:
        shown["rate_limit_id"] = config.rate_limit.id
        shown["rate_limit"] = rate_limit_body(config.rate_limit, counters, now_ms, aligned=aligned)
    return shown


def _mcp_config(config: McpConfig, virtual_key_id: str) -> dict[str, Any]:
    """MCP clients are known by name only; the members that describe one are there for clients that expect them."""
    return {
        "id": config.id,
        "virtual_key_id": virtual_key_id,
        "mcp_client_id": 0,
        "mcp_client": {"name": config.mcp_client_name},
        "tools_to_execute": config.tools_to_execute,
    }
