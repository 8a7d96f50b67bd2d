"""Budgets and rate limits of models and providers: the same rules as at keys, teams and customers."""

from typing import Any

import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from service.store import keys
from tests.api import calls
from tests.api.calls import MODEL_CONFIGS, Entity
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.model_and_provider_limits import KINDS, OF_A_KEY, PROVIDERS, Limits
from tests.api.redis_state import contents, set_counter
from tests.api.refusals import assert_refused

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
DAY, WEEK, MONTH = ({"max_limit": 5, "reset_duration": duration} for duration in ("1d", "1w", "1M"))
TOKENS = {"token_max_limit": 100, "token_reset_duration": "1d"}
BOTH = {**TOKENS, "request_max_limit": 10, "request_reset_duration": "1h"}
NOW, TODAY, TOMORROW = timestamp(NOW_MS), "2030-03-17T00:00:00.000Z", "2030-03-18T00:00:00.000Z"


@pytest.fixture(params=KINDS)
def limits(request: pytest.FixtureRequest, make_client: MakeClient) -> Limits:
    return Limits(make_client(now_ms=NOW_MS), request.param)


async def used(limits: Limits, redis: Redis, *budgets: Entity, **sent: Any) -> Entity:
    """As it is after requests, all windows begun three hours ago: a dollar of the first budget, two of the second, 7 tokens."""
    shown = await limits.create(budgets=list(budgets), rate_limit=BOTH, **sent)
    since = NOW_MS - 3 * HOUR_MS
    for number, budget in enumerate(shown.get("budgets", []), start=1):
        set_counter(redis, limits.ref, budget["id"], usage=number * 10**9, last_reset_ms=since, held=5)
    rate_limit = shown["rate_limit"]["id"]
    set_counter(redis, limits.ref, rate_limit, slot="token_slot", usage=7, last_reset_ms=since)
    return await limits.show()


def spent(shown: Entity) -> dict[str, float]:
    return {budget["reset_duration"]: budget["current_usage"] for budget in shown.get("budgets", [])}


async def test_new_limits(limits: Limits):
    shown = await limits.create(budgets=[WEEK, DAY], rate_limit=BOTH)
    owner = {} if limits.kind == PROVIDERS else {"model_config_id": limits.id}
    week, day = shown["budgets"]
    assert shown["budget"] == week
    assert day == {
        "id": day["id"],
        **DAY,
        "calendar_aligned": False,
        "last_reset": NOW,
        "current_usage": 0,
        "reserved": 0,
        "remaining": 5,
        "next_reset_at": timestamp(NOW_MS + DAY_MS),
        **owner,
        "config_hash": "",
        "created_at": NOW,
        "updated_at": NOW,
    }
    assert {**shown["rate_limit"], **BOTH} == shown["rate_limit"]
    assert shown["calendar_aligned"] is False
    shown.pop("message", None)
    assert await limits.show() == shown


async def test_all_budgets_and_rate_limits_are_listed(limits: Limits):
    shown = await limits.create(budgets=[DAY, WEEK], rate_limit=BOTH)
    budgets = (await limits.client.get("/budgets")).json()
    assert budgets == {"budgets": sorted(shown["budgets"], key=lambda budget: budget["id"]), "count": 2}
    assert (await limits.client.get("/rate-limits")).json() == {"rate_limits": [shown["rate_limit"]], "count": 1}
    await limits.update(budgets=[], rate_limit={})
    assert (await limits.client.get("/budgets", params={"from_memory": "true"})).json() == {"budgets": [], "count": 0}
    assert (await limits.client.get("/rate-limits")).json() == {"rate_limits": [], "count": 0}


UNTOUCHED: list[dict[str, Any]] = [
    {},
    {"budgets": None, "budget": None, "rate_limit": None, "calendar_aligned": None, "reset_budget_usage": None},
    {"reset_budget_usage": False, "scope": "user", "scope_id": "x", "current_usage": 99, "id": "mine"},
    {"budgets": [DAY, WEEK], "rate_limit": BOTH},
]


@pytest.mark.parametrize("sent", UNTOUCHED, ids=str)
async def test_what_is_not_sent_stays(limits: Limits, redis: Redis, sent: dict[str, Any], make_client: MakeClient):
    before = await used(limits, redis, DAY, WEEK)
    later = limits.at(make_client(now_ms=NOW_MS + 1))
    assert await later.update(**sent) == before


