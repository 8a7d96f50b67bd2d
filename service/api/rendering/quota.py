"""What a virtual key may still use, as its holder sees it. Hot."""

from collections.abc import Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import orjson

from service.api.at_once import JSON_LINE
from service.api.headers import policy_lines
from service.api.rendering.limits import FOR_EVER_MS, CountedBudget, CountedRateLimit, budget_bodies, rate_limit_body
from service.api.rendering.templates import JsonTemplate, TimedJson, placeholder_for
from service.api.rendering.virtual_keys import by_provider, provider_config_bodies
from service.entities import Counters, ModelConfig, ProviderConfig, VirtualKey
from service.quota.decision import read_counters
from service.quota.plan import own_limits

Text = TypeVar("Text")


class QuotaView:
    """The answer for one configuration of a key: what was told last is told again as long as it is true."""

    def __init__(self, key: VirtualKey) -> None:
        self._key = key
        self._was_shown = False
        self._body: _Body | None = None
        self._own_limits = own_limits(key)
        self._lines = policy_lines(self._own_limits)
        self._head = _Told(None, 0, 0, b"")

    def show(self, counters: Counters, now_ms: int) -> bytes:
        if self._body is None:
            if not self._was_shown:
                # Where more keys are in use than a worker keeps, most are shown once: to prepare for more would take longer.
                self._was_shown = True
                return orjson.dumps(quota_body(self._key, counters, now_ms))
            self._body = _Body(self._key)
        return self._body.show(counters, now_ms)

    def header_lines(self, counters: Counters, now_ms: int) -> bytes:
        """Of the limits of the key itself: those of one provider or model do not bind every request."""
        if not self._head.is_true(counters, now_ms):
            readings = read_counters(self._own_limits, counters, now_ms)
            lines = JSON_LINE + self._lines.fill_with(readings, now_ms)
            # They count whole seconds to each reset.
            until_ms = min((now_ms + (reading.resets_at_ms - now_ms - 1) % 1000 + 1 for reading in readings), default=FOR_EVER_MS)
            self._head = _Told(counters, now_ms, until_ms, lines)
        return self._head.text


class _Body:
    """Written once, what counters say is filled in. Told again while the same counters are given and no moment has come at which
    something changes.
    """

    def __init__(self, key: VirtualKey) -> None:
        body = quota_body(key, {}, 0)
        self._counted = []
        for counted, shown in _counted(key, body):
            self._counted.append(counted)
            shown.update({member: placeholder_for(shown[member]) for member in counted.members})
        self._json = JsonTemplate(body)
        self._told = _Told(None, 0, 0, TimedJson((), ()))

    def show(self, counters: Counters, now_ms: int) -> bytes:
        if not self._told.is_true(counters, now_ms):
            said: list[str | int | float] = []
            for counted in self._counted:
                said += counted.say(counters, now_ms)
            until_ms = min((counted.until_ms for counted in self._counted), default=FOR_EVER_MS)
            self._told = _Told(counters, now_ms, until_ms, self._json.fill(said))
        return self._told.text.at(now_ms)


class _Told(NamedTuple, Generic[Text]):
    """True of these very counters from `from_ms` on, until `until_ms`. The clock may go back: another Redis, another clock."""

    counters: Counters | None
    from_ms: int
    until_ms: int
    text: Text

    def is_true(self, counters: Counters, now_ms: int) -> bool:
        return counters is self.counters and self.from_ms <= now_ms < self.until_ms


def quota_body(key: VirtualKey, counters: Counters, now_ms: int) -> dict[str, Any]:
    aligned = key.calendar_aligned
    limit = rate_limit_body(key.rate_limit, counters, now_ms, aligned=aligned) if key.rate_limit is not None else None
    return {
        "virtual_key_name": key.name,
        "is_active": key.is_active,
        "budgets": budget_bodies(key.budgets, counters, now_ms, aligned=aligned, owner={"virtual_key_id": key.id}),
        "rate_limit": limit,
        "provider_configs": provider_config_bodies(key, counters, now_ms, with_keys=False),
        "model_configs": [_model_config(config, counters, now_ms, aligned=aligned) for config in key.model_configs],
        "rate_limits": [] if limit is None else [limit.copy()],
    }


def _model_config(config: ModelConfig, counters: Counters, now_ms: int, *, aligned: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"model_name": config.model_name}
    if config.provider is not None:
        shown["provider"] = config.provider
    if config.budgets:
        owner = {"model_config_id": config.id}
        shown["budgets"] = budget_bodies(config.budgets, counters, now_ms, aligned=aligned, owner=owner)
    if config.rate_limit is not None:
        shown["rate_limit"] = rate_limit_body(config.rate_limit, counters, now_ms, aligned=aligned)
    return shown


def _counted(key: VirtualKey, body: dict[str, Any]) -> Iterator[tuple[CountedBudget | CountedRateLimit, dict[str, Any]]]:
    """The limits in the order in which they stand in the body, and where they stand."""
    aligned = key.calendar_aligned
    for owner, shown in _owners(key, body):
        for budget, budget_shown in zip(owner.budgets, shown.get("budgets", ()), strict=True):
            yield CountedBudget(budget, aligned=aligned), budget_shown
        if owner.rate_limit is not None:
            yield CountedRateLimit(owner.rate_limit, aligned=aligned), shown["rate_limit"]
    if key.rate_limit is not None:
        yield CountedRateLimit(key.rate_limit, aligned=aligned), body["rate_limits"][0]


def _owners(key: VirtualKey, body: dict[str, Any]) -> Iterator[tuple[VirtualKey | ProviderConfig | ModelConfig, dict[str, Any]]]:
    """Whoever has limits in this answer, and where they are shown."""
    yield key, body
    yield from zip(by_provider(key), body["provider_configs"], strict=True)
    yield from zip(key.model_configs, body["model_configs"], strict=True)
