"""Which budgets and rate limits a request may carry, and which member is blamed when it may not."""

import json
from typing import Any

import pytest

from service.errors import InvalidRequest
from service.models.limits import BudgetRequests, CreateBudgetRequest, RateLimitRequest, UpdateBudgetRequest
from service.models.parsing import parse
from service.models.strict import StrictModel


class Body(StrictModel):
    budgets: BudgetRequests | None = None
    budget: UpdateBudgetRequest | None = None
    rate_limit: RateLimitRequest | None = None


def read(**members: object) -> Body:
    return parse(Body, json.dumps(members).encode())


ACCEPTED_BUDGETS = [
    ({"max_limit": 1, "reset_duration": "1h"}, CreateBudgetRequest(max_limit=1.0, reset_duration="1h")),
    ({"max_limit": 1e-9, "reset_duration": "1h"}, CreateBudgetRequest(max_limit=1e-9, reset_duration="1h")),
    ({"max_limit": 9_000_000, "reset_duration": "1h"}, CreateBudgetRequest(max_limit=9e6, reset_duration="1h")),
    (
        {"max_limit": 1.5, "reset_duration": "7d", "calendar_aligned": True, "id": "b1"},
        CreateBudgetRequest(id="b1", max_limit=1.5, reset_duration="7d", calendar_aligned=True),
    ),
    (
        {"max_limit": 1, "reset_duration": "Monthly", "calendar_aligned": True},
        CreateBudgetRequest(max_limit=1.0, reset_duration="Monthly", calendar_aligned=True),
    ),
    (
        {"max_limit": 1, "reset_duration": "1h", "calendar_aligned": False, "current_usage": 9, "last_reset": "never"},
        CreateBudgetRequest(max_limit=1.0, reset_duration="1h"),
    ),
]


@pytest.mark.parametrize("sent, budget", ACCEPTED_BUDGETS)
def test_accepted_budgets(sent: dict[str, Any], budget: CreateBudgetRequest):
    assert read(budgets=[sent]).budgets == (budget,)


def test_null_is_absent():
    body = read(
        budgets=[{"id": None, "max_limit": 1, "reset_duration": "1h", "calendar_aligned": None}], budget=None, rate_limit=None
    )
    assert body.budgets is not None
    assert not body.budgets[0].calendar_aligned
    assert body.budget is None
    assert body.rate_limit is None
    assert read(budget={"max_limit": None, "reset_duration": None}).budget == UpdateBudgetRequest()
    assert read(rate_limit={"token_max_limit": None}).rate_limit == RateLimitRequest()


def test_budgets_of_equal_length_but_other_text_are_two_budgets():
    budgets = read(budgets=[{"max_limit": 1, "reset_duration": text} for text in ("24h", "1d", "daily")]).budgets
    assert budgets is not None
    assert [budget.reset_duration for budget in budgets] == ["24h", "1d", "daily"]


def budget(**members: Any) -> dict[str, Any]:
    return {"budgets": [{"max_limit": 10, "reset_duration": "1d"} | members]}


def rate_limit(**members: Any) -> dict[str, Any]:
    return {"rate_limit": members}


WRONG_DOLLARS: tuple[Any, ...] = (0, -1, -0.01, 1e-10, 9_000_001, 1e300, 10**400, "1", True, None, [], {})
WRONG_COUNTS = (0, -1, 1.5, 1.0, 2**53, 2**64, "1", True)
WRONG_DURATIONS: tuple[Any, ...] = ("", "d", "0s", "-1h", "1 h", "1d12h", "1D", "300Y", 60, {})
A_DAY = {"max_limit": 10, "reset_duration": "1d"}