async def test_a_list_of_budgets_is_reconciled(limits: Limits, redis: Redis):
    before = await used(limits, redis, DAY, WEEK)
    day, week = before["budgets"]
    sent = [{"max_limit": 0.5, "reset_duration": "1w"}, {**MONTH, "id": day["id"]}, {"max_limit": 3, "reset_duration": "24h"}]
    after = (await limits.update(budgets=sent))["budgets"]
    assert [(budget["reset_duration"], budget["max_limit"], budget["current_usage"]) for budget in after] == [
        ("1w", 0.5, 2),
        ("1M", 5, 1),
        ("24h", 3, 0),
    ]
    assert [budget["id"] for budget in after[:2]] == [week["id"], day["id"]]
    assert [budget["last_reset"] for budget in after] == [week["last_reset"], day["last_reset"], NOW]


LEGACY: list[tuple[Entity, dict[str, float]]] = [
    # of one budget of 5 dollars a day, 1 spent
    ({"max_limit": 9}, {"1d": 1}),
    ({"reset_duration": "1w"}, {"1w": 1}),
    ({"max_limit": 9, "reset_duration": "1w"}, {"1w": 1}),
    ({"max_limit": 9, "calendar_aligned": True}, {"1d": 0}),
    ({}, {}),
    ({"calendar_aligned": True}, {}),
    ({"max_limit": None, "reset_duration": None}, {}),
]


@pytest.mark.parametrize("sent, expected", LEGACY, ids=str)
async def test_the_older_single_budget(limits: Limits, redis: Redis, sent: Entity, expected: dict[str, float]):
    before = await used(limits, redis, DAY)
    after = await limits.update(budget=sent)
    assert spent(after) == expected
    if expected:
        assert after["budget"]["id"] == before["budget"]["id"]
        assert after["budget"]["max_limit"] == sent.get("max_limit", 5)
    else:
        assert "budget" not in after


async def test_the_older_single_budget_where_there_is_none_or_more_than_one(limits: Limits):
    await limits.create()
    for sent in ({"max_limit": 1}, {"reset_duration": "1d"}):
        assert_refused(await limits.refused(budget=sent), 400, says="is required")
    assert spent(await limits.update(budget={})) == {}
    assert spent(await limits.update(budget=DAY)) == {"1d": 0}
    await limits.update(budgets=[DAY, WEEK])
    for sent in ({"max_limit": 1}, {}):
        assert_refused(await limits.refused(budget=sent), 400, param="budget", says="several budgets")
    for budgets in ([], [DAY]):
        assert_refused(await limits.refused(budget=DAY, budgets=budgets), 400, param="budgets")
    assert spent(await limits.show()) == {"1d": 0, "1w": 0}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"budgets": {}}, "budgets"),
    ({"budgets": ""}, "budgets"),
    ({"budgets": [{"max_limit": 0, "reset_duration": "1d"}]}, "budgets[0].max_limit"),
    ({"budgets": [{"max_limit": 1, "reset_duration": "1 d"}]}, "budgets[0].reset_duration"),
    ({"budgets": [DAY, DAY]}, "budgets[1].reset_duration"),
    ({"budgets": [{**DAY, "id": "of nobody"}]}, "budgets[0].id"),
    ({"budget": []}, "budget"),
    ({"budget": {"max_limit": -1}}, "budget.max_limit"),
    ({"budget": {"reset_duration": "1h", "calendar_aligned": True}}, "budget.calendar_aligned"),
    ({"rate_limit": []}, "rate_limit"),
    ({"rate_limit": {"token_max_limit": 0, "token_reset_duration": "1h"}}, "rate_limit.token_max_limit"),
    ({"rate_limit": {"request_max_limit": 1}}, "rate_limit.request_reset_duration"),
    ({"calendar_aligned": ""}, "calendar_aligned"),
    ({"reset_budget_usage": 1}, "reset_budget_usage"),
]


async def test_what_is_refused_changes_nothing(limits: Limits, redis: Redis):
    await used(limits, redis, DAY)
    before = contents(redis)
    for sent, param in WRONG:
        assert_refused(await limits.refused(**sent), 400, param=param)
        assert_refused(await limits.refused(**{"budgets": [WEEK], **sent}), 400)
    assert contents(redis) == before


