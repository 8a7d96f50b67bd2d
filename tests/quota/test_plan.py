"""Which limits apply to a request, in which order, and who is shut out whatever they say."""

from typing import Any

import pytest

from service.entities import Kind
from service.quota.plan import Holder, SharedLimits, make_plan
from service.reservation import Mode, Plan
from service.windows import Window
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

HOUR = Window(3_600_000, "")


def plan_of(
    of: Holder | None,
    shared_limits: SharedLimits,
    provider: str | None = "openai",
    model: str | None = "gpt-4o",
    mode: Mode = Mode.CLAMP,
) -> Plan:
    return make_plan(of, shared_limits, provider, model, mode=mode, known_providers=KNOWN_PROVIDERS)


def named(plan: Plan) -> list[str]:
    return [f"{limit.limit_id}/{limit.kind}" for limit in plan.limits]


def test_order_of_checks():
    slots = Slots()

    def limits(name: str) -> dict[str, Any]:
        # Sent longest first: a plan has the shortest first.
        return {
            "budgets": (slots.budget(f"{name} monthly", "1M"), slots.budget(f"{name} hourly", "1h")),
            "rate_limit": slots.rate_limit(f"{name} rate"),
        }

    def both(name: str) -> list[str]:
        return [f"{name} rate/tokens", f"{name} rate/requests"]

    def budgets(name: str) -> list[str]:
        return [f"{name} hourly/budget", f"{name} monthly/budget"]

    everybody = shared(
        provider("openai", **limits("provider")),
        provider("azure", **limits("other provider")),
        model_config("m4", "*", **limits("any model")),
        model_config("m3", "*", "openai", **limits("any model of provider")),
        model_config("m2", "gpt-4o", **limits("model")),
        model_config("m1", "gpt-4o", "openai", **limits("model of provider")),
        model_config("m5", "gpt-4o", "azure", **limits("model of other provider")),
        model_config("m6", "gpt-*", **limits("no wildcard but the star")),
        model_config("m7", "GPT-4o", **limits("other letter case")),
    )
    key = virtual_key(
        provider_config("azure", **limits("other config")),
        provider_config("openai", **limits("config")),
        **limits("key"),
        model_configs=(
            model_config("k4", "*", **limits("own any model")),
            model_config("k1", "gpt-4o", "openai", **limits("own model of provider")),
            model_config("k5", "o1", **limits("own other model")),
        ),
    )
    plan = plan_of(holder(key, team(**limits("team")), customer(**limits("customer"))), everybody)

    tiers = ("model of provider", "model", "any model of provider", "any model")
    hierarchy = ("config", "key", "team", "customer")
    own = ("own model of provider", "own any model")
    gate = [
        *both("provider"),
        *budgets("provider"),
        *(name for tier in tiers for name in both(tier)),
        *(name for tier in tiers for name in budgets(tier)),
    ]
    assert named(plan) == [
        *gate,
        *(name for level in hierarchy for name in both(level)),
        *(name for level in hierarchy for name in budgets(level)),
        *(name for tier in own for name in both(tier)),
        *(name for tier in own for name in budgets(tier)),
    ]
    assert plan.gate == len(gate)
    assert len({(limit.owner, limit.slot) for limit in plan.limits}) == len(plan.limits)


def test_what_a_plan_says_about_a_counter():
    slots = Slots()
    config = provider_config("openai", id=12, budgets=(slots.budget("b"),))
    key = virtual_key(config, rate_limit=slots.rate_limit("r", tokens=None, token_duration=None))
    plan = plan_of(holder(key, team()), shared(provider("openai", rate_limit=slots.rate_limit("p"))))

    assert [(owner.kind, owner.id, owner.version) for owner in plan.owners] == [
        (Kind.PROVIDER, "openai", None),
        (Kind.VIRTUAL_KEY, "vk1", 3),
        (Kind.TEAM, "t1", 4),
    ]
    assert plan.global_version == 9
    assert [(limit.scope, limit.owner_id, limit.kind, limit.limit, limit.owner, limit.slot) for limit in plan.limits] == [
        ("provider", "openai", "tokens", 1000, 0, 4),
        ("provider", "openai", "requests", 10, 0, 5),
        # Without a limit it is counted all the same.
        ("virtual_key", "vk1", "tokens", None, 1, 2),
        ("virtual_key", "vk1", "requests", 10, 1, 3),
        ("provider_config", "12", "budget", 10**9, 1, 1),
    ]
    assert (plan.key_id, plan.key_name, plan.team_id, plan.customer_id) == ("vk1", "key", "t1", None)


def test_owners_without_limits_are_owners_so_that_a_change_of_theirs_is_noticed():
    plan = plan_of(holder(virtual_key(provider_config("openai")), team(), customer()), shared(provider("openai")))
    assert plan.limits == ()
    assert [owner.kind for owner in plan.owners if owner.version is not None] == [Kind.VIRTUAL_KEY, Kind.TEAM, Kind.CUSTOMER]


