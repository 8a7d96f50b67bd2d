"""Rate limits on updates, at every owner of limits: four members replaced together, counters kept."""

from typing import Any

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from tests.api.calls import CUSTOMERS, TEAMS, Entity, get, rows
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.limit_owner import OWNERS, LimitOwner
from tests.api.redis_state import contents, set_counter

LATER_MS = NOW_MS + 60_000
TOKENS = {"token_max_limit": 100, "token_reset_duration": "1h"}
REQUESTS = {"request_max_limit": 10, "request_reset_duration": "1d"}
MEMBERS = (*TOKENS, *REQUESTS)
Limit = dict[str, Any]


@pytest.fixture
def client(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=NOW_MS)


@pytest.fixture
def later(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=LATER_MS)


@pytest.fixture(params=OWNERS)
def owner(client, request) -> LimitOwner:
    return LimitOwner(client, request.param)


async def a_used(owner: LimitOwner, redis: Redis) -> Entity:
    """Its rate limit by now: 30 tokens and 3 requests used, in windows of different age."""
    limit = (await owner.create(rate_limit={**TOKENS, **REQUESTS}))["rate_limit"]
    set_counter(redis, owner.ref, limit["id"], slot="token_slot", usage=30, last_reset_ms=NOW_MS - 1_000, held=5)
    set_counter(redis, owner.ref, limit["id"], slot="request_slot", usage=3, last_reset_ms=NOW_MS - 2_000)
    return dict((await owner.show())["rate_limit"])


def terms(limit: Entity) -> Limit:
    return {member: limit[member] for member in MEMBERS if member in limit}


def use(limit: Entity) -> tuple[object, ...]:
    return tuple(
        limit[member]
        for member in (
            "token_current_usage", "token_reserved", "token_last_reset", "request_current_usage", "request_last_reset",
        )
    )  # fmt: skip


REPLACED: list[tuple[Limit, Limit]] = [
    # sent, shown
    (TOKENS, TOKENS),
    (REQUESTS, REQUESTS),
    ({**TOKENS, **REQUESTS, "token_max_limit": 1}, {**TOKENS, **REQUESTS, "token_max_limit": 1}),
    ({**TOKENS, **dict.fromkeys(REQUESTS)}, TOKENS),
    ({**TOKENS, "request_reset_duration": "5m"}, {**TOKENS, "request_reset_duration": "5m"}),
    ({**TOKENS, "token_reset_duration": "30m"}, {**TOKENS, "token_reset_duration": "30m"}),
    ({**REQUESTS, "request_reset_duration": "1Y"}, {**REQUESTS, "request_reset_duration": "1Y"}),
]


@pytest.mark.parametrize("sent, shown", REPLACED, ids=str)
async def test_all_four_members_are_replaced_and_counters_go_on(owner, later, redis: Redis, sent, shown):
    stored = await a_used(owner, redis)
    changed = await owner.at(later).update(rate_limit=sent)
    assert terms(changed["rate_limit"]) == shown
    assert use(changed["rate_limit"]) == use(stored)
    assert changed["rate_limit_id"] == changed["rate_limit"]["id"] == stored["id"]
    assert (changed["rate_limit"]["created_at"], changed["rate_limit"]["updated_at"]) == (
        stored["created_at"],
        timestamp(LATER_MS),
    )
    # A limit that comes back finds its counter as it was.
    assert use((await owner.update(rate_limit={**TOKENS, **REQUESTS}))["rate_limit"]) == use(stored)


async def test_a_new_duration_keeps_usage_even_if_the_new_window_would_be_over(owner, make_client, redis: Redis):
    stored = await a_used(owner, redis)
    in_half_an_hour = make_client(now_ms=NOW_MS + 1_800_000)
    sent = {**TOKENS, "token_reset_duration": "1m"}
    limit = (await owner.at(in_half_an_hour).update(rate_limit=sent))["rate_limit"]
    assert limit["token_current_usage"] == stored["token_current_usage"]


@pytest.mark.parametrize("sent", [{}, {"rate_limit": None}, {"budgets": None}], ids=str)
async def test_a_rate_limit_that_is_not_sent_stays(owner, later, redis: Redis, sent):
    stored = await a_used(owner, redis)
    assert (await owner.at(later).update(**sent))["rate_limit"] == stored


@pytest.mark.parametrize("empty", [{}, dict.fromkeys(MEMBERS), {"no such member": 1}], ids=str)
async def test_an_empty_object_removes_it(owner, client, redis: Redis, empty):
    stored = await a_used(owner, redis)
    assert {"rate_limit", "rate_limit_id"}.isdisjoint(await owner.update(rate_limit=empty))
    assert await rows(client, "rate-limits") == []
    assert {"rate_limit", "rate_limit_id"}.isdisjoint(await owner.update(rate_limit=empty))
    new = (await owner.update(rate_limit={**TOKENS, **REQUESTS}))["rate_limit"]
    assert new["id"] != stored["id"]
    assert use(new) == (0, 0, timestamp(NOW_MS), 0, timestamp(NOW_MS))


BARE = [{"token_reset_duration": "5m"}, {"token_reset_duration": "5m", "request_reset_duration": "5m"}]


@pytest.mark.parametrize("bare", BARE, ids=str)
async def test_durations_alone_limit_nothing_at_a_key_and_remove_the_rate_limit_elsewhere(owner, redis: Redis, bare):
    stored = await a_used(owner, redis)
    changed = await owner.update(rate_limit=bare)
    if owner.kind in (TEAMS, CUSTOMERS):
        assert {"rate_limit", "rate_limit_id"}.isdisjoint(changed)
        assert "rate_limit" not in await owner.update(rate_limit=bare)
    else:
        assert terms(changed["rate_limit"]) == bare
        assert (changed["rate_limit"]["id"], use(changed["rate_limit"])) == (stored["id"], use(stored))


async def test_a_rate_limit_can_be_added_to_an_owner_that_has_none(owner, later):
    assert "rate_limit" not in await owner.create()
    limit = (await owner.at(later).update(rate_limit=TOKENS))["rate_limit"]
    assert use(limit) == (0, 0, timestamp(LATER_MS), 0, timestamp(LATER_MS))
    assert "request_next_reset_at" not in limit


async def test_the_two_windows_end_independently(owner, make_client, redis: Redis):
    await a_used(owner, redis)
    in_an_hour = make_client(now_ms=NOW_MS + 3_600_000)
    before = contents(redis)
    limit = (await owner.at(in_an_hour).show())["rate_limit"]
    assert (limit["token_current_usage"], limit["token_last_reset"]) == (0, timestamp(NOW_MS + 3_600_000))
    assert (limit["request_current_usage"], limit["request_last_reset"]) == (3, timestamp(NOW_MS - 2_000))
    assert limit["token_reserved"] == 5
    assert contents(redis) == before


async def test_moving_and_renaming_keep_usage(client, redis: Redis):
    team = LimitOwner(client, TEAMS)
    stored = await a_used(team, redis)
    assert (await team.update(name="renamed", customer_id=""))["rate_limit"] == stored
    assert (await get(client, TEAMS, team.ref.id))["rate_limit"] == stored
