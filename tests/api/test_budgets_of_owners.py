"""Budgets on updates, at every owner of limits: found again by reset_duration or by id, with what was spent."""

from typing import Any

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, Entity, create, rows
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.limit_owner import OWNERS, LimitOwner
from tests.api.redis_state import contents, set_counter

LATER_MS = NOW_MS + 60_000
DAY, WEEK, HOUR = ({"max_limit": 5, "reset_duration": duration} for duration in ("1d", "1w", "1h"))
Budget = dict[str, Any]


@pytest.fixture
def client(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=NOW_MS)


@pytest.fixture
def later(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=LATER_MS)


@pytest.fixture(params=OWNERS)
def owner(client, request) -> LimitOwner:
    return LimitOwner(client, request.param)


@pytest.fixture(params=[TEAMS, CUSTOMERS])
def named_owner(client, request) -> LimitOwner:
    """One that also takes the older, single `budget`."""
    return LimitOwner(client, request.param)


async def a_spent(owner: LimitOwner, redis: Redis, *budgets: Budget, **limits: Any) -> list[Entity]:
    """Its budgets by now: a dollar spent from the first, two from the second, and so on."""
    shown = (await owner.create(budgets=list(budgets), **limits)).get("budgets", [])
    for number, budget in enumerate(shown, start=1):
        set_counter(redis, owner.ref, budget["id"], usage=number * 10**9, last_reset_ms=NOW_MS - number)
    return list((await owner.show()).get("budgets", []))


def facts(budget: Entity) -> tuple[str, float, float, str]:
    return budget["id"], budget["max_limit"], budget["current_usage"], budget["last_reset"]


async def test_a_duration_that_is_stored_finds_its_budget_again(owner, later, redis: Redis):
    day, week = await a_spent(owner, redis, DAY, WEEK)
    not_for_clients = {"current_usage": 0, "last_reset": "2001-01-01T00:00:00Z", "created_at": "2001-01-01T00:00:00Z"}
    sent = [{**not_for_clients, **terms} for terms in ({**WEEK, "max_limit": 2}, {**DAY, "max_limit": 0.5})]
    changed = (await owner.at(later).update(budgets=sent))["budgets"]
    assert [facts(budget) for budget in changed] == [
        (week["id"], 2, 2, week["last_reset"]),
        (day["id"], 0.5, 1, day["last_reset"]),
    ]
    assert [budget["created_at"] for budget in changed] == [timestamp(NOW_MS)] * 2
    assert [budget["updated_at"] for budget in changed] == [timestamp(LATER_MS)] * 2
    # Less than was spent already: nothing remains, nothing is forgotten.
    assert (changed[1]["remaining"], changed[0]["remaining"]) == (0, 0)


async def test_a_duration_that_is_not_stored_is_a_new_budget_and_one_that_is_not_sent_goes(owner, later, client, redis: Redis):
    day, _ = await a_spent(owner, redis, DAY, WEEK)
    sent = [{"max_limit": 5, "reset_duration": "24h"}, DAY]
    new, kept = (await owner.at(later).update(budgets=sent))["budgets"]
    assert facts(kept) == facts(day)
    assert facts(new) == (new["id"], 5, 0, timestamp(LATER_MS))
    assert new["id"] not in (day["id"], kept["id"])
    assert [budget["id"] for budget in await rows(client, "budgets")] == [day["id"], new["id"]]


@pytest.mark.parametrize("sent", [{}, {"budgets": None}, {"rate_limit": None}], ids=str)
async def test_a_list_that_is_not_sent_stays(owner, later, redis: Redis, sent):
    budgets = await a_spent(owner, redis, DAY, WEEK)
    assert (await owner.at(later).update(**sent))["budgets"] == budgets


async def test_an_empty_list_removes_all(owner, client, redis: Redis):
    await a_spent(owner, redis, DAY, WEEK)
    changed = await owner.update(budgets=[])
    assert changed.get("budgets", []) == []
    assert {"budget", "budget_id"}.isdisjoint(changed)
    assert await rows(client, "budgets") == []
    back = (await owner.update(budgets=[DAY]))["budgets"]
    assert [budget["current_usage"] for budget in back] == [0]


async def test_an_id_finds_its_budget_again_whatever_the_duration(owner, later, redis: Redis):
    day, week = await a_spent(owner, redis, DAY, WEEK)
    sent = [{"id": day["id"], "max_limit": 7, "reset_duration": "1M"}, {**WEEK, "id": week["id"]}]
    month, same = (await owner.at(later).update(budgets=sent))["budgets"]
    assert facts(month) == (day["id"], 7, 1, day["last_reset"])
    assert (month["reset_duration"], month["created_at"]) == ("1M", day["created_at"])
    assert same == week


