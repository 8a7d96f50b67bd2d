"""What creates and updates of routing rules store, and what they refuse beyond a wrong body."""

from dataclasses import replace
from typing import Any

import pytest

from service.entities import RoutingRule, RoutingTarget
from service.errors import InvalidRequest
from service.governance import routing_rules
from service.models.routing_rules import CreateRoutingRuleRequest, UpdateRoutingRuleRequest
from service.providers import BUILT_IN, known_providers
from tests.governance.owners import Body, body_of

T1, T2 = 1_773_835_200_000, 1_773_835_260_000
PROVIDERS = known_providers(["house-llm"])

TARGET = {"provider": "openai", "model": "gpt-4o", "weight": 1}
MINIMAL = {"name": "r", "cel_expression": "", "scope": "global", "priority": 0, "targets": [TARGET]}

STORED = RoutingRule(
    id="rule-1",
    name="r",
    description="why",
    enabled=True,
    cel_expression='model == "a"',
    targets=(RoutingTarget(provider="openai", model="gpt-4o", key_id=None, weight=1.0),),
    fallbacks=("openai/gpt-4o-mini",),
    scope="team",
    scope_id="team-1",
    priority=3,
    query={"rules": []},
    chain_rule=True,
    created_at_ms=T1,
    updated_at_ms=T1,
)


def create(body: Body) -> RoutingRule:
    request = body_of(CreateRoutingRuleRequest, MINIMAL | body)
    return routing_rules.create(request, now_ms=T1, rule_id="rule-1", providers=PROVIDERS)


def update(stored: RoutingRule, body: Body) -> RoutingRule:
    request = body_of(UpdateRoutingRuleRequest, body)
    return routing_rules.update(stored, request, now_ms=T2, providers=PROVIDERS)


def test_a_minimal_rule():
    assert create({}) == RoutingRule(
        id="rule-1",
        name="r",
        targets=(RoutingTarget(provider="openai", model="gpt-4o", key_id=None, weight=1.0),),
        created_at_ms=T1,
        updated_at_ms=T1,
    )


CREATED: list[tuple[Body, Body]] = [
    ({"description": "d", "enabled": False, "chain_rule": True}, {"description": "d", "enabled": False, "chain_rule": True}),
    ({"description": None, "enabled": None, "chain_rule": None, "fallbacks": None, "query": None}, {}),
    ({"cel_expression": 'headers["X-Tier"] == "gold"'}, {"cel_expression": 'headers["X-Tier"] == "gold"'}),
    ({"cel_expression": "budget_used * 2 > 80"}, {"cel_expression": "budget_used * 2 > 80"}),
    ({"cel_expression": "  "}, {"cel_expression": "  "}),
    ({"scope": "team", "scope_id": "t"}, {"scope": "team", "scope_id": "t"}),
    ({"scope": "virtual_key", "scope_id": "k"}, {"scope": "virtual_key", "scope_id": "k"}),
    ({"scope": "global", "scope_id": "t"}, {"scope": "global", "scope_id": None}),
    ({"priority": -5}, {"priority": -5}),
    ({"query": {"any": [1, {"thing": None}]}}, {"query": {"any": [1, {"thing": None}]}}),
    ({"fallbacks": ["house-llm/m", "openai/", "vertex/a/b"]}, {"fallbacks": ("house-llm/m", "openai/", "vertex/a/b")}),
    ({"fallbacks": []}, {"fallbacks": ()}),
]


@pytest.mark.parametrize("body, members", CREATED)
def test_create(body: Body, members: Body):
    assert create(body) == replace(create({}), **members)


def test_empty_members_of_targets_are_absent():
    rule = create({"targets": [{"provider": "", "model": "", "key_id": "", "weight": 0.5}, {"model": "m", "weight": 0.5}]})
    assert rule.targets == (
        RoutingTarget(provider=None, model=None, key_id=None, weight=0.5),
        RoutingTarget(provider=None, model="m", key_id=None, weight=0.5),
    )


def test_providers_of_targets_are_not_checked():
    assert create({"targets": [{"provider": "unheard-of", "weight": 1}]}).targets[0].provider == "unheard-of"