@pytest.mark.parametrize(
    "key_aligned, budget_aligned, expected",
    [
        (False, False, ["", "", ""]),
        (True, False, ["d", "d", "d"]),
        (False, True, ["d", "d", "d"]),
    ],
)
def test_the_flag_of_the_key_governs_its_provider_and_model_configs(key_aligned: bool, budget_aligned: bool, expected: list[str]):
    slots = Slots()
    key = virtual_key(
        provider_config("openai", budgets=(slots.budget("config", aligned=budget_aligned),)),
        budgets=(slots.budget("key", aligned=budget_aligned),),
        model_configs=(
            # Its own flag means nothing.
            model_config(
                "m", "gpt-4o", budgets=(slots.budget("model", aligned=budget_aligned),), calendar_aligned=not key_aligned
            ),
        ),
        calendar_aligned=key_aligned,
    )
    assert [limit.window.align for limit in plan_of(holder(key), shared()).limits] == expected


def test_every_other_owner_has_a_flag_of_its_own():
    slots = Slots()
    everybody = shared(
        provider("openai", budgets=(slots.budget("provider"),), calendar_aligned=True),
        model_config("m", "gpt-4o", rate_limit=slots.rate_limit("model", token_duration="1w"), calendar_aligned=True),
    )
    of = holder(
        virtual_key(provider_config("openai"), budgets=(slots.budget("key"),)),
        team(budgets=(slots.budget("team", "1M"),), calendar_aligned=True),
        customer(budgets=(slots.budget("customer", "1Y"),), calendar_aligned=True),
    )
    assert {limit.limit_id: limit.window.align for limit in plan_of(of, everybody).limits if limit.kind != "requests"} == {
        "provider": "d",
        "model": "w",
        "key": "",
        "team": "M",
        "customer": "Y",
    }


@pytest.mark.parametrize(
    "provider_name, model, applying",
    [
        ("openai", "gpt-4o", ["m1", "m2", "m3", "m4"]),
        ("azure", "gpt-4o", ["m2", "m4"]),
        ("openai", "o1", ["m3", "m4"]),
        ("openai", "GPT-4o", ["m3", "m4"]),
        ("azure", "o1", ["m4"]),
        ("openai", "openai/gpt-4o", ["m1", "m2", "m3", "m4"]),
        ("openrouter", "openai/gpt-4o", ["m5", "m2", "m4"]),
        ("openrouter", "openrouter/openai/gpt-4o", ["m5", "m2", "m4"]),
        ("openai", "mine/gpt-4o", ["m3", "m4"]),
        ("openai", "*", ["m3", "m4"]),
        (None, "gpt-4o", ["m2", "m4"]),
        ("openai", None, []),
        (None, None, []),
    ],
)
@pytest.mark.parametrize("scope", ["global", "virtual_key"])
def test_tiers_of_model_configs(scope: str, provider_name: str | None, model: str | None, applying: list[str]):
    slots = Slots()
    configs = [
        model_config(name, model_name, of_provider, budgets=(slots.budget(name),))
        for name, model_name, of_provider in (
            ("m1", "gpt-4o", "openai"),
            ("m2", "gpt-4o", None),
            ("m3", "*", "openai"),
            ("m4", "*", None),
            ("m5", "openai/gpt-4o", "openrouter"),
        )
    ]
    if scope == "global":
        plan = plan_of(None, shared(*configs), provider_name, model)
        assert plan.gate == len(applying)
    else:
        plan = plan_of(holder(virtual_key(model_configs=tuple(configs))), shared(), provider_name, model)
        assert plan.gate == 0
    assert [limit.limit_id for limit in plan.limits] == applying


@pytest.mark.parametrize("model", ["gpt-4o", "openai/gpt-4o"])
def test_a_limit_may_name_the_provider_in_front_of_the_model(model: str):
    """As whoever asks for "openai/gpt-4o" does, which is split before anything else."""
    slots = Slots()
    configs = [
        model_config(name, "openai/gpt-4o", of_provider, budgets=(slots.budget(name),))
        for name, of_provider in (("m1", "openai"), ("m2", None), ("m3", "azure"))
    ]
    plan = plan_of(None, shared(*configs), "openai", model)
    assert [limit.limit_id for limit in plan.limits] == ["m1", "m2"]
    assert not plan_of(None, shared(*configs), None, "gpt-4o").limits


ACTIVE: dict[str, Any] = {}


