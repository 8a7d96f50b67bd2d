"""GET /virtual-keys/quota: who is answered and with what. Reading consumes nothing."""

import asyncio
from typing import Any

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from service.store.quota import QuotaReader
from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, Entity, create, delete, get, refusal, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import contents, set_counter, traffic, virtual_key

QUOTA = "/virtual-keys/quota"
DAY_MS = 86_400_000
BUDGETS: list[dict[str, Any]] = [{"max_limit": 5, "reset_duration": "1d"}, {"max_limit": 50, "reset_duration": "1M"}]
LIMIT: dict[str, Any] = {
    "token_max_limit": 100, "token_reset_duration": "1h", "request_max_limit": 10, "request_reset_duration": "1d",
}  # fmt: skip


@pytest.fixture
def client(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=NOW_MS)


async def read(client: httpx.AsyncClient, key: Entity) -> httpx.Response:
    return await client.get(QUOTA, headers={"x-bf-vk": key["value"]})


async def quota(client: httpx.AsyncClient, key: Entity) -> Entity:
    response = await read(client, key)
    assert response.status_code == 200, response.text
    body: Entity = response.json()
    return body


async def a_full_key(client: httpx.AsyncClient) -> Entity:
    limits: dict[str, Any] = {"budgets": [{"max_limit": 7, "reset_duration": "1w"}], "rate_limit": LIMIT}
    customer = await create(client, CUSTOMERS, **limits)
    team = await create(client, TEAMS, customer_id=customer["id"], **limits)
    configs = [
        {"provider": "openai", "weight": 1, "key_ids": ["a"], "allowed_models": ["*"], **limits},
        {"provider": "azure", "key_ids": ["*"], "blacklisted_models": ["o3"]},
    ]
    return await create(
        client, VIRTUAL_KEYS, name="full", team_id=team["id"], budgets=BUDGETS, rate_limit=LIMIT, provider_configs=configs
    )


async def test_a_key_without_limits(client):
    key = await create(client, VIRTUAL_KEYS, name="plain")
    assert await quota(client, key) == {
        "virtual_key_name": "plain",
        "is_active": True,
        "budgets": [],
        "rate_limit": None,
        "provider_configs": [],
        "model_configs": [],
        "rate_limits": [],
    }


@pytest.mark.parametrize("name", ["\\u0000text", '"\\u0000number"', "%s %d %%", "\\\\u0000text \\"])
async def test_a_name_may_look_like_what_stands_for_a_number(client, name: str):
    key = await create(client, VIRTUAL_KEYS, name=name, budgets=BUDGETS, rate_limit=LIMIT)
    first = await quota(client, key)
    assert first["virtual_key_name"] == name
    # From the second time on numbers are filled in.
    assert [await quota(client, key) for _ in range(2)] == [first, first]


async def test_a_key_with_limits_of_all_kinds_shows_its_own_and_nothing_of_its_owners(client, redis: Redis):
    key = await a_full_key(client)
    for model_config in (
        {"model_name": "gpt-4o", "provider": "openai", "budgets": BUDGETS},
        {"model_name": "*", "rate_limit": LIMIT},
        {"model_name": "o3"},
    ):
        scope = {"scope": "virtual_key", "scope_id": key["id"]}
        assert (await client.post("/model-configs", json={**model_config, **scope})).status_code == 200
    set_counter(redis, virtual_key(key), key["budgets"][0]["id"], usage=1_250_000_000, held=250_000_000)
    set_counter(redis, virtual_key(key), key["rate_limit"]["id"], slot="token_slot", usage=40, held=2)
    admins = await get(client, VIRTUAL_KEYS, key["id"])
    shown = await quota(client, key)
    assert shown["budgets"] == admins["budgets"]
    assert (shown["budgets"][0]["current_usage"], shown["budgets"][0]["remaining"]) == (1.25, 3.5)
    assert shown["rate_limit"] == admins["rate_limit"]
    assert shown["rate_limits"] == [shown["rate_limit"]]
    assert (shown["rate_limit"]["token_current_usage"], shown["rate_limit"]["token_reserved"]) == (40, 2)
    assert shown["provider_configs"] == [{**config, "keys": None} for config in admins["provider_configs"]]
    of_gpt, of_all, of_o3 = shown["model_configs"]
    assert (of_gpt["model_name"], of_gpt["provider"], len(of_gpt["budgets"])) == ("gpt-4o", "openai", 2)
    assert (of_all["model_name"], of_all["rate_limit"]["token_max_limit"]) == ("*", 100)
    assert of_o3 == {"model_name": "o3"}
    assert not {"id", "value", "team", "team_id", "customer", "mcp_configs", "description"} & shown.keys()
    assert key["value"] not in str(shown)