async def test_ids_may_swap_durations_and_a_duration_alone_then_means_a_new_budget(owner, redis: Redis):
    day, week, hour = await a_spent(owner, redis, DAY, WEEK, HOUR)
    sent = [{**WEEK, "id": day["id"]}, {**DAY, "id": week["id"]}, HOUR]
    assert [facts(budget)[::2] for budget in (await owner.update(budgets=sent))["budgets"]] == [
        (day["id"], 1),
        (week["id"], 2),
        (hour["id"], 3),
    ]
    # 1w is taken by an id, so the entry that only says 1d is not the budget that had 1d before.
    new, _ = (await owner.update(budgets=[DAY, {**HOUR, "id": week["id"]}]))["budgets"]
    assert (new["id"] in (day["id"], week["id"], hour["id"]), new["current_usage"]) == (False, 0)


async def test_a_new_duration_by_id_does_not_bring_back_what_its_window_had_forgotten(owner, make_client, redis: Redis):
    (hour,) = await a_spent(owner, redis, HOUR)
    much_later = NOW_MS + 7_200_000
    changed = await owner.at(make_client(now_ms=much_later)).update(budgets=[{**WEEK, "id": hour["id"]}])
    assert [facts(budget) for budget in changed["budgets"]] == [(hour["id"], 5, 0, timestamp(much_later))]


async def test_ids_must_be_of_this_owner_and_each_there_once(owner, client, redis: Redis):
    other = await create(client, TEAMS, budgets=[DAY])
    day, _ = await a_spent(owner, redis, DAY, WEEK)
    before = contents(redis)
    for sent, param in [
        ([{**DAY, "id": other["budgets"][0]["id"]}], "budgets[0].id"),
        ([DAY, {**WEEK, "id": "unknown"}], "budgets[1].id"),
        ([{**DAY, "id": day["id"]}, {**WEEK, "id": day["id"]}], "budgets[1].id"),
        ([{**WEEK, "id": day["id"]}, WEEK], "budgets[1].reset_duration"),
    ]:
        assert await owner.refused(budgets=sent) == (400, owner.param(param)), sent
    assert contents(redis) == before


RESETS: list[tuple[dict[str, Any], list[float]]] = [
    # sent, what is spent from the budgets then
    ({"reset_budget_usage": True}, [0, 0]),
    ({"reset_budget_usage": True, "budgets": [DAY]}, [0]),
    ({"reset_budget_usage": True, "budgets": [WEEK, HOUR]}, [0, 0]),
    ({"reset_budget_usage": False}, [1, 2]),
    ({"reset_budget_usage": None}, [1, 2]),
    ({"reset_budget_usage": False, "budgets": [WEEK]}, [2]),
]


@pytest.mark.parametrize("sent, spent", RESETS, ids=str)
async def test_usage_is_reset_on_demand_but_not_its_window_nor_the_rate_limit(owner, later, redis: Redis, sent, spent):
    limit = {"token_max_limit": 5, "token_reset_duration": "1d"}
    day, week = await a_spent(owner, redis, DAY, WEEK, rate_limit=limit)
    rate_limit = (await owner.show())["rate_limit"]
    set_counter(redis, owner.ref, rate_limit["id"], slot="token_slot", usage=3)
    changed = await owner.at(later).update(**sent)
    assert [budget["current_usage"] for budget in changed["budgets"]] == spent
    windows = {budget["id"]: budget["last_reset"] for budget in (day, week)}
    for budget in changed["budgets"]:
        assert budget["last_reset"] == windows.get(budget["id"], timestamp(LATER_MS))
    assert changed["rate_limit"]["token_current_usage"] == 3


async def test_resetting_a_key_resets_its_provider_configs_too(client, redis: Redis):
    key = LimitOwner(client, VIRTUAL_KEYS)
    shown = await key.create(budgets=[DAY], provider_configs=[{"provider": "openai", "budgets": [DAY, WEEK]}])
    (config,) = shown["provider_configs"]
    for budget in (*shown["budgets"], *config["budgets"]):
        set_counter(redis, key.ref, budget["id"], usage=10**9)
    entry = {"id": config["id"], "provider": "openai", "budgets": [WEEK]}
    changed = await key.update(reset_budget_usage=True, provider_configs=[entry])
    assert [budget["current_usage"] for budget in changed["budgets"]] == [0]
    assert [budget["current_usage"] for budget in changed["provider_configs"][0]["budgets"]] == [0]


