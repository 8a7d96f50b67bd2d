"""Virtual keys as admins and their holders see them: which members are there, which are left out, null or empty."""

import orjson

from service.api.rendering import limit_owners, virtual_keys
from service.api.rendering.quota import quota_body
from service.entities import Customer, Team, VirtualKey
from service.models.virtual_key_responses import VirtualKey as VirtualKeyBody
from service.models.virtual_key_responses import VirtualKeyQuotaResponse
from tests.api.rendering.entities import BARE_KEY, COUNTERS, FULL_KEY, NOW, RECORD, TIMES, fits


def test_a_bare_virtual_key():
    assert fits(VirtualKeyBody, virtual_keys.virtual_key_body(BARE_KEY, {}, NOW)) == {
        "id": "k",
        "name": "key",
        "value": "sk-bf-1",
        "is_active": True,
        "provider_configs": [],
        "mcp_configs": [],
        "budgets": [],
        "calendar_aligned": False,
        **RECORD,
    }


def test_a_full_virtual_key():
    team = limit_owners.team_body(Team(id="t", name="team", **TIMES), {}, NOW)
    shown = fits(VirtualKeyBody, virtual_keys.virtual_key_body(FULL_KEY, COUNTERS, NOW, team=team))
    azure, openai = shown["provider_configs"]
    assert azure == {
        "id": 9,
        "virtual_key_id": "k",
        "provider": "azure",
        "weight": 0.5,
        "allowed_models": [],
        "blacklisted_models": [],
        "allow_all_keys": True,
        "keys": [],
    }
    assert (openai["provider"], openai["weight"]) == ("openai", None)
    assert openai["keys"] == [{"key_id": "k1"}, {"key_id": "k2"}]
    assert openai["rate_limit_id"] == openai["rate_limit"]["id"] == "r6"
    assert [budget["provider_config_id"] for budget in openai["budgets"]] == [8]
    assert all(budget["calendar_aligned"] for budget in openai["budgets"])
    assert "virtual_key_id" not in openai["budgets"][0]
    assert [budget["virtual_key_id"] for budget in shown["budgets"]] == ["k", "k"]
    assert [budget["current_usage"] for budget in shown["budgets"]] == [1, 2]
    assert shown["rate_limit_id"] == shown["rate_limit"]["id"] == "r3"
    assert shown["mcp_configs"][0]["tools_to_execute"] == ["*"]
    assert (shown["team_id"], shown["team"]["name"]) == ("t", "team")
    assert (shown["expires_at"], shown["enforcement"]) == ("2026-01-02T12:00:00.005Z", "strict")
    assert "customer_id" not in shown
    assert "model_configs" not in shown


def test_a_virtual_key_of_a_customer():
    customer = limit_owners.customer_body(Customer(id="c", name="customer", **TIMES), {}, NOW)
    key = VirtualKey(id="k", name="key", value="v", customer_id="c", **TIMES)
    shown = fits(VirtualKeyBody, virtual_keys.virtual_key_body(key, {}, NOW, customer=customer))
    assert shown["customer_id"] == shown["customer"]["id"] == "c"


def test_quota_of_a_bare_key():
    assert fits(VirtualKeyQuotaResponse, quota_body(BARE_KEY, {}, NOW)) == {
        "virtual_key_name": "key",
        "is_active": True,
        "budgets": [],
        "rate_limit": None,
        "provider_configs": [],
        "model_configs": [],
        "rate_limits": [],
    }


def test_quota_of_a_full_key():
    shown = fits(VirtualKeyQuotaResponse, quota_body(FULL_KEY, COUNTERS, NOW))
    assert shown["is_active"] is False
    assert [config["keys"] for config in shown["provider_configs"]] == [None, None]
    assert [config["provider"] for config in shown["provider_configs"]] == ["azure", "openai"]
    assert [budget["current_usage"] for budget in shown["budgets"]] == [1, 2]
    assert shown["rate_limits"] == [shown["rate_limit"]]
    every_provider, azure = shown["model_configs"]
    assert (every_provider["model_name"], every_provider["budgets"][0]["model_config_id"]) == ("gpt-4o", "m")
    assert "provider" not in every_provider
    assert (azure["model_name"], azure["provider"], azure["rate_limit"]["token_max_limit"]) == ("*", "azure", 1000)
    assert "budgets" not in azure
    assert b"sk-bf-1" not in orjson.dumps(shown)
