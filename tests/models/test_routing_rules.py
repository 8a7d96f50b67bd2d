"""What may be asked of a routing rule. Its expression is CEL text, which tests/routing looks at."""

import json
from typing import Any

import pytest

from service.errors import InvalidRequest
from service.models.parsing import parse
from service.models.routing_rules import CreateRoutingRuleRequest, UpdateRoutingRuleRequest

RULE: dict[str, Any] = {
    "name": "cheap",
    "cel_expression": "",
    "scope": "global",
    "priority": 0,
    "targets": [{"provider": "openai", "weight": 1}],
}


def create(**members: object) -> CreateRoutingRuleRequest:
    return parse(CreateRoutingRuleRequest, json.dumps(RULE | members).encode())


def update(**members: object) -> UpdateRoutingRuleRequest:
    return parse(UpdateRoutingRuleRequest, json.dumps(members).encode())


@pytest.mark.parametrize("member", RULE)
def test_required_members(member: str):
    for body in ({name: value for name, value in RULE.items() if name != member}, RULE | {member: None}):
        with pytest.raises(InvalidRequest) as caught:
            parse(CreateRoutingRuleRequest, json.dumps(body).encode())
        assert (caught.value.param, caught.value.message) == (member, f"{member} is required")


def test_an_empty_update_is_legal():
    assert update(**dict.fromkeys(RULE)) == update(query=None, fallbacks=None, scope_id=None) == UpdateRoutingRuleRequest()


def weights(*values: float) -> list[dict[str, Any]]:
    return [{"provider": f"p{position}", "weight": weight} for position, weight in enumerate(values)]


ACCEPTED_WEIGHTS = [
    (1,),
    (0.5, 0.5),
    (0.333, 0.333, 0.333),
    (0.5, 0.501),
    (0.333, 0.333, 0.334),
    (0.9995,),
    (1.001,),
    (0.1,) * 10,
]


@pytest.mark.parametrize("values", ACCEPTED_WEIGHTS)
def test_weights_that_add_up(values: tuple[float, ...]):
    assert len(create(targets=weights(*values)).targets) == len(values)
    assert update(targets=weights(*values)).targets is not None


def nested(depth: int) -> dict[str, Any]:
    query: dict[str, Any] = {}
    for level in range(depth - 1):
        query = {"inner": query, "level": level}
    return query


TARGET = {"provider": "openai", "model": "gpt-4o", "key_id": "k1", "weight": 0.5}

