"""What a virtual key may still use, as its holder sees it. Hot."""

from typing import Any

from service.api.rendering.limits import budgets, rate_limit
from service.api.rendering.virtual_keys import provider_configs
from service.entities import Counters, ModelConfig, VirtualKey


def quota_body(key: VirtualKey, counters: Counters, now_ms: int) -> dict[str, Any]:
    aligned = key.calendar_aligned
    limit = rate_limit(key.rate_limit, counters, now_ms, aligned=aligned) if key.rate_limit is not None else None
    return {
        "virtual_key_name": key.name,
        "is_active": key.is_active,
        "budgets": budgets(key.budgets, counters, now_ms, aligned=aligned, owner={"virtual_key_id": key.id}),
        "rate_limit": limit,
        "provider_configs": provider_configs(key, counters, now_ms, with_keys=False),
        "model_configs": [_model_config(config, counters, now_ms, aligned=aligned) for config in key.model_configs],
        "rate_limits": [] if limit is None else [limit],
    }


def _model_config(config: ModelConfig, counters: Counters, now_ms: int, *, aligned: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"model_name": config.model_name}
    if config.provider is not None:
        shown["provider"] = config.provider
    if config.budgets:
        owner = {"model_config_id": config.id}
        shown["budgets"] = budgets(config.budgets, counters, now_ms, aligned=aligned, owner=owner)
    if config.rate_limit is not None:
        shown["rate_limit"] = rate_limit(config.rate_limit, counters, now_ms, aligned=aligned)
    return shown