UPDATED: list[tuple[Body, Body]] = [
    ({"name": "s"}, {"name": "s"}),
    ({"description": ""}, {"description": ""}),
    ({"enabled": False}, {"enabled": False}),
    ({"cel_expression": ""}, {"cel_expression": ""}),
    ({"cel_expression": "true"}, {"cel_expression": "true"}),
    (
        {"targets": [{"key_id": "k", "provider": "azure", "model": "", "weight": 1}]},
        {"targets": (RoutingTarget(provider="azure", model=None, key_id="k", weight=1.0),)},
    ),
    ({"fallbacks": []}, {"fallbacks": ()}),
    ({"fallbacks": ["azure/x"]}, {"fallbacks": ("azure/x",)}),
    ({"priority": 0}, {"priority": 0}),
    ({"query": {}}, {"query": {}}),
    ({"chain_rule": False}, {"chain_rule": False}),
    ({"scope": "global"}, {"scope": "global", "scope_id": None}),
    ({"scope": "global", "scope_id": "ignored"}, {"scope": "global", "scope_id": None}),
    ({"scope": "customer", "scope_id": "c"}, {"scope": "customer", "scope_id": "c"}),
    ({"scope": "team", "scope_id": "team-2"}, {"scope_id": "team-2"}),
    ({"scope_id": "team-2"}, {"scope_id": "team-2"}),
]


@pytest.mark.parametrize("body, members", UPDATED)
def test_update(body: Body, members: Body):
    assert update(STORED, body) == replace(STORED, **members, updated_at_ms=T2)


UNCHANGED: list[Body] = [
    {},
    dict.fromkeys(UpdateRoutingRuleRequest.model_fields),
    {"name": "r", "scope": "team", "priority": 3},
    {"scope": "team", "scope_id": "team-1"},
]


@pytest.mark.parametrize("body", UNCHANGED)
def test_an_update_that_changes_nothing(body: Body):
    assert update(STORED, body) == STORED


def test_what_is_not_sent_is_not_checked_again():
    stored = replace(STORED, fallbacks=("gone/x",), cel_expression="no_longer_known == 1")
    assert update(stored, {"priority": 4}) == replace(stored, priority=4, updated_at_ms=T2)


def test_the_scope_id_of_a_global_rule_is_dropped():
    stored = replace(STORED, scope="global", scope_id=None)
    assert update(stored, {"scope_id": "team-1"}) == stored


WRONG: list[tuple[Body, str, str]] = [
    ({"fallbacks": ["openai/x", "unheard-of/x"]}, "fallbacks[1]", "configured provider"),
    ({"fallbacks": ["OpenAI/x"]}, "fallbacks[0]", "configured provider"),
    ({"fallbacks": ["gpt-4o"]}, "fallbacks[0]", "provider/model"),
    ({"fallbacks": ["/gpt-4o"]}, "fallbacks[0]", "provider/model"),
    ({"cel_expression": "model =="}, "cel_expression", "cel_expression does not parse: a value expected, the end found"),
    ({"cel_expression": "nope == 1"}, "cel_expression", "cel_expression refers to unknown variables: nope; known are"),
    ({"cel_expression": "model > 1"}, "cel_expression", "cel_expression does not type-check"),
    ({"cel_expression": "model"}, "cel_expression", "cel_expression must give true or false, not a string"),
    ({"cel_expression": "(" * 5_000}, "cel_expression", "cel_expression is nested too deeply"),
    ({"scope": "customer"}, "scope_id", "scope_id is required in scope customer"),
    ({"scope": "customer", "scope_id": ""}, "scope_id", "scope_id is required in scope customer"),
    ({"scope": "virtual_key", "scope_id": " "}, "scope_id", "scope_id is required in scope virtual_key"),
]


@pytest.mark.parametrize("write", [create, lambda body: update(STORED, body)], ids=["create", "update"])
@pytest.mark.parametrize("body, param, message", WRONG)
def test_refused(write: Any, body: Body, param: str, message: str):
    with pytest.raises(InvalidRequest) as refusal:
        write(body)
    assert refusal.value.param == param
    assert message in refusal.value.message


@pytest.mark.parametrize("body", [{"scope_id": ""}, {"scope": "team", "scope_id": " "}])
def test_a_blank_scope_id_does_not_keep_the_stored_one(body: Body):
    with pytest.raises(InvalidRequest, match="scope_id is required in scope team"):
        update(STORED, body)


def test_known_providers():
    assert known_providers([]) == BUILT_IN
    assert {"house-llm"} == PROVIDERS - BUILT_IN
    assert {"openai", "opencode-zen", "bedrock_mantle"} <= PROVIDERS
    assert "OpenAI" not in PROVIDERS
    assert len(BUILT_IN) == 33
