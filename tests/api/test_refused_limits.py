"""Budgets and rate limits that are refused, at every owner of limits, on creation and on update alike."""

from typing import Any

import pytest
from redis import Redis

from tests.api.calls import VIRTUAL_KEYS, refusal
from tests.api.limit_owner import OWNERS, PROVIDER_CONFIGS, LimitOwner
from tests.api.redis_state import contents

DAY = {"max_limit": 1, "reset_duration": "1d"}
LARGEST = 2**53 - 1

WRONG_VALUES: list[tuple[str, Any, str]] = [
    # member, what is sent, member at fault
    ("budgets", [{"reset_duration": "1d"}], "budgets[0].max_limit"),
    ("budgets", [{"max_limit": None, "reset_duration": "1d"}], "budgets[0].max_limit"),
    ("budgets", [{"max_limit": 0, "reset_duration": "1d"}], "budgets[0].max_limit"),
    ("budgets", [{"max_limit": -0.01, "reset_duration": "1d"}], "budgets[0].max_limit"),
    ("budgets", [{"max_limit": 9e-10, "reset_duration": "1d"}], "budgets[0].max_limit"),
    ("budgets", [{"max_limit": 9_000_000.01, "reset_duration": "1d"}], "budgets[0].max_limit"),
    ("budgets", [{"max_limit": 1e300, "reset_duration": "1d"}], "budgets[0].max_limit"),
    ("budgets", [{"max_limit": 1}], "budgets[0].reset_duration"),
    ("budgets", [{"max_limit": 1, "reset_duration": None}], "budgets[0].reset_duration"),
    ("budgets", [{}], "budgets[0].max_limit"),
    ("budgets", [DAY, {"max_limit": 2, "reset_duration": "1d"}], "budgets[1].reset_duration"),
    ("budgets", [DAY, {"max_limit": 2, "reset_duration": "1w"}, DAY], "budgets[2].reset_duration"),
    ("budgets", [{"max_limit": 1, "reset_duration": f"{hours}h"} for hours in range(1, 102)], "budgets"),
    *(
        ("budgets", [{"max_limit": 1, "reset_duration": short, "calendar_aligned": True}], "budgets[0].calendar_aligned")
        for short in ("1h", "30m", "90s", "24h", "48h0m")
    ),
    *(
        ("budgets", [DAY, {"max_limit": 1, "reset_duration": wrong}], "budgets[1].reset_duration")
        for wrong in (
            "", " ", "d", "1", "0", "0s", "0d", "-1h", "-1d", "1 h", " 1h", "1h ", "1d12h", "1h30d", "1D", "1W", "1y", "1H", "1S",
            "1x", "1e3s", "1.s.", "day", "quarterly", "1Q", "1h-30m", "1d1d", "Infinityd", "nan", "293Y", "٣d",
        )
    ),
    ("rate_limit", {"token_max_limit": 1}, "rate_limit.token_reset_duration"),
    ("rate_limit", {"token_max_limit": 1, "request_reset_duration": "1h"}, "rate_limit.token_reset_duration"),
    ("rate_limit", {"request_max_limit": 1}, "rate_limit.request_reset_duration"),
    ("rate_limit", {"request_max_limit": 1, "token_reset_duration": "1h"}, "rate_limit.request_reset_duration"),
    *(
        ("rate_limit", {f"{unit}_max_limit": wrong, f"{unit}_reset_duration": "1h"}, f"rate_limit.{unit}_max_limit")
        for unit in ("token", "request")
        for wrong in (0, -1, LARGEST + 1)
    ),
    *(
        ("rate_limit", {f"{unit}_max_limit": 1, f"{unit}_reset_duration": wrong}, f"rate_limit.{unit}_reset_duration")
        for unit in ("token", "request")
        for wrong in ("", "0s", "-1h", "1 h", "1x")
    ),
    ("rate_limit", {"token_reset_duration": "soon"}, "rate_limit.token_reset_duration"),
]  # fmt: skip

