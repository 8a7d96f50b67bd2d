"""What is particular to teams, customers, providers and model configs: names, references, where their counters are."""

from typing import Any

import pytest

from service.entities import Budget, Customer, ModelConfig, Team, VirtualKey
from service.governance import customers, model_configs, providers, teams
from service.models.customers import CreateCustomerRequest, UpdateCustomerRequest
from service.models.model_configs import CreateModelConfigRequest, UpdateModelConfigRequest
from service.models.provider_governance import UpdateProviderGovernanceRequest
from service.models.teams import CreateTeamRequest, UpdateTeamRequest
from tests.governance.owners import OWNERS, Body, OwnerKind, a_key, body_of

T1, T2 = 1_773_835_200_000, 1_773_835_260_000

BUDGET = {"reset_duration": "1d", "max_limit": 10}
LIMITS = {"budgets": [BUDGET], "rate_limit": {"token_max_limit": 5, "token_reset_duration": "1h"}}


def test_a_new_team():
    edited = teams.create(body_of(CreateTeamRequest, {"name": "core"}), now_ms=T1, entity_id="t")
    assert edited.entity == Team(id="t", name="core", created_at_ms=T1, updated_at_ms=T1)


@pytest.mark.parametrize("sent, customer_id", [(None, None), ("", None), ("c1", "c1")])
def test_the_customer_of_a_new_team(sent: str | None, customer_id: str | None):
    request = body_of(CreateTeamRequest, {"name": "core", "customer_id": sent})
    assert teams.create(request, now_ms=T1, entity_id="t").entity.customer_id == customer_id


TEAM_UPDATES: list[tuple[Body, dict[str, Any]]] = [
    ({}, {}),
    ({"name": None, "customer_id": None, "calendar_aligned": None}, {}),
    ({"name": "core"}, {}),
    ({"name": "edge"}, {"name": "edge", "updated_at_ms": T2}),
    ({"customer_id": "c2"}, {"customer_id": "c2", "updated_at_ms": T2}),
    ({"customer_id": ""}, {"customer_id": None, "updated_at_ms": T2}),
    ({"calendar_aligned": True}, {"calendar_aligned": True, "updated_at_ms": T2}),
]


@pytest.mark.parametrize("body, changed", TEAM_UPDATES)
def test_update_a_team(body: Body, changed: dict[str, Any]):
    members: dict[str, Any] = {"name": "core", "customer_id": "c1", "created_at_ms": T1, "updated_at_ms": T1}
    edited = teams.update(Team(id="t", **members), body_of(UpdateTeamRequest, body), now_ms=T2)
    assert edited.entity == Team(id="t", **members | changed)


def test_a_customer():
    created = customers.create(body_of(CreateCustomerRequest, {"name": "acme"}), now_ms=T1, entity_id="c").entity
    assert created == Customer(id="c", name="acme", created_at_ms=T1, updated_at_ms=T1)
    renamed = customers.update(created, body_of(UpdateCustomerRequest, {"name": "acme 2"}), now_ms=T2).entity
    assert renamed == Customer(id="c", name="acme 2", created_at_ms=T1, updated_at_ms=T2)


def test_a_provider_begins_empty_and_an_empty_update_leaves_it_so():
    empty = providers.unconfigured("openai", now_ms=T1)
    edited = providers.update(empty, body_of(UpdateProviderGovernanceRequest, {}), now_ms=T2)
    assert edited.entity == empty
    assert edited.counters.writes == {}
    configured = providers.update(empty, body_of(UpdateProviderGovernanceRequest, LIMITS), now_ms=T2).entity
    assert (configured.id, configured.next_slot, configured.updated_at_ms) == ("openai", 4, T2)


NEW_MODEL_CONFIGS: list[tuple[Body, tuple[str | None, ...]]] = [
    # body, provider, scope, scope_id
    ({}, (None, "global", None)),
    ({"provider": "openai"}, ("openai", "global", None)),
    ({"scope": "global", "scope_id": "ignored"}, (None, "global", None)),
    ({"scope": "user", "scope_id": "u1"}, (None, "user", "u1")),
]


@pytest.mark.parametrize("body, expected", NEW_MODEL_CONFIGS)
def test_a_new_model_config(body: Body, expected: tuple[str | None, ...]):
    request = body_of(CreateModelConfigRequest, {"model_name": "gpt-4o"} | body)
    config = model_configs.create(request, now_ms=T1, entity_id="m").entity
    assert (config.model_name, config.provider, config.scope, config.scope_id) == ("gpt-4o", *expected)
    assert (config.budgets, config.rate_limit, config.next_slot) == ((), None, 1)