SINGLE: list[tuple[Any, dict[str, Any] | None]] = [
    # budget on an update, what it becomes (None: none)
    (None, {}),
    ({"max_limit": 7}, {"max_limit": 7}),
    ({"max_limit": 7, "reset_duration": None}, {"max_limit": 7}),
    ({"reset_duration": "1w"}, {"reset_duration": "1w"}),
    ({"max_limit": 7, "reset_duration": "1w"}, {"max_limit": 7, "reset_duration": "1w"}),
    ({}, None),
    ({"max_limit": None, "reset_duration": None}, None),
    ({"calendar_aligned": True}, None),
    ({"calendar_aligned": False}, None),
]


@pytest.mark.parametrize("sent, becomes", SINGLE, ids=str)
async def test_a_single_budget_is_merged_into_the_stored_one(named_owner, client, redis: Redis, sent, becomes):
    (stored,) = await a_spent(named_owner, redis, DAY)
    changed = await named_owner.update(budget=sent)
    if becomes is None:
        assert {"budget", "budget_id", "budgets"}.isdisjoint(changed)
        assert await rows(client, "budgets") == []
        return
    expected = {**stored, **becomes}
    assert (facts(changed["budget"]), changed["budget"]["reset_duration"]) == (facts(expected), expected["reset_duration"])
    assert changed["budgets"] == [changed["budget"]]
    assert changed["budget_id"] == stored["id"]


async def test_a_single_budget_that_is_put_on_the_calendar_starts_afresh(named_owner, redis: Redis):
    (stored,) = await a_spent(named_owner, redis, DAY)
    changed = await named_owner.update(budget={"max_limit": 5, "calendar_aligned": True})
    assert facts(changed["budget"]) == (stored["id"], 5, 0, "2030-03-17T00:00:00.000Z")
    again = await named_owner.update(budget={"max_limit": 6})
    assert (again["budget"]["calendar_aligned"], again["calendar_aligned"]) == (True, False)
    assert await named_owner.refused(budget={"reset_duration": "1h"}) == (400, "budget.calendar_aligned")


async def test_a_single_budget_without_a_stored_one_must_be_whole(named_owner, redis: Redis):
    await named_owner.create()
    before = contents(redis)
    assert await named_owner.refused(budget={"max_limit": 1}) == (400, "budget.reset_duration")
    assert await named_owner.refused(budget={"reset_duration": "1d"}) == (400, "budget.max_limit")
    assert contents(redis) == before
    assert "budgets" not in await named_owner.update(budget={})
    assert (await named_owner.update(budget=DAY))["budget"]["max_limit"] == 5


@pytest.mark.parametrize("aligned", [False, True])
async def test_an_owner_is_sent_back_as_it_is_read(named_owner, redis: Redis, aligned: bool):
    await a_spent(named_owner, redis, DAY, WEEK, calendar_aligned=aligned)
    shown = await named_owner.show()
    assert await named_owner.update(**shown) == shown
    # Some clients leave out what is false.
    shortened = [{name: value for name, value in budget.items() if value is not False} for budget in shown["budgets"]]
    assert await named_owner.update(**{**shown, "budget": shortened[0], "budgets": shortened}) == shown
    assert await named_owner.refused(**{**shown, "budget": {**shown["budget"], "max_limit": 6}}) == (400, "budgets")
    assert await named_owner.refused(**{**shown, "budgets": shown["budgets"][1:]}) == (400, "budgets")


async def test_limits_of_a_provider_and_of_a_model_are_sent_back_as_they_are_read(client: httpx.AsyncClient):
    limits = {"budgets": [DAY, WEEK], "rate_limit": {"request_max_limit": 5, "request_reset_duration": "1h"}}
    config = (await client.post("/model-configs", json={"model_name": "gpt-4o", **limits})).json()["model_config"]
    provider = (await client.put("/providers/openai", json=limits)).json()
    assert (await client.put(f"/model-configs/{config['id']}", json=config)).json()["model_config"] == config
    assert (await client.put("/providers/openai", json=provider)).json() == provider


async def test_a_single_budget_is_ambiguous_among_several_and_beside_a_list(named_owner, redis: Redis):
    await a_spent(named_owner, redis, DAY, WEEK)
    before = contents(redis)
    for sent in ({"max_limit": 1}, {}, {"max_limit": 1, "reset_duration": "1d"}):
        assert await named_owner.refused(budget=sent) == (400, "budget")
    for budgets in ([], [DAY]):
        for budget in ({}, DAY):
            assert await named_owner.refused(budget=budget, budgets=budgets) == (400, "budgets")
    for not_an_object in ("", [1], 5):
        assert await named_owner.refused(budget=not_an_object) == (400, "budget")
    assert contents(redis) == before