REFUSED = [
    *((budget(max_limit=limit), "budgets[0].max_limit") for limit in WRONG_DOLLARS),
    *((budget(reset_duration=text), "budgets[0].reset_duration") for text in (*WRONG_DURATIONS, None)),
    *(
        (budget(reset_duration=text, calendar_aligned=True), "budgets[0].calendar_aligned")
        for text in ("1h", "30m", "90s", "24h", "720h")
    ),
    (budget(calendar_aligned="true"), "budgets[0].calendar_aligned"),
    (budget(id=7), "budgets[0].id"),
    ({"budgets": [{"max_limit": 1}]}, "budgets[0].reset_duration"),
    ({"budgets": [{"reset_duration": "1d"}]}, "budgets[0].max_limit"),
    ({"budgets": [A_DAY, A_DAY | {"reset_duration": "1h"}, A_DAY]}, "budgets[2].reset_duration"),
    ({"budgets": [None]}, "budgets[0]"),
    ({"budgets": A_DAY}, "budgets"),
    ({"budgets": ""}, "budgets"),
    ({"budgets": {}}, "budgets"),
    ({"budget": {"max_limit": 0}}, "budget.max_limit"),
    ({"budget": {"max_limit": 1e-12}}, "budget.max_limit"),
    ({"budget": {"reset_duration": ""}}, "budget.reset_duration"),
    ({"budget": []}, "budget"),
    ({"budget": ""}, "budget"),
    ({"rate_limit": []}, "rate_limit"),
    ({"rate_limit": ""}, "rate_limit"),
    *((rate_limit(token_max_limit=limit, token_reset_duration="1h"), "rate_limit.token_max_limit") for limit in WRONG_COUNTS),
    *(
        (rate_limit(request_max_limit=limit, request_reset_duration="1h"), "rate_limit.request_max_limit")
        for limit in WRONG_COUNTS
    ),
    *((rate_limit(token_reset_duration=text), "rate_limit.token_reset_duration") for text in WRONG_DURATIONS),
    *((rate_limit(request_reset_duration=text), "rate_limit.request_reset_duration") for text in WRONG_DURATIONS),
    (rate_limit(token_max_limit=1), "rate_limit.token_reset_duration"),
    (rate_limit(request_max_limit=1), "rate_limit.request_reset_duration"),
    (rate_limit(token_max_limit=1, request_reset_duration="1h"), "rate_limit.token_reset_duration"),
]


@pytest.mark.parametrize("body, param", REFUSED)
def test_refused(body: dict[str, Any], param: str):
    with pytest.raises(InvalidRequest) as error:
        read(**body)
    assert error.value.param == param


ACCEPTED_RATE_LIMITS = [
    # sent, limits nothing, is empty
    ({}, True, True),
    ({"token_max_limit": None, "request_reset_duration": None}, True, True),
    ({"token_reset_duration": "1h"}, True, False),
    ({"request_reset_duration": "1m"}, True, False),
    ({"token_max_limit": 1, "token_reset_duration": "1h"}, False, False),
    ({"request_max_limit": 2**53 - 1, "request_reset_duration": "90s", "token_reset_duration": "1d"}, False, False),
]


@pytest.mark.parametrize("sent, limits_nothing, is_empty", ACCEPTED_RATE_LIMITS)
def test_accepted_rate_limits(sent: dict[str, Any], limits_nothing: bool, is_empty: bool):
    read_back = read(rate_limit=sent).rate_limit
    assert read_back is not None
    assert (read_back.limits_nothing, read_back.is_empty) == (limits_nothing, is_empty)


REMOVALS = [
    ({}, True),
    ({"calendar_aligned": True}, True),
    ({"max_limit": 5}, False),
    ({"reset_duration": "1h"}, False),
    ({"reset_duration": "1h", "calendar_aligned": True}, False),  # judged together with what is stored
]


@pytest.mark.parametrize("sent, removes", REMOVALS)
def test_the_single_budget_is_removed_by_neither_limit_nor_duration(sent: dict[str, Any], removes: bool):
    single = read(budget=sent).budget
    assert single is not None
    assert single.removes is removes