MODEL_CONFIG_UPDATES: list[tuple[Body, tuple[str, str | None]]] = [
    ({}, ("gpt-4o", None)),
    ({"model_name": "o3"}, ("o3", None)),
    ({"provider": "openai"}, ("gpt-4o", "openai")),
    ({"model_name": None, "provider": None, "scope": "user", "scope_id": "u1"}, ("gpt-4o", None)),
]


@pytest.mark.parametrize("body, expected", MODEL_CONFIG_UPDATES)
def test_update_a_model_config(body: Body, expected: tuple[str, str | None]):
    stored = ModelConfig(
        id="m", model_name="gpt-4o", provider=None, scope="global", scope_id=None, created_at_ms=T1, updated_at_ms=T1
    )
    config = model_configs.update(stored, body_of(UpdateModelConfigRequest, body), now_ms=T2).entity
    assert (config.model_name, config.provider, config.scope, config.scope_id) == (*expected, "global", None)


def in_key(key: VirtualKey, model: str, **more: Any) -> VirtualKey:
    body = {"model_name": model, "scope": "virtual_key", "scope_id": key.id} | LIMITS | more
    request = body_of(CreateModelConfigRequest, body)
    return model_configs.create_in_key(key, request, now_ms=T1, entity_id=f"id of {model}").entity


def test_model_configs_of_a_key_count_in_slots_of_the_key():
    key = in_key(in_key(a_key(now_ms=T1), "gpt-4o"), "o3")
    assert [config.id for config in key.model_configs] == ["id of gpt-4o", "id of o3"]
    assert [config.budgets[0].slot for config in key.model_configs] == [5, 8]
    assert key.next_slot == 11
    assert {(config.scope, config.scope_id, config.next_slot) for config in key.model_configs} == {("virtual_key", "key", 1)}


def test_a_model_config_of_a_key_has_no_calendar_of_its_own():
    (config,) = in_key(a_key(now_ms=T1), "gpt-4o", calendar_aligned=True).model_configs
    assert not config.calendar_aligned


def test_update_a_model_config_of_a_key():
    key = in_key(in_key(a_key(now_ms=T1), "gpt-4o"), "o3")
    body = {"model_name": "gpt-5", "budgets": [BUDGET | {"reset_duration": "1w"}]}
    edited = model_configs.update_in_key(key, key.model_configs[0], body_of(UpdateModelConfigRequest, body), now_ms=T2)
    changed, other = edited.entity.model_configs
    assert (changed.id, changed.model_name, changed.updated_at_ms) == ("id of gpt-4o", "gpt-5", T2)
    assert changed.rate_limit == key.model_configs[0].rate_limit
    assert other == key.model_configs[1]
    assert edited.counters.drops == {key.model_configs[0].budgets[0].slot}
    assert list(edited.counters.writes) == [key.next_slot]
    assert (edited.entity.next_slot, edited.entity.updated_at_ms) == (key.next_slot + 1, T1)


def test_remove_a_model_config_from_a_key():
    key = in_key(in_key(a_key(now_ms=T1), "gpt-4o"), "o3")
    edited = model_configs.remove_from_key(key, key.model_configs[0], now_ms=T2)
    assert edited.entity.model_configs == key.model_configs[1:]
    assert edited.counters.drops == {5, 6, 7}
    assert edited.counters.writes == {}


@pytest.mark.parametrize("kind", OWNERS, ids=str)
def test_an_update_moves_updated_at_only_with_a_change(kind: OwnerKind):
    stored = kind.create(LIMITS, T1)
    assert kind.update(stored, LIMITS, T2).entity == stored.entity
    assert kind.update(stored, {"budgets": []}, T2).entity != stored.entity


def test_max_limits_become_whole_nano_dollars():
    body = {"name": "core", "budgets": [BUDGET | {"max_limit": 0.1}, BUDGET | {"max_limit": 1e-9, "reset_duration": "1h"}]}
    budgets: tuple[Budget, ...] = teams.create(body_of(CreateTeamRequest, body), now_ms=T1, entity_id="t").entity.budgets
    assert [budget.max_limit_nanousd for budget in budgets] == [100_000_000, 1]