STATUSES = [
    # active, expires so many ms after now, status
    (True, None, 200),
    (True, 1, 200),
    (True, 0, 403),
    (True, -DAY_MS, 403),
    (False, None, 200),
    (False, 1, 200),
    (False, 0, 200),
    (False, -DAY_MS, 200),
]


@pytest.mark.parametrize("is_active, expires_in_ms, status", STATUSES)
async def test_an_expired_key_is_refused_unless_it_is_inactive_too(make_client, is_active, expires_in_ms, status):
    expires_at = None if expires_in_ms is None else timestamp(NOW_MS + expires_in_ms)
    before = make_client(now_ms=NOW_MS - 10 * DAY_MS)
    key = await create(before, VIRTUAL_KEYS, is_active=is_active, expires_at=expires_at)
    response = await read(make_client(now_ms=NOW_MS), key)
    assert response.status_code == status
    if status == 403:
        assert response.json() == {"error": "Virtual key has expired"}
    else:
        assert response.json()["is_active"] is is_active


async def test_whoever_is_not_known_gets_a_text_that_tells_nothing_more(client, redis: Redis):
    key = await create(client, VIRTUAL_KEYS)
    before = contents(redis)
    missing = await client.get(QUOTA)
    assert (missing.status_code, missing.json()) == (401, {"error": "Missing virtual key"})
    value = key["value"]
    latin = "sk-bf-\u00e9".encode("latin-1")
    for wrong in (value[:-1], value + "x", value.upper(), key["id"], "sk-bf-", "x", latin, "x" * 5_000):
        unknown = await client.get(QUOTA, headers={"x-bf-vk": wrong})
        assert (unknown.status_code, unknown.json()) == (401, {"error": "Virtual key not found"}), wrong
        assert unknown.headers["www-authenticate"] == "Bearer"
    assert contents(redis) == before


async def test_reading_consumes_nothing_not_even_of_windows_that_are_over(client, make_client, redis: Redis):
    key = await a_full_key(client)
    for budget in key["budgets"]:
        set_counter(redis, virtual_key(key), budget["id"], usage=10**9, held=5)
    before = contents(redis)
    first = await quota(client, key)
    for _ in range(3):
        assert await quota(client, key) == first
    months_later = make_client(now_ms=NOW_MS + 100 * DAY_MS)
    shown = await quota(months_later, key)
    assert [(budget["current_usage"], budget["reserved"]) for budget in shown["budgets"]] == [(0, 5e-9), (0, 5e-9)]
    assert {budget["last_reset"] for budget in shown["budgets"]} == {timestamp(NOW_MS + 100 * DAY_MS)}
    assert await quota(client, key) == first
    assert contents(redis) == before


async def test_one_read_is_one_round_trip_also_after_changes_and_for_unknown_keys(client, make_client, redis: Redis):
    key, other = await a_full_key(client), await create(client, VIRTUAL_KEYS)
    admin = make_client(now_ms=NOW_MS)
    await quota(client, key)
    with traffic(redis) as unchanged:
        await quota(client, key)
    with traffic(redis) as counted:
        for _ in range(5):
            await quota(client, key)
    assert (unchanged.round_trips, unchanged.commands["evalsha"]) == (1, 1)
    assert counted.commands == {command: 5 * calls for command, calls in unchanged.commands.items()}
    changes: list[dict[str, Any]] = [
        {"is_active": False},
        {"budgets": [{"max_limit": 1, "reset_duration": f"{hours}h"} for hours in range(1, 40)]},
        {"provider_configs": []},
        {"team_id": ""},
    ]
    for change in changes:
        changed = await update(admin, VIRTUAL_KEYS, key["id"], **change)
        with traffic(redis) as seen:
            shown = await quota(client, key)
        assert (seen.round_trips, seen.commands["evalsha"]) == (1, 1), change
        assert (shown["is_active"], shown["budgets"]) == (changed["is_active"], changed["budgets"])
        with traffic(redis) as seen:
            await quota(client, key)
        assert seen.commands == unchanged.commands, change
    for headers, round_trips in [({"x-bf-vk": other["value"]}, 1), ({"x-bf-vk": "sk-bf-unknown"}, 1), ({}, 0)]:
        with traffic(redis) as seen:
            await client.get(QUOTA, headers=headers)
        assert (seen.round_trips, seen.commands["evalsha"]) == (round_trips, round_trips)


CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"name": "renamed"}, {"virtual_key_name": "renamed"}),
    ({"is_active": False}, {"is_active": False}),
    ({"budgets": []}, {"budgets": []}),
    ({"rate_limit": {}}, {"rate_limit": None, "rate_limits": []}),
    ({"provider_configs": []}, {"provider_configs": []}),
]


@pytest.mark.parametrize("change, instead", CHANGES, ids=str)
async def test_every_worker_shows_a_change_at_once(client, make_client, redis: Redis, change, instead):
    key = await a_full_key(client)
    admin = make_client(now_ms=NOW_MS)
    shown = await quota(client, key)
    set_counter(redis, virtual_key(key), key["rate_limit"]["id"], slot="request_slot", usage=1)
    assert (await quota(client, key))["rate_limit"]["request_current_usage"] == 1
    set_counter(redis, virtual_key(key), key["rate_limit"]["id"], slot="request_slot", usage=0)
    await update(admin, VIRTUAL_KEYS, key["id"], **change)
    assert await quota(client, key) == {**shown, **instead}
    await delete(admin, VIRTUAL_KEYS, key["id"])
    assert (await read(client, key)).status_code == 401


async def test_limits_of_a_model_that_change_are_shown_at_once(client, make_client):
    key = await create(client, VIRTUAL_KEYS)
    admin = make_client(now_ms=NOW_MS)
    assert (await quota(client, key))["model_configs"] == []
    config = {"model_name": "gpt-4o", "scope": "virtual_key", "scope_id": key["id"]}
    config_id = (await admin.post("/model-configs", json=config)).json()["model_config"]["id"]
    assert (await quota(client, key))["model_configs"] == [{"model_name": "gpt-4o"}]
    await admin.put(f"/model-configs/{config_id}", json={"budgets": BUDGETS})
    assert len((await quota(client, key))["model_configs"][0]["budgets"]) == 2
    await admin.delete(f"/model-configs/{config_id}")
    assert (await quota(client, key))["model_configs"] == []


async def test_reads_at_the_same_time_share_round_trips_and_each_gets_its_own_answer(client, redis: Redis):
    keys = [await create(client, VIRTUAL_KEYS, budgets=BUDGETS[: number % 3]) for number in range(30)]
    alone = [await quota(client, key) for key in keys]
    with traffic(redis) as seen:
        together = await asyncio.gather(*(quota(client, key) for key in (*keys, *keys)))
    assert together == alone * 2
    assert seen.round_trips < 30
    assert seen.commands["hgetall"] <= 60


async def test_the_word_quota_is_no_id(client):
    key = await create(client, VIRTUAL_KEYS, name="quota")
    assert (await read(client, key)).json()["virtual_key_name"] == "quota"
    for method, status in [("PUT", 404), ("DELETE", 404), ("POST", 405), ("PATCH", 405)]:
        answer = await client.request(method, QUOTA, json={}, headers={"x-bf-vk": key["value"]})
        assert refusal(answer) == (status, None)


async def test_a_mistake_of_ours_has_the_standard_body(client, monkeypatch: pytest.MonkeyPatch):
    async def fail(*_: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(QuotaReader, "read", fail)
    response = await client.get("/virtual-keys/quota", headers={"x-bf-vk": "sk-bf-any"})
    assert (response.status_code, response.json()["status_code"]) == (500, 500)
    assert "secret" not in response.text