async def test_a_rate_limit_is_replaced_with_its_counters_kept(limits: Limits, redis: Redis):
    before = (await used(limits, redis))["rate_limit"]
    after = (await limits.update(rate_limit={"token_max_limit": 1, "token_reset_duration": "1w"}))["rate_limit"]
    assert (after["id"], after["token_max_limit"], after["token_current_usage"]) == (before["id"], 1, 7)
    assert {"request_max_limit", "request_reset_duration"}.isdisjoint(after)


@pytest.mark.parametrize("sent", [{}, dict.fromkeys(BOTH)], ids=str)
async def test_an_empty_rate_limit_removes_it(limits: Limits, redis: Redis, sent: Entity):
    await used(limits, redis, DAY)
    assert {"rate_limit", "rate_limit_id"}.isdisjoint(await limits.update(rate_limit=sent))
    again = (await limits.update(rate_limit=BOTH))["rate_limit"]
    assert (again["token_current_usage"], again["token_last_reset"]) == (0, NOW)


async def test_durations_without_a_limit_are_kept_at_a_provider_and_remove_it_from_a_model(limits: Limits, redis: Redis):
    await used(limits, redis)
    after = await limits.update(rate_limit={"token_reset_duration": "1h"})
    if limits.kind == PROVIDERS:
        assert after["rate_limit"]["token_reset_duration"] == "1h"
        assert "token_max_limit" not in after["rate_limit"]
    else:
        assert "rate_limit" not in after


async def test_switching_to_the_calendar_zeroes_and_snaps(limits: Limits, redis: Redis):
    await used(limits, redis, DAY, {"max_limit": 5, "reset_duration": "6h"})
    await limits.update(calendar_aligned=True)
    after = await limits.show()
    day, hours = after["budgets"]
    assert (after["calendar_aligned"], day["calendar_aligned"], hours["calendar_aligned"]) == (True, True, False)
    assert (day["current_usage"], day["last_reset"], day["next_reset_at"]) == (0, TODAY, TOMORROW)
    assert (day["reserved"], hours["current_usage"]) == (5e-9, 2)
    assert (after["rate_limit"]["token_current_usage"], after["rate_limit"]["token_last_reset"]) == (0, TODAY)
    await limits.update(calendar_aligned=False)
    assert (await limits.show())["budgets"][0]["last_reset"] == TODAY


async def test_usage_can_be_reset_but_not_written(limits: Limits, redis: Redis):
    before = await used(limits, redis, DAY, WEEK)
    after = await limits.update(reset_budget_usage=True, budgets=[DAY, {**WEEK, "current_usage": 3}, MONTH])
    assert spent(after) == {"1d": 0, "1w": 0, "1M": 0}
    assert [budget["last_reset"] for budget in after["budgets"][:2]] == [budget["last_reset"] for budget in before["budgets"]]
    assert after["rate_limit"] == before["rate_limit"]


async def test_windows_that_are_over_are_shown_as_empty(limits: Limits, redis: Redis, make_client: MakeClient):
    await used(limits, redis, DAY, WEEK)
    later_ms = NOW_MS + 21 * HOUR_MS
    before = contents(redis)
    after = await limits.at(make_client(now_ms=later_ms)).show()
    assert spent(after) == {"1d": 0, "1w": 2}
    assert after["budgets"][0]["last_reset"] == after["rate_limit"]["token_last_reset"] == timestamp(later_ms)
    assert contents(redis) == before


async def test_what_is_removed_leaves_no_counter(limits: Limits, redis: Redis):
    await used(limits, redis, DAY, WEEK)
    await limits.remove()
    assert (await limits.client.get("/budgets")).json()["count"] == 0
    counters: dict[str, str] = redis.hgetall(keys.usage(limits.ref))  # type: ignore[assignment]
    assert not [name for name in counters if name != "v"]
    if limits.kind == PROVIDERS:
        assert await limits.show() == {}
        assert spent(await limits.update(budgets=[DAY])) == {"1d": 0}
        return
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(await limits.client.request(method, limits.path, content=b"{}"), 404)
    assert await calls.rows(limits.client, MODEL_CONFIGS) == []
    if limits.kind == OF_A_KEY:
        assert redis.exists(keys.config(limits.ref))
    else:
        assert not [*redis.scan_iter("q1:{model:*")]
