"""Entities to render, and the check that a body is what the document says."""

from typing import Any

import orjson
from pydantic import BaseModel

from service.entities import (
    Budget,
    Counter,
    McpConfig,
    ModelConfig,
    ProviderConfig,
    RateLimit,
    VirtualKey,
)

CREATED = 1_767_225_600_000  # Thursday 2026-01-01T00:00:00Z
NOW = CREATED + 36 * 3_600_000 + 5  # Friday 2026-01-02T12:00:00.005Z
TIMES: dict[str, Any] = {"created_at_ms": CREATED, "updated_at_ms": CREATED}
RECORD = {"config_hash": "", "created_at": "2026-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z"}


def fits(model: type[BaseModel], body: dict[str, Any]) -> dict[str, Any]:
    """The body as it travels, once the document is found to know every member of it."""
    text = orjson.dumps(body)
    model.model_validate_json(text, extra="forbid")
    decoded: dict[str, Any] = orjson.loads(text)
    return decoded


def a_budget(slot: int = 1, reset_duration: str = "1d", calendar_aligned: bool = False) -> Budget:
    return Budget(
        id=f"b{slot}",
        slot=slot,
        max_limit_nanousd=10_500_000_000,
        reset_duration=reset_duration,
        calendar_aligned=calendar_aligned,
        **TIMES,
    )


def a_rate_limit(slot: int = 3) -> RateLimit:
    return RateLimit(
        id=f"r{slot}",
        token_slot=slot,
        request_slot=slot + 1,
        token_max_limit=1000,
        token_reset_duration="1h",
        request_max_limit=10,
        request_reset_duration="1m",
        **TIMES,
    )


COUNTERS = {slot: Counter(slot * 10**9, NOW, 0) for slot in range(1, 20)}


def a_model_config(config_id: str, model_name: str, provider: str | None, **limits: Any) -> ModelConfig:
    """One that a virtual key holds."""
    return ModelConfig(
        id=config_id, model_name=model_name, provider=provider, scope="virtual_key", scope_id="k", **limits, **TIMES
    )


BARE_KEY = VirtualKey(id="k", name="key", value="sk-bf-1", **TIMES)
FULL_KEY = VirtualKey(
    id="k",
    name="key",
    value="sk-bf-1",
    description="for tests",
    is_active=False,
    expires_at_ms=NOW,
    team_id="t",
    calendar_aligned=True,
    enforcement="strict",
    provider_configs=(
        ProviderConfig(
            id=8,
            provider="openai",
            weight=None,
            allowed_models=("*",),
            blacklisted_models=("gpt-4",),
            allow_all_keys=False,
            key_ids=("k1", "k2"),
            budgets=(a_budget(5),),
            rate_limit=a_rate_limit(6),
        ),
        ProviderConfig(
            id=9,
            provider="azure",
            weight=0.5,
            allowed_models=(),
            blacklisted_models=(),
            allow_all_keys=True,
            key_ids=(),
        ),
    ),
    mcp_configs=(McpConfig(id=3, mcp_client_name="files", tools_to_execute=("*",)),),
    budgets=(a_budget(1), a_budget(2, "1M")),
    rate_limit=a_rate_limit(3),
    model_configs=(
        a_model_config("m", "gpt-4o", None, budgets=(a_budget(8),)),
        a_model_config("n", "*", "azure", rate_limit=a_rate_limit(9)),
    ),
    **TIMES,
)
