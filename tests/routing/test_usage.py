"""How full the limits are, as conditions of routing rules see it: which limits count, and the arithmetic."""

from collections.abc import Mapping

import pytest

from service.entities import Counter
from service.quota.plan import make_plan
from service.reservation import LimitKind, Mode, Plan
from service.routing.usage import Usage, usage_of
from tests.quota.configurations import (
    KNOWN_PROVIDERS,
    Slots,
    customer,
    holder,
    model_config,
    provider,
    provider_config,
    shared,
    team,
    virtual_key,
)


def plan_of_everything() -> Plan:
    """Each of these limits has a name, and binds a request of gpt-4o to openai."""
    of_provider, of_any, of_model, of_key, of_team, of_customer = (Slots() for _ in range(6))
    key = virtual_key(
        provider_config("openai", budgets=(of_key.budget("config"),), rate_limit=of_key.rate_limit("config-rate")),
        budgets=(of_key.budget("key"),),
        rate_limit=of_key.rate_limit("key-rate"),
        model_configs=(
            model_config("own", "gpt-4o", scope="virtual_key", scope_id="vk1", budgets=(of_key.budget("own-model"),)),
        ),
    )
    return make_plan(
        holder(
            key,
            team(budgets=(of_team.budget("team"),)),
            customer(budgets=(of_customer.budget("customer"),)),
        ),
        shared(
            provider("openai", budgets=(of_provider.budget("provider"),), rate_limit=of_provider.rate_limit("provider-rate")),
            model_config("any", "*", budgets=(of_any.budget("any-model"), of_any.budget("any-model-weekly", "1w"))),
            model_config("model", "gpt-4o", "openai", rate_limit=of_model.rate_limit("model-rate", requests=None)),
        ),
        "openai",
        "gpt-4o",
        mode=Mode.CLAMP,
        known_providers=KNOWN_PROVIDERS,
    )


PLAN = plan_of_everything()


def usage_with(used: Mapping[tuple[str, LimitKind], int], *, held: int = 0) -> Usage:
    states = [Counter(used.get((limit.limit_id, limit.kind), 0), 0, held) for limit in PLAN.limits]
    return usage_of(PLAN, states)


HALF_A_DOLLAR = 5 * 10**8


@pytest.mark.parametrize(
    "used, usage",
    [
        ({}, Usage()),
        ({("provider", LimitKind.BUDGET): HALF_A_DOLLAR}, Usage(budget_used=50.0)),
        ({("any-model-weekly", LimitKind.BUDGET): HALF_A_DOLLAR}, Usage(budget_used=50.0)),
        ({("config", LimitKind.BUDGET): HALF_A_DOLLAR}, Usage(budget_used=50.0)),
        ({("provider-rate", LimitKind.TOKENS): 250}, Usage(tokens_used=25.0)),
        ({("provider-rate", LimitKind.REQUESTS): 1}, Usage(request=10.0)),
        ({("model-rate", LimitKind.TOKENS): 1500}, Usage(tokens_used=150.0)),  # may exceed 100
        ({("model-rate", LimitKind.REQUESTS): 9}, Usage()),  # counted, but not limited
        ({("config-rate", LimitKind.TOKENS): 1}, Usage(tokens_used=0.1)),
        # The fullest of each kind.
        (
            {
                ("provider", LimitKind.BUDGET): HALF_A_DOLLAR,
                ("config", LimitKind.BUDGET): HALF_A_DOLLAR + 1,
                ("provider-rate", LimitKind.TOKENS): 10,
                ("model-rate", LimitKind.TOKENS): 20,
            },
            Usage(budget_used=50.0000001, tokens_used=2.0),
        ),
        # These bind every route of the key alike.
        (
            {(name, LimitKind.BUDGET): HALF_A_DOLLAR for name in ("key", "team", "customer", "own-model")}
            | {("key-rate", LimitKind.REQUESTS): 9},
            Usage(),
        ),
    ],
)
def test_usage(used, usage):
    assert usage_with(used) == usage


def test_what_is_held_is_not_used():
    assert usage_with({}, held=10**6) == Usage()
