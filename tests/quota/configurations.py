"""Short ways to write configurations: entities with the members that a plan looks at."""

from itertools import count
from typing import Any

from service.entities import Budget, Customer, ModelConfig, Provider, ProviderConfig, RateLimit, Team, VirtualKey
from service.quota.plan import Holder, SharedLimits
from service.store.snapshot import Stored

KNOWN_PROVIDERS = frozenset({"openai", "azure", "anthropic", "openrouter"})
TIMES: dict[str, Any] = {"created_at_ms": 0, "updated_at_ms": 0}


class Slots:
    """Numbers of counters, never twice."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def budget(self, name: str, reset_duration: str = "1d", *, dollars: int = 1, aligned: bool = False) -> Budget:
        return Budget(
            id=name,
            slot=next(self._numbers),
            max_limit_nanousd=dollars * 10**9,
            reset_duration=reset_duration,
            calendar_aligned=aligned,
            **TIMES,
        )

    def rate_limit(
        self, name: str, *, tokens: int | None = 1000, requests: int | None = 10, token_duration: str | None = "1h"
    ) -> RateLimit:
        return RateLimit(
            id=name,
            token_slot=next(self._numbers),
            request_slot=next(self._numbers),
            token_max_limit=tokens,
            token_reset_duration=token_duration,
            request_max_limit=requests,
            request_reset_duration="1m" if requests is not None else None,
            **TIMES,
        )


def provider_config(provider: str, **members: Any) -> ProviderConfig:
    return ProviderConfig(
        **{
            "id": 7,
            "provider": provider,
            "weight": 1.0,
            "allowed_models": ("*",),
            "blacklisted_models": (),
            "allow_all_keys": True,
            "key_ids": (),
            **members,
        }
    )


def virtual_key(*configs: ProviderConfig, **members: Any) -> VirtualKey:
    return VirtualKey(**{"id": "vk1", "name": "key", "value": "sk-bf-1", "provider_configs": configs, **TIMES, **members})


def model_config(config_id: str, model: str, provider: str | None = None, **members: Any) -> ModelConfig:
    return ModelConfig(
        **{"id": config_id, "model_name": model, "provider": provider, "scope": "global", "scope_id": None, **TIMES, **members}
    )


def team(**members: Any) -> Team:
    return Team(**{"id": "t1", "name": "team", **TIMES, **members})


def customer(**members: Any) -> Customer:
    return Customer(**{"id": "c1", "name": "customer", **TIMES, **members})


def provider(name: str, **members: Any) -> Provider:
    return Provider(**{"id": name, **TIMES, **members})


def holder(key: VirtualKey, of_team: Team | None = None, of_customer: Customer | None = None) -> Holder:
    return Holder(
        Stored(key, 3, {}),
        Stored(of_team, 4, {}) if of_team is not None else None,
        Stored(of_customer, 5, {}) if of_customer is not None else None,
    )


def shared(*entities: Provider | ModelConfig) -> SharedLimits:
    return SharedLimits(
        version=9,
        providers={one.id: Stored(one, 1, {}) for one in entities if isinstance(one, Provider)},
        model_configs={(one.model_name, one.provider): Stored(one, 1, {}) for one in entities if isinstance(one, ModelConfig)},
    )
