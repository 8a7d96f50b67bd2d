"""Routing rules and pricing overrides as bodies."""

import orjson

from service.api.rendering.pricing_overrides import pricing_override_body
from service.api.rendering.routing_rules import routing_rule_body
from service.entities import PricingOverride, RoutingRule, RoutingTarget
from service.models.pricing_overrides import PricingOverride as PricingOverrideBody
from service.models.routing_rules import RoutingRule as RoutingRuleBody
from tests.api.rendering.entities import RECORD, TIMES, fits


def test_routing_rules():
    rule = RoutingRule(
        id="u",
        name="cheap",
        cel_expression=" model == 'x' ",
        targets=(
            RoutingTarget(provider="openai", model=None, key_id="k1", weight=0.25),
            RoutingTarget(provider=None, model=None, key_id=None, weight=0.75),
        ),
        query={"rules": []},
        **TIMES,
    )
    assert fits(RoutingRuleBody, routing_rule_body(rule)) == {
        "id": "u",
        "name": "cheap",
        "description": "",
        "enabled": True,
        "cel_expression": " model == 'x' ",
        "targets": [{"provider": "openai", "key_id": "k1", "weight": 0.25}, {"weight": 0.75}],
        "fallbacks": [],
        "scope": "global",
        "scope_id": None,
        "priority": 0,
        "query": {"rules": []},
        "chain_rule": False,
        **RECORD,
    }


def test_pricing_overrides():
    override = PricingOverride(
        id="o",
        name="cheaper",
        scope_kind="provider",
        provider_id="openai",
        match_type="wildcard",
        pattern="gpt-*",
        request_types=("responses", "embedding"),
        patch={"input_cost_per_token": 2e-06, "output_cost_per_token": 0.0},
        **TIMES,
    )
    shown = fits(PricingOverrideBody, pricing_override_body(override))
    assert orjson.loads(shown.pop("pricing_patch")) == shown["patch"]
    assert shown == {
        "id": "o",
        "name": "cheaper",
        "scope_kind": "provider",
        "virtual_key_id": None,
        "provider_id": "openai",
        "provider_key_id": None,
        "match_type": "wildcard",
        "pattern": "gpt-*",
        "request_types": ["responses", "embedding"],
        "patch": {"input_cost_per_token": 2e-06, "output_cost_per_token": 0},
        **RECORD,
    }
    empty = PricingOverride(
        id="o", name="n", scope_kind="global", match_type="exact", pattern="x", request_types=("speech",), patch={}, **TIMES
    )
    assert pricing_override_body(empty)["pricing_patch"] == "{}"
