"""Owners of limits for tests: one way to create and update each kind, and counters that follow the edits as the store does."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from service.entities import Budget, Counter, CounterEdits, Counters, LimitOwner, RateLimit, VirtualKey
from service.governance import customers, model_configs, providers, teams
from service.models.customers import CreateCustomerRequest, UpdateCustomerRequest
from service.models.model_configs import CreateModelConfigRequest, UpdateModelConfigRequest
from service.models.parsing import parse
from service.models.provider_governance import UpdateProviderGovernanceRequest
from service.models.strict import StrictModel
from service.models.teams import CreateTeamRequest, UpdateTeamRequest
from service.windows import CarryOver, Window, current, window_of
from tests.carry_over import carry_over

Body = dict[str, Any]


@dataclass(frozen=True)
class Owned:
    """What one owner shows of its limits, wherever they are counted."""

    entity: LimitOwner
    counters: CounterEdits
    aligned: bool
    budgets: tuple[Budget, ...]
    rate_limit: RateLimit | None
    next_slot: int


@dataclass(frozen=True)
class OwnerKind:
    name: str
    keeps_bare_rate_limits: bool
    create: Callable[[Body, int], Owned]
    update: Callable[[Owned, Body, int], Owned]

    def __str__(self) -> str:
        return self.name


def body_of(model: type[StrictModel], body: Body) -> Any:
    return parse(model, json.dumps(body).encode())


def _owned(edited: Any) -> Owned:
    entity = edited.entity
    return Owned(entity, edited.counters, entity.calendar_aligned, entity.budgets, entity.rate_limit, entity.next_slot)


def _in_key(edited: Any) -> Owned:
    key = edited.entity
    config = key.model_configs[-1]
    return Owned(key, edited.counters, key.calendar_aligned, config.budgets, config.rate_limit, key.next_slot)


def a_key(*, now_ms: int, aligned: bool = False) -> VirtualKey:
    return VirtualKey(
        id="key", name="key", value="sk-bf-1", calendar_aligned=aligned, next_slot=5, created_at_ms=now_ms, updated_at_ms=now_ms
    )


def _create_team(body: Body, now_ms: int) -> Owned:
    return _owned(teams.create(body_of(CreateTeamRequest, {"name": "n"} | body), now_ms=now_ms, entity_id="team"))


def _update_team(stored: Owned, body: Body, now_ms: int) -> Owned:
    return _owned(teams.update(stored.entity, body_of(UpdateTeamRequest, body), now_ms=now_ms))  # type: ignore[arg-type]


def _create_customer(body: Body, now_ms: int) -> Owned:
    return _owned(customers.create(body_of(CreateCustomerRequest, {"name": "n"} | body), now_ms=now_ms, entity_id="customer"))


def _update_customer(stored: Owned, body: Body, now_ms: int) -> Owned:
    return _owned(customers.update(stored.entity, body_of(UpdateCustomerRequest, body), now_ms=now_ms))  # type: ignore[arg-type]


def _create_provider(body: Body, now_ms: int) -> Owned:
    return _update_provider(_owned_provider(now_ms), body, now_ms)


def _owned_provider(now_ms: int) -> Owned:
    return Owned(providers.unconfigured("openai", now_ms=now_ms), CounterEdits({}, set()), False, (), None, 1)


def _update_provider(stored: Owned, body: Body, now_ms: int) -> Owned:
    request = body_of(UpdateProviderGovernanceRequest, body)
    return _owned(providers.update(stored.entity, request, now_ms=now_ms))  # type: ignore[arg-type]


def _create_model_config(body: Body, now_ms: int) -> Owned:
    request = body_of(CreateModelConfigRequest, {"model_name": "gpt-4o"} | body)
    return _owned(model_configs.create(request, now_ms=now_ms, entity_id="config"))


def _update_model_config(stored: Owned, body: Body, now_ms: int) -> Owned:
    return _owned(model_configs.update(stored.entity, body_of(UpdateModelConfigRequest, body), now_ms=now_ms))  # type: ignore[arg-type]


def _create_in_key(body: Body, now_ms: int) -> Owned:
    """The key's calendar_aligned governs: what the body says of it becomes the key's here."""
    request = body_of(CreateModelConfigRequest, {"model_name": "gpt-4o", "scope": "virtual_key", "scope_id": "key"} | body)
    key = a_key(now_ms=now_ms, aligned=bool(body.get("calendar_aligned")))
    return _in_key(model_configs.create_in_key(key, request, now_ms=now_ms, entity_id="config"))


def _update_in_key(stored: Owned, body: Body, now_ms: int) -> Owned:
    key = stored.entity
    assert isinstance(key, VirtualKey)
    return _in_key(
        model_configs.update_in_key(key, key.model_configs[-1], body_of(UpdateModelConfigRequest, body), now_ms=now_ms)
    )


TEAM = OwnerKind("team", False, _create_team, _update_team)
CUSTOMER = OwnerKind("customer", False, _create_customer, _update_customer)
PROVIDER = OwnerKind("provider", True, _create_provider, _update_provider)
MODEL_CONFIG = OwnerKind("model config", False, _create_model_config, _update_model_config)
MODEL_CONFIG_IN_KEY = OwnerKind("model config in a key", False, _create_in_key, _update_in_key)

WITH_OWN_ALIGNMENT = (TEAM, CUSTOMER, PROVIDER, MODEL_CONFIG)
CREATED_BY_POST = (TEAM, CUSTOMER, MODEL_CONFIG, MODEL_CONFIG_IN_KEY)
OWNERS = (*WITH_OWN_ALIGNMENT, MODEL_CONFIG_IN_KEY)


def applied(counters: Counters, edits: CounterEdits, now_ms: int) -> Counters:
    """Counters after a commit."""
    after = {slot: counter for slot, counter in counters.items() if slot not in edits.drops}
    for slot, edit in edits.writes.items():
        counter = after.get(slot, Counter())
        if isinstance(edit, CarryOver):
            counter = carry_over(counter, edit, now_ms)
        if edit.usage is not None:
            counter = counter._replace(usage=edit.usage)
        if edit.last_reset_ms is not None:
            counter = counter._replace(last_reset_ms=edit.last_reset_ms)
        after[slot] = counter
    return after


def windows(owned: Owned) -> dict[int, Window]:
    """The window of every counter of the owner, by slot."""
    found = {budget.slot: window_of(budget.reset_duration, budget.calendar_aligned or owned.aligned) for budget in owned.budgets}
    if owned.rate_limit is not None:
        found[owned.rate_limit.token_slot] = window_of(owned.rate_limit.token_reset_duration, owned.aligned)
        found[owned.rate_limit.request_slot] = window_of(owned.rate_limit.request_reset_duration, owned.aligned)
    return found


def readings(owned: Owned, counters: Counters, now_ms: int) -> Counters:
    """What a client sees of every counter."""
    return {slot: current(counters.get(slot, Counter()), window, now_ms) for slot, window in windows(owned).items()}
