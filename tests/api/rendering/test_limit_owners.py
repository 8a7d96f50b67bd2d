"""Teams, customers, model configs and providers as bodies: which members are there, which are left out, null or empty."""

from service.api.rendering import limit_owners, virtual_keys
from service.entities import Customer, ModelConfig, Provider, Team
from service.models.customers import Customer as CustomerBody
from service.models.limit_owners import EmbeddedCustomer, EmbeddedTeam
from service.models.model_configs import ModelConfig as ModelConfigBody
from service.models.provider_governance import ProviderGovernance
from service.models.teams import Team as TeamBody
from tests.api.rendering.entities import BARE_KEY, COUNTERS, FULL_KEY, NOW, RECORD, TIMES, a_budget, a_rate_limit, fits

BARE = {"calendar_aligned": False, **RECORD}
DIRECTORY = {"profile": None, "config": None, "claims": None}


def test_teams():
    bare = Team(id="t", name="team", **TIMES)
    assert fits(EmbeddedTeam, limit_owners.team_body(bare, {}, NOW)) == {"id": "t", "name": "team", **BARE, **DIRECTORY}
    full = Team(id="t", name="team", customer_id="c", budgets=(a_budget(1), a_budget(2)), rate_limit=a_rate_limit(), **TIMES)
    shown = fits(
        TeamBody,
        limit_owners.team_body(
            full,
            COUNTERS,
            NOW,
            customer=limit_owners.customer_body(Customer(id="c", name="customer", **TIMES), {}, NOW),
            virtual_keys=[virtual_keys.virtual_key_body(BARE_KEY, {}, NOW)],
            virtual_key_count=1,
        ),
    )
    assert [budget["team_id"] for budget in shown["budgets"]] == ["t", "t"]
    assert shown["budget"] == shown["budgets"][0]
    assert (shown["budget_id"], shown["rate_limit_id"]) == ("b1", "r3")
    assert (shown["customer_id"], shown["customer"]["name"]) == ("c", "customer")
    assert (shown["virtual_key_count"], shown["virtual_keys"][0]["id"]) == (1, "k")


def test_customers():
    bare = Customer(id="c", name="customer", **TIMES)
    assert fits(EmbeddedCustomer, limit_owners.customer_body(bare, {}, NOW)) == {"id": "c", "name": "customer", **BARE}
    full = Customer(id="c", name="customer", calendar_aligned=True, budgets=(a_budget(1),), **TIMES)
    team = limit_owners.team_body(Team(id="t", name="team", **TIMES), {}, NOW)
    shown = fits(
        CustomerBody, limit_owners.customer_body(full, COUNTERS, NOW, teams=[team], virtual_keys=[], virtual_key_count=0)
    )
    assert (shown["teams"][0]["id"], shown["virtual_keys"], shown["virtual_key_count"]) == ("t", [], 0)
    assert (shown["budget"]["customer_id"], shown["budget"]["calendar_aligned"]) == ("c", True)
    assert "rate_limit_id" not in shown


def test_model_configs():
    bare = ModelConfig(id="m", model_name="*", provider=None, scope="global", scope_id=None, **TIMES)
    assert fits(ModelConfigBody, limit_owners.model_config_body(bare, {}, NOW)) == {
        "id": "m",
        "model_name": "*",
        "scope": "global",
        "scope_id": None,
        "budgets": [],
        **BARE,
    }
    shown = fits(ModelConfigBody, limit_owners.model_config_body(FULL_KEY.model_configs[0], COUNTERS, NOW, key=FULL_KEY))
    assert (shown["scope"], shown["scope_id"], shown["scope_name"]) == ("virtual_key", "k", "key")
    assert (shown["calendar_aligned"], shown["budget"]["calendar_aligned"]) == (True, True)
    assert (shown["budget"]["model_config_id"], shown["budget"]["current_usage"]) == ("m", 8)
    assert "budget_id" not in shown
    limited = fits(ModelConfigBody, limit_owners.model_config_body(FULL_KEY.model_configs[1], COUNTERS, NOW, key=FULL_KEY))
    assert (limited["provider"], limited["rate_limit_id"], limited["budgets"]) == ("azure", "r9", [])


def test_providers():
    bare = Provider(id="openai", **TIMES)
    assert fits(ProviderGovernance, limit_owners.provider_body(bare, {}, NOW)) == {
        "provider": "openai",
        "calendar_aligned": False,
    }
    full = Provider(id="openai", budgets=(a_budget(),), rate_limit=a_rate_limit(), **TIMES)
    shown = fits(ProviderGovernance, limit_owners.provider_body(full, COUNTERS, NOW))
    assert shown["budgets"] == [shown["budget"]]
    assert not {name for name in shown["budget"] if name.endswith("_id")}
    assert shown["rate_limit"]["id"] == "r3"
