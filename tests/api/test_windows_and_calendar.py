"""Windows as they are shown, at every owner of limits: over when they are over, on the calendar when it is asked for (3.4)."""

from typing import Any

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from service.store import keys
from tests.api.calls import VIRTUAL_KEYS, Entity, create, get, rows, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.limit_owner import OWNERS, PROVIDER_CONFIGS, LimitOwner
from tests.api.redis_state import contents, set_counter, virtual_key
from tests.api.samples import NOW

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TODAY, TOMORROW = "2030-03-17T00:00:00.000Z", "2030-03-18T00:00:00.000Z"
THIS_WEEK, NEXT_WEEK = "2030-03-11T00:00:00.000Z", TOMORROW
THIS_MONTH, NEXT_MONTH = "2030-03-01T00:00:00.000Z", "2030-04-01T00:00:00.000Z"
THIS_YEAR, NEXT_YEAR = "2030-01-01T00:00:00.000Z", "2031-01-01T00:00:00.000Z"


@pytest.fixture
def client(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=NOW_MS)


@pytest.fixture(params=OWNERS)
def owner(client, request) -> LimitOwner:
    return LimitOwner(client, request.param)


def a_budget(duration: str, **members: Any) -> dict[str, Any]:
    return {"max_limit": 5, "reset_duration": duration, **members}


def window(budget: Entity) -> tuple[bool, str, str]:
    return budget["calendar_aligned"], budget["last_reset"], budget["next_reset_at"]


def use(budget: Entity) -> tuple[float, float, str]:
    return budget["current_usage"], budget["reserved"], budget["last_reset"]


ALIGNED = [
    # duration, shown as aligned, start of the window, its end
    ("1d", True, TODAY, TOMORROW),
    ("daily", True, TODAY, TOMORROW),
    ("7d", True, TODAY, TOMORROW),  # the number plays no part
    ("0.5d", True, TODAY, TOMORROW),
    ("1w", True, THIS_WEEK, NEXT_WEEK),
    ("Weekly", True, THIS_WEEK, NEXT_WEEK),
    ("2w", True, THIS_WEEK, NEXT_WEEK),
    ("1M", True, THIS_MONTH, NEXT_MONTH),
    ("3M", True, THIS_MONTH, NEXT_MONTH),
    ("MONTHLY", True, THIS_MONTH, NEXT_MONTH),
    ("1Y", True, THIS_YEAR, NEXT_YEAR),
    ("yearly", True, THIS_YEAR, NEXT_YEAR),
    ("24h", False, NOW, timestamp(NOW_MS + DAY_MS)),
    ("1h", False, NOW, timestamp(NOW_MS + HOUR_MS)),
    ("90s", False, NOW, timestamp(NOW_MS + 90_000)),
]


async def test_new_windows_of_an_owner_on_the_calendar(owner):
    durations = [row[0] for row in ALIGNED]
    limit = {"token_max_limit": 5, "token_reset_duration": "1w", "request_max_limit": 5, "request_reset_duration": "1h"}
    shown = await owner.create(calendar_aligned=True, budgets=[a_budget(duration) for duration in durations], rate_limit=limit)
    assert [(budget["reset_duration"], *window(budget)) for budget in shown["budgets"]] == ALIGNED
    assert (shown["rate_limit"]["token_last_reset"], shown["rate_limit"]["token_next_reset_at"]) == (THIS_WEEK, NEXT_WEEK)
    assert shown["rate_limit"]["request_last_reset"] == NOW


async def test_new_windows_of_budgets_on_the_calendar_by_themselves(owner):
    shown = await owner.create(budgets=[a_budget("1d", calendar_aligned=True), a_budget("1w"), a_budget("24h")])
    assert [window(budget) for budget in shown["budgets"]] == [
        (True, TODAY, TOMORROW),
        (False, NOW, timestamp(NOW_MS + 7 * DAY_MS)),
        (False, NOW, timestamp(NOW_MS + DAY_MS)),
    ]
    if owner.kind != PROVIDER_CONFIGS:
        assert shown["calendar_aligned"] is False


