"""Requests of teams, customers, model configs and provider governance."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from service.errors import InvalidRequest
from service.models.customers import CreateCustomerRequest, UpdateCustomerRequest
from service.models.model_configs import CreateModelConfigRequest, UpdateModelConfigRequest
from service.models.parsing import InvalidValue, parse
from service.models.provider_governance import UpdateProviderGovernanceRequest
from service.models.teams import CreateTeamRequest, UpdateTeamRequest

BUDGET = {"max_limit": 10, "reset_duration": "1d"}
MODEL = {"model_name": "gpt-4o"}


def blame(model: type[BaseModel], members: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        parse(model, json.dumps(members).encode())
    return caught.value


UPDATES = [UpdateTeamRequest, UpdateCustomerRequest, UpdateModelConfigRequest, UpdateProviderGovernanceRequest]
CREATIONS = [
    (CreateTeamRequest, {"name": "growth"}),
    (CreateCustomerRequest, {"name": "growth"}),
    (CreateModelConfigRequest, MODEL),
]


@pytest.mark.parametrize("model", UPDATES)
@pytest.mark.parametrize(
    "body", [b"{}", b"null", b'{"budget": null, "budgets": null, "rate_limit": null, "calendar_aligned": null}']
)
def test_updates_may_say_nothing(model: type[BaseModel], body: bytes):
    assert parse(model, body) == model()


@pytest.mark.parametrize("model", UPDATES)
def test_budget_and_budgets_exclude_each_other_in_updates(model: type[BaseModel]):
    both: list[dict[str, Any]] = [{"budget": {}, "budgets": []}, {"budget": BUDGET, "budgets": [BUDGET]}]
    for members in both:
        error = blame(model, members)
        assert (error.param, error.message) == ("budgets", "budgets must not be sent together with budget")
        # Of a provider it is reported before an unknown name, of the others after an unknown id.
        assert isinstance(error, InvalidValue) == (model is not UpdateProviderGovernanceRequest)
    parse(model, b'{"budget": {}, "budgets": null}')
    parse(model, b'{"budgets": [], "reset_budget_usage": true}')


@pytest.mark.parametrize("model, required", CREATIONS)
def test_creations(model: type[BaseModel], required: dict[str, Any]):
    parse(model, json.dumps(required | {"budget": BUDGET, "rate_limit": {}, "id": "mine", "created_at": 0}).encode())
    assert blame(model, required | {"budget": BUDGET, "budgets": []}).param == "budgets"
    assert blame(model, required | {"budget": {}}).param == "budget.max_limit"
    for member in required:
        assert blame(model, {}).message == f"{member} is required"
        assert blame(model, required | {member: ""}).message == f"{member} must not be empty"


WRONG = [
    (UpdateTeamRequest, {"name": ""}, "name", "must not be empty"),
    (UpdateCustomerRequest, {"name": "\n"}, "name", "must not be blank"),
    (UpdateTeamRequest, {"customer_id": "a\0"}, "customer_id", "NUL"),
    (UpdateTeamRequest, {"budget": {"max_limit": -1}}, "budget.max_limit", "must be greater than 0"),
    (UpdateTeamRequest, {"budget": {"reset_duration": "never"}}, "budget.reset_duration", "is not a duration"),
    (UpdateTeamRequest, {"budget": []}, "budget", "must be an object"),
    (UpdateTeamRequest, {"budget": ""}, "budget", "must be an object"),
    (UpdateTeamRequest, {"reset_budget_usage": "yes"}, "reset_budget_usage", "must be true or false"),
    (UpdateModelConfigRequest, {"model_name": ""}, "model_name", "must not be empty"),
    (UpdateModelConfigRequest, {"provider": ""}, "provider", "must not be empty"),
    (UpdateModelConfigRequest, {"provider": " "}, "provider", "must not be blank"),
    (CreateModelConfigRequest, MODEL | {"provider": ""}, "provider", "must not be empty"),
    (CreateModelConfigRequest, MODEL | {"scope": "team"}, "scope", 'must be one of "global", "virtual_key" or "user"'),
    (CreateModelConfigRequest, MODEL | {"scope": "virtual_key"}, "scope_id", "is required in scope virtual_key"),
    (CreateModelConfigRequest, MODEL | {"scope": "virtual_key", "scope_id": ""}, "scope_id", "is required"),
    (CreateModelConfigRequest, MODEL | {"scope": "user", "scope_id": " "}, "scope_id", "is required in scope user"),
    (UpdateProviderGovernanceRequest, {"budgets": {}}, "budgets", "must be an array"),
    (UpdateProviderGovernanceRequest, {"rate_limit": {"token_max_limit": 5}}, "rate_limit.token_reset_duration", "is required"),
]


@pytest.mark.parametrize("model, members, param, fragment", WRONG)
def test_wrong_members(model: type[BaseModel], members: dict[str, Any], param: str, fragment: str):
    error = blame(model, members)
    assert error.param == param
    assert fragment in error.message


SCOPES = [
    ({}, "global", None),
    ({"scope": None, "scope_id": "k"}, "global", None),
    ({"scope": "global", "scope_id": "k"}, "global", None),
    ({"scope": "virtual_key", "scope_id": "k"}, "virtual_key", "k"),
    ({"scope": "user", "scope_id": "u"}, "user", "u"),
]


@pytest.mark.parametrize("members, scope, scope_id", SCOPES)
def test_scope_of_a_model_config(members: dict[str, Any], scope: str, scope_id: str | None):
    request = parse(CreateModelConfigRequest, json.dumps(MODEL | members).encode())
    assert (request.resolved_scope, request.resolved_scope_id) == (scope, scope_id)


def test_updates_ignore_the_scope_of_a_model_config():
    assert parse(UpdateModelConfigRequest, b'{"scope": 5, "scope_id": []}') == UpdateModelConfigRequest()