@pytest.mark.parametrize(
    "members, configs, provider_name, model, decision",
    [
        (ACTIVE, [provider_config("openai")], "openai", "gpt-4o", None),
        (ACTIVE, [provider_config("openai", weight=None)], "openai", "gpt-4o", None),
        (ACTIVE, [provider_config("openai", weight=0.0)], "openai", "gpt-4o", None),
        ({"is_active": False}, [provider_config("openai")], "openai", "gpt-4o", "virtual_key_blocked"),
        ({"is_active": False}, [], "openai", "gpt-4o", "virtual_key_blocked"),
        (ACTIVE, [], "openai", "gpt-4o", "provider_blocked"),
        (ACTIVE, [provider_config("azure")], "openai", "gpt-4o", "provider_blocked"),
        (ACTIVE, [provider_config("azure")], "Azure", "gpt-4o", "provider_blocked"),
        (ACTIVE, [], None, "gpt-4o", "provider_blocked"),
        (ACTIVE, [provider_config("openai", weight=None)], None, "gpt-4o", "provider_blocked"),
        (ACTIVE, [provider_config("openai", allowed_models=())], "openai", "gpt-4o", "model_blocked"),
        (ACTIVE, [provider_config("openai", allowed_models=())], "openai", None, None),
        (ACTIVE, [provider_config("openai", allowed_models=())], None, "gpt-4o", "model_blocked"),
        (ACTIVE, [provider_config("openai", allowed_models=("gpt-4o",))], "openai", "gpt-4o", None),
        (ACTIVE, [provider_config("openai", allowed_models=("GPT-4o",))], "openai", "gpt-4O", None),
        (ACTIVE, [provider_config("openai", allowed_models=("gpt-4o",))], "openai", "gpt-4o-mini", "model_blocked"),
        (ACTIVE, [provider_config("openai", allowed_models=("gpt-4o",))], "openai", "openai/gpt-4o", None),
        (ACTIVE, [provider_config("openai", allowed_models=("gpt-*",))], "openai", "gpt-4o", "model_blocked"),
        (ACTIVE, [provider_config("openai", blacklisted_models=("*",))], "openai", "gpt-4o", "model_blocked"),
        (ACTIVE, [provider_config("openai", blacklisted_models=("GPT-4o",))], "openai", "gpt-4o", "model_blocked"),
        (ACTIVE, [provider_config("openai", blacklisted_models=("gpt-4o",))], "openai", "openai/gpt-4o", "model_blocked"),
        (ACTIVE, [provider_config("openai", blacklisted_models=("openai/gpt-4o",))], "openai", "gpt-4o", "model_blocked"),
        (ACTIVE, [provider_config("openai", allowed_models=("openai/gpt-4o",))], "openai", "gpt-4o", None),
        (ACTIVE, [provider_config("openai", allowed_models=("azure/gpt-4o",))], "openai", "gpt-4o", "model_blocked"),
        (
            ACTIVE,
            [provider_config("openrouter", blacklisted_models=("gpt-4o",))],
            "openrouter",
            "openrouter/openai/gpt-4o",
            "model_blocked",
        ),
        (ACTIVE, [provider_config("openai", blacklisted_models=("o1",))], "openai", "gpt-4o", None),
        (
            ACTIVE,
            [provider_config("openai", allowed_models=("gpt-4o",), blacklisted_models=("gpt-4o",))],
            "openai",
            "gpt-4o",
            "model_blocked",
        ),
    ],
)
def test_who_is_shut_out(
    members: dict[str, Any], configs: list[Any], provider_name: str | None, model: str | None, decision: str | None
):
    plan = plan_of(holder(virtual_key(*configs, **members)), shared(), provider_name, model)
    assert (plan.blocked.decision if plan.blocked is not None else None) == decision


def test_limits_stay_in_the_plan_of_a_blocked_request():
    """Usage of a request that ran all the same is charged to them."""
    key = virtual_key(budgets=(Slots().budget("key"),), is_active=False)
    plan = plan_of(holder(key), shared())
    assert plan.blocked is not None
    assert named(plan) == ["key/budget"]


def test_inactive_wins_over_expired():
    key = virtual_key(provider_config("openai"), expires_at_ms=5)
    assert plan_of(holder(key), shared()).expires_at_ms == 5
    key = virtual_key(provider_config("openai"), expires_at_ms=5, is_active=False)
    assert plan_of(holder(key), shared()).expires_at_ms is None


@pytest.mark.parametrize(
    "of_key, of_service, expected",
    [(None, Mode.CLAMP, Mode.CLAMP), (None, Mode.STRICT, Mode.STRICT), ("postpaid", Mode.STRICT, Mode.POSTPAID)],
)
def test_a_key_may_have_a_mode_of_its_own(of_key: str | None, of_service: Mode, expected: Mode):
    key = virtual_key(provider_config("openai"), enforcement=of_key)
    assert plan_of(holder(key), shared(), mode=of_service).mode == expected


@pytest.mark.parametrize(
    "members, expected",
    [
        ({"allow_all_keys": True, "key_ids": ()}, ("*",)),
        ({"allow_all_keys": False, "key_ids": ("a", "b")}, ("a", "b")),
        ({"allow_all_keys": False, "key_ids": ()}, ()),
    ],
)
def test_keys_of_the_provider(members: dict[str, Any], expected: tuple[str, ...]):
    assert plan_of(holder(virtual_key(provider_config("openai", **members))), shared()).key_ids == expected


def test_a_request_without_a_key_is_bound_by_the_limits_of_everybody():
    plan = plan_of(None, shared(provider("openai", budgets=(Slots().budget("provider"),))))
    assert named(plan) == ["provider/budget"]
    assert (plan.gate, plan.blocked, plan.key_id, plan.key_ids) == (1, None, None, ("*",))