WRONG = [
    ({"name": ""}, "name", "must not be empty"),
    ({"name": " "}, "name", "must not be blank"),
    ({"cel_expression": "x" * 10_001}, "cel_expression", "longer than 10000"),
    ({"cel_expression": "'\0'"}, "cel_expression", "NUL"),
    ({"scope": "user"}, "scope", 'must be one of "global", "team", "customer" or "virtual_key"'),
    ({"scope": ""}, "scope", "must be one of"),
    ({"priority": 1.5}, "priority", "must be an integer"),
    ({"priority": "1"}, "priority", "must be an integer"),
    ({"priority": 2**53}, "priority", "must not be greater than 9007199254740991"),
    ({"priority": -(2**53)}, "priority", "must not be less than -9007199254740991"),
    ({"targets": []}, "targets", "must not be empty"),
    ({"targets": {}}, "targets", "must be an array"),
    ({"targets": ""}, "targets", "must be an array"),
    ({"targets": [{"provider": "openai"}]}, "targets[0].weight", "is required"),
    ({"targets": [{"weight": "1"}]}, "targets[0].weight", "must be a number"),
    ({"targets": weights(1, 0)}, "targets[1].weight", "must be greater than 0"),
    ({"targets": weights(1.5, -0.5)}, "targets[0].weight", "must not be greater than"),
    ({"targets": weights(0.998)}, "targets", "add up to 1 (give or take 0.001), not 0.998"),
    ({"targets": weights(0.5, 0.502)}, "targets", "add up to 1"),
    ({"targets": weights(*(0.3,) * 3)}, "targets", "not 0.9"),
    ({"targets": [{"key_id": "k1", "weight": 1}]}, "targets[0].key_id", "needs a provider"),
    ({"targets": [{"key_id": "k1", "provider": "", "weight": 1}]}, "targets[0].key_id", "needs a provider"),
    ({"targets": [{"provider": " ", "weight": 1}]}, "targets[0].provider", "must not be blank"),
    ({"targets": [TARGET, TARGET]}, "targets[1]", "repeats entry [0]"),
    ({"targets": [TARGET, TARGET | {"provider": "OpenAI", "model": "GPT-4o"}]}, "targets[1]", "repeats entry [0]"),
    ({"targets": [{"weight": 0.5}, {"provider": "", "model": None, "weight": 0.5}]}, "targets[1]", "repeats entry [0]"),
    ({"fallbacks": [""]}, "fallbacks[0]", "provider/model"),
    ({"fallbacks": ["openai/gpt-4o", " "]}, "fallbacks[1]", "provider/model"),
    ({"fallbacks": ["gpt-4o"]}, "fallbacks[0]", "provider/model"),
    ({"fallbacks": ["/gpt-4o"]}, "fallbacks[0]", "provider/model"),
    ({"fallbacks": "openai/"}, "fallbacks", "must be an array"),
    ({"query": []}, "query", "must be an object"),
    ({"query": nested(33)}, "query", "deeper than 32 levels"),
    ({"query": {"text": "x" * 65_536}}, "query", "larger than 64 KiB"),
    ({"query": {"number": [2**64]}}, "query", "64 bits"),
    ({"query": {"number": -(2**63) - 1}}, "query", "64 bits"),
    ({"chain_rule": "yes"}, "chain_rule", "must be true or false"),
    ({"enabled": ""}, "enabled", "must be true or false"),
]


@pytest.mark.parametrize("request_of", [create, update])
@pytest.mark.parametrize("members, param, fragment", WRONG)
def test_wrong_members(request_of: Any, members: dict[str, Any], param: str, fragment: str):
    with pytest.raises(InvalidRequest) as caught:
        request_of(**members)
    assert caught.value.param == param
    assert fragment in caught.value.message


def test_a_query_with_a_number_that_json_cannot_give_back():
    with pytest.raises(InvalidRequest, match="query must not hold numbers beyond"):
        parse(UpdateRoutingRuleRequest, b'{"query": {"number": [1e999]}}')


def test_members_are_kept_as_sent():
    query = {"rules": [{"a": 1, "b": 1.5, "c": None, "d": True, "e": 2**63}], "combinator": "and"}
    rule = create(
        query=query,
        fallbacks=["openai/", "a/b/c"],
        cel_expression=" model == 'x' ",
        priority=-5,
        targets=[TARGET | {"weight": 1}],
    )
    assert rule.query == query
    assert rule.fallbacks == ("openai/", "a/b/c")
    assert rule.cel_expression == " model == 'x' "
    assert rule.priority == -5
    assert create(query=nested(32)).query == nested(32)
    assert create(query={}).query == {}


def test_empty_members_of_a_target_are_absent():
    target = create(targets=[{"provider": "", "model": "", "key_id": "", "weight": 1}]).targets[0]
    assert (target.provider, target.model, target.key_id) == (None, None, None)


@pytest.mark.parametrize("scope", ["team", "customer", "virtual_key"])
@pytest.mark.parametrize("scope_id", [None, "", " "])
def test_a_scope_other_than_global_needs_its_id(scope: str, scope_id: str | None):
    with pytest.raises(InvalidRequest, match=f"scope_id is required in scope {scope}"):
        create(scope=scope, scope_id=scope_id)
    # Of an update the stored rule may have it: the rules look at both.
    assert update(scope=scope, scope_id=scope_id).scope == scope