async def a_used(owner: LimitOwner, redis: Redis, *budgets: dict[str, Any], **members: Any) -> tuple[list[Entity], Entity]:
    """Its budgets and rate limit by now; everything was last reset five hours ago, and something is held."""
    limit = {"token_max_limit": 5, "token_reset_duration": "1d", "request_max_limit": 5, "request_reset_duration": "6h"}
    shown = await owner.create(budgets=list(budgets), rate_limit=limit, **members)
    since = NOW_MS - 5 * HOUR_MS
    for budget in shown["budgets"]:
        set_counter(redis, owner.ref, budget["id"], usage=10**9, last_reset_ms=since, held=2 * 10**9)
    for slot in ("token_slot", "request_slot"):
        set_counter(redis, owner.ref, shown["rate_limit"]["id"], slot=slot, usage=3, last_reset_ms=since)
    shown = await owner.show()
    return shown["budgets"], shown["rate_limit"]


ALIGNABLE = (a_budget("1d"), a_budget("1M"))
SHORT = a_budget("6h")


@pytest.mark.parametrize("sent", [{}, {"budgets": [*ALIGNABLE, SHORT]}, {"rate_limit": None}], ids=str)
async def test_switching_an_owner_to_the_calendar_zeroes_and_snaps_what_can_follow_it(owner, redis: Redis, sent):
    (day, month, short), limit = await a_used(owner, redis, *ALIGNABLE, SHORT)
    shown = await owner.update(calendar_aligned=True, **sent)
    assert [budget["id"] for budget in shown["budgets"]] == [day["id"], month["id"], short["id"]]
    assert [use(budget) for budget in shown["budgets"]] == [(0, 2, TODAY), (0, 2, THIS_MONTH), use(short)]
    assert [budget["calendar_aligned"] for budget in shown["budgets"]] == [True, True, False]
    now = shown["rate_limit"]
    assert (now["id"], now["token_current_usage"], now["token_last_reset"]) == (limit["id"], 0, TODAY)
    assert (now["request_current_usage"], now["request_last_reset"]) == (3, limit["request_last_reset"])


async def test_switching_a_budget_to_the_calendar_zeroes_and_snaps_that_one(owner, redis: Redis):
    (day, month), limit = await a_used(owner, redis, *ALIGNABLE)
    shown = await owner.update(budgets=[a_budget("1d", calendar_aligned=True), a_budget("1M", calendar_aligned=False)])
    assert [use(budget) for budget in shown["budgets"]] == [(0, 2, TODAY), use(month)]
    assert shown["budgets"][0]["id"] == day["id"]
    assert shown["rate_limit"] == limit


UNCHANGED: list[dict[str, Any]] = [
    {"calendar_aligned": True},
    {"calendar_aligned": None},
    {"budgets": [a_budget("1d", calendar_aligned=True), a_budget("1M")]},
    {"calendar_aligned": True, "budgets": [a_budget("1d", calendar_aligned=True), a_budget("1M", calendar_aligned=True)]},
]


@pytest.mark.parametrize("sent", UNCHANGED, ids=str)
async def test_what_is_on_the_calendar_already_keeps_its_usage(owner, redis: Redis, sent):
    budgets, limit = await a_used(owner, redis, *ALIGNABLE, calendar_aligned=True)
    assert [use(budget)[0] for budget in budgets] == [1, 1]
    shown = await owner.update(**sent)
    assert [use(budget) for budget in shown["budgets"]] == [use(budget) for budget in budgets]
    assert shown["rate_limit"] == limit


async def test_leaving_the_calendar_lets_windows_go_on_from_where_they_began(owner, make_client, redis: Redis):
    (day, month), limit = await a_used(owner, redis, *ALIGNABLE, calendar_aligned=True)
    shown = await owner.update(calendar_aligned=False)
    assert [use(budget) for budget in shown["budgets"]] == [use(day), use(month)]
    assert shown["budgets"][0]["next_reset_at"] == timestamp(NOW_MS + 19 * HOUR_MS)
    assert shown["rate_limit"]["token_current_usage"] == 3
    after_midnight = await owner.at(make_client(now_ms=NOW_MS + 7 * HOUR_MS)).show()
    assert after_midnight["budgets"][0]["current_usage"] == 1
    assert after_midnight["rate_limit"]["token_last_reset"] == limit["token_last_reset"]


async def test_a_window_that_is_longer_on_the_calendar_is_over_when_it_leaves_it(owner, redis: Redis):
    shown = await owner.create(calendar_aligned=True, budgets=[a_budget("0.5d")])
    set_counter(redis, owner.ref, shown["budgets"][0]["id"], usage=10**9)
    assert use((await owner.show())["budgets"][0]) == (1, 0, TODAY)
    assert use((await owner.update(calendar_aligned=False))["budgets"][0]) == (0, 0, NOW)