WRONG_TYPES: list[tuple[str, Any, str]] = [
    ("budgets", {}, "budgets"),
    ("budgets", "", "budgets"),
    ("budgets", True, "budgets"),
    ("budgets", [5], "budgets[0]"),
    ("budgets", [None], "budgets[0]"),
    ("budgets", [DAY, []], "budgets[1]"),
    ("budgets", [{"max_limit": "1", "reset_duration": "1d"}], "budgets[0].max_limit"),
    ("budgets", [{"max_limit": True, "reset_duration": "1d"}], "budgets[0].max_limit"),
    ("budgets", [{"max_limit": 1, "reset_duration": 86400}], "budgets[0].reset_duration"),
    ("budgets", [{**DAY, "calendar_aligned": "true"}], "budgets[0].calendar_aligned"),
    ("budgets", [{**DAY, "id": 1}], "budgets[0].id"),
    ("rate_limit", [], "rate_limit"),
    ("rate_limit", "", "rate_limit"),
    ("rate_limit", 5, "rate_limit"),
    ("rate_limit", {"token_max_limit": 1.5, "token_reset_duration": "1h"}, "rate_limit.token_max_limit"),
    ("rate_limit", {"token_max_limit": "1", "token_reset_duration": "1h"}, "rate_limit.token_max_limit"),
    ("rate_limit", {"token_max_limit": 1, "token_reset_duration": 3600}, "rate_limit.token_reset_duration"),
    ("rate_limit", {"request_max_limit": 1.0001, "request_reset_duration": "1h"}, "rate_limit.request_max_limit"),
    ("rate_limit", {"request_max_limit": [], "request_reset_duration": "1h"}, "rate_limit.request_max_limit"),
]


@pytest.mark.parametrize("kind", OWNERS)
async def test_wrong_limits_are_refused_and_change_nothing(client, redis: Redis, kind):
    owner = LimitOwner(client, kind)
    before_creation = contents(redis)
    for member, sent, param in (*WRONG_VALUES, *WRONG_TYPES):
        assert await owner.refused_creation(**{member: sent}) == (400, owner.param(param)), sent
    assert contents(redis) == before_creation

    await owner.create(budgets=[DAY], rate_limit={"token_max_limit": 1, "token_reset_duration": "1h"})
    before_update = contents(redis)
    for member, sent, param in (*WRONG_VALUES, *WRONG_TYPES):
        assert await owner.refused(**{member: sent}) == (400, owner.param(param)), sent
    assert contents(redis) == before_update


@pytest.mark.parametrize("kind", OWNERS)
async def test_the_largest_and_smallest_limits_are_accepted(client, kind):
    limit = {"token_max_limit": LARGEST, "token_reset_duration": "1ns", "request_max_limit": 1, "request_reset_duration": "292Y"}
    budgets = [{"max_limit": 9_000_000, "reset_duration": "100Y"}, {"max_limit": 1e-9, "reset_duration": "0.000001d"}]
    shown = await LimitOwner(client, kind).create(budgets=budgets, rate_limit=limit)
    assert [budget["max_limit"] for budget in shown["budgets"]] == [9_000_000, 1e-9]
    assert {**shown["rate_limit"], **limit} == shown["rate_limit"]


@pytest.mark.parametrize("kind", [kind for kind in OWNERS if kind not in (VIRTUAL_KEYS, PROVIDER_CONFIGS)])
async def test_one_budget_may_be_sent_without_a_list_but_not_beside_one(client, kind):
    shown = await LimitOwner(client, kind).create(budget=DAY)
    assert shown["budgets"] == [shown["budget"]]
    assert shown["budget_id"] == shown["budget"]["id"]
    for member, sent, param in [
        ("budget", {}, "budget.max_limit"),
        ("budget", {"max_limit": 1}, "budget.reset_duration"),
        ("budget", {"reset_duration": "1d"}, "budget.max_limit"),
        ("budget", {"max_limit": 0, "reset_duration": "1d"}, "budget.max_limit"),
        ("budget", {"max_limit": 1, "reset_duration": "1h", "calendar_aligned": True}, "budget.calendar_aligned"),
        ("budget", [], "budget"),
        ("budget", "", "budget"),
    ]:
        assert await LimitOwner(client, kind).refused_creation(**{member: sent}) == (400, param), sent
    for budgets in ([], [DAY]):
        refused = await client.post(f"/{kind}", json={"name": "both", "budget": DAY, "budgets": budgets})
        assert refusal(refused) == (400, "budgets")
