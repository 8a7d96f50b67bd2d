"""What a virtual key may still use, as its holder sees it. Hot."""

from collections.abc import Iterator
from typing import Any

import orjson

from service.api.headers import Policies, RawHeaders
from service.api.rendering.limits import budgets, count_budget, count_rate_limit, rate_limit
from service.api.rendering.virtual_keys import by_provider, provider_configs
from service.entities import Budget, Counters, ModelConfig, ProviderConfig, RateLimit, VirtualKey
from service.quota.decision import read_counters
from service.quota.plan import own_limits
from service.windows import Window, window_of_budget, windows_of_rate_limit


class QuotaView:
    """The answer for one configuration of a key: made once, its counters filled in for every read.

    What is filled in is written out at once, so that readers who share a view never see each other's numbers.
    """

    def __init__(self, key: VirtualKey) -> None:
        self._body = quota_body(key, {}, 0)
        self._budgets: list[tuple[dict[str, Any], Budget, Window]] = []
        self._rate_limits: list[tuple[dict[str, Any], RateLimit, tuple[Window, Window]]] = []
        self._own_limits = own_limits(key)
        self._policies = Policies(self._own_limits)
        aligned = key.calendar_aligned
        for owner, shown in _owners(key, self._body):
            for budget, body in zip(owner.budgets, shown.get("budgets", ()), strict=True):
                self._budgets.append((body, budget, window_of_budget(budget, aligned=aligned)))
            if owner.rate_limit is not None:
                windows = windows_of_rate_limit(owner.rate_limit, aligned=aligned)
                self._rate_limits.append((shown["rate_limit"], owner.rate_limit, windows))

    def show(self, counters: Counters, now_ms: int) -> bytes:
        for body, budget, window in self._budgets:
            count_budget(body, budget, window, counters, now_ms)
        for body, limit, windows in self._rate_limits:
            count_rate_limit(body, limit, windows, counters, now_ms)
        return orjson.dumps(self._body)

    def headers(self, counters: Counters, now_ms: int) -> RawHeaders:
        """Of the limits of the key itself: those of one provider or model do not bind every request."""
        return self._policies.headers(read_counters(self._own_limits, counters, now_ms), now_ms)


def _owners(key: VirtualKey, body: dict[str, Any]) -> Iterator[tuple[VirtualKey | ProviderConfig | ModelConfig, dict[str, Any]]]:
    """Whoever has limits in this answer, and where they are shown."""
    yield key, body
    yield from zip(by_provider(key), body["provider_configs"], strict=True)
    yield from zip(key.model_configs, body["model_configs"], strict=True)


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