OVER = [
    # aligned, time later, (usage, last reset) of 1d and 1M budgets and of the token window of 1d
    (False, 19 * HOUR_MS - 1, (1, timestamp(NOW_MS - 5 * HOUR_MS)), (1, timestamp(NOW_MS - 5 * HOUR_MS))),
    (False, 19 * HOUR_MS, (0, timestamp(NOW_MS + 19 * HOUR_MS)), (1, timestamp(NOW_MS - 5 * HOUR_MS))),
    (False, 90 * DAY_MS, (0, timestamp(NOW_MS + 90 * DAY_MS)), (0, timestamp(NOW_MS + 90 * DAY_MS))),
    (True, 6 * HOUR_MS, (1, timestamp(NOW_MS - 5 * HOUR_MS)), (1, timestamp(NOW_MS - 5 * HOUR_MS))),
    (True, 7 * HOUR_MS, (0, TOMORROW), (1, timestamp(NOW_MS - 5 * HOUR_MS))),
    (True, 17 * DAY_MS, (0, "2030-04-03T00:00:00.000Z"), (0, NEXT_MONTH)),
]


@pytest.mark.parametrize("aligned, later_ms, day, month", OVER)
async def test_a_window_that_is_over_is_shown_as_empty_and_left_as_it_is(
    owner, make_client, redis: Redis, aligned, later_ms, day, month
):
    await a_used(owner, redis, *ALIGNABLE, calendar_aligned=aligned)
    before = contents(redis)
    later = make_client(now_ms=NOW_MS + later_ms)
    shown = await owner.at(later).show()
    assert [use(budget) for budget in shown["budgets"]] == [(day[0], 2, day[1]), (month[0], 2, month[1])]
    assert shown["rate_limit"]["token_last_reset"] == day[1]
    assert shown["rate_limit"]["token_current_usage"] == 3 * day[0]
    # The same wherever it is shown.
    assert await rows(later, "budgets") == sorted(shown["budgets"], key=lambda budget: budget["id"])
    assert await rows(later, "rate-limits") == [shown["rate_limit"]]
    assert contents(redis) == before


async def test_a_stored_duration_that_does_not_parse_never_resets_and_never_errs(client, make_client, redis: Redis):
    key = await create(client, VIRTUAL_KEYS, calendar_aligned=True, budgets=[a_budget("1d")])
    set_counter(redis, virtual_key(key), key["budgets"][0]["id"], usage=10**9, last_reset_ms=NOW_MS)
    config = keys.config(virtual_key(key))
    redis.hset(config, "budgets", str(redis.hget(config, "budgets")).replace('"1d"', '"1 fortnight"'))
    later = make_client(now_ms=NOW_MS + 1_000 * DAY_MS)
    for shown in (await get(later, VIRTUAL_KEYS, key["id"]), (await rows(later, VIRTUAL_KEYS))[0]):
        (budget,) = shown["budgets"]
        assert (budget["reset_duration"], budget["current_usage"], budget["last_reset"]) == ("1 fortnight", 1, NOW)


async def test_the_calendar_of_a_key_is_that_of_all_that_counts_in_it(client, redis: Redis):
    configs = [{"provider": name, "budgets": [a_budget("1d")]} for name in ("openai", "azure")]
    key = await create(client, VIRTUAL_KEYS, budgets=[a_budget("1d")], provider_configs=configs)
    response = await client.post(
        "/model-configs",
        json={"model_name": "gpt-4o", "scope": "virtual_key", "scope_id": key["id"], "budgets": [a_budget("1d")]},
    )
    model_config = response.json()["model_config"]
    budgets = [*key["budgets"], *model_config["budgets"], *(config["budgets"][0] for config in key["provider_configs"])]
    for budget in budgets:
        set_counter(redis, virtual_key(key), budget["id"], usage=10**9)
    entries = [{"id": key["provider_configs"][0]["id"], "provider": "azure"}]
    changed = await update(client, VIRTUAL_KEYS, key["id"], calendar_aligned=True, provider_configs=entries)
    shown = (await client.get(f"/model-configs/{model_config['id']}")).json()["model_config"]
    assert (shown["calendar_aligned"], shown["budgets"][0]["calendar_aligned"]) == (True, True)
    for budget in (*changed["budgets"], *changed["provider_configs"][0]["budgets"], *shown["budgets"]):
        assert use(budget) == (0, 0, TODAY)
    assert (await get(client, VIRTUAL_KEYS, key["id"]))["budgets"] == changed["budgets"]
