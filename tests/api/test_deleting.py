"""Deletion: what goes with a key, a team or a customer, and what stays without it."""

from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, Entity, create, delete, get, refusal, rows, rows_of, update
from tests.api.conftest import MakeClient
from tests.api.redis_state import contents

DAY: dict[str, Any] = {"max_limit": 5, "reset_duration": "1d"}
LIMITS: dict[str, Any] = {"budgets": [DAY], "rate_limit": {"token_max_limit": 5, "token_reset_duration": "1h"}}


async def quota_status(client: httpx.AsyncClient, key: Entity) -> int:
    return (await client.get("/virtual-keys/quota", headers={"x-bf-vk": key["value"]})).status_code


async def owners_of_limits(client: httpx.AsyncClient) -> tuple[int, int]:
    return len(await rows(client, "budgets")), len(await rows(client, "rate-limits"))


@pytest.mark.parametrize("collection", [VIRTUAL_KEYS, TEAMS, CUSTOMERS])
async def test_what_is_deleted_is_gone_at_once_and_leaves_nothing(client, redis: Redis, collection):
    await client.get(f"/{collection}")
    before = contents(redis)
    entity = await create(client, collection, **LIMITS)
    await delete(client, collection, entity["id"])
    path = f"/{collection}/{entity['id']}"
    answers = [await client.get(path), await client.put(path, json={"name": "x"}), await client.delete(path)]
    assert [refusal(answer) for answer in answers] == [(404, None)] * 3
    assert await rows(client, collection) == []
    assert await owners_of_limits(client) == (0, 0)
    assert contents(redis) == before


@pytest.mark.parametrize("collection", [VIRTUAL_KEYS, TEAMS, CUSTOMERS])
async def test_a_body_that_is_too_large_is_refused_and_nothing_deleted(make_client: MakeClient, collection):
    client = make_client(max_body_bytes=1024)
    entity = await create(client, collection)
    assert refusal(await client.request("DELETE", f"/{collection}/{entity['id']}", content=b" " * 1025)) == (413, None)
    assert await get(client, collection, entity["id"]) == entity


async def test_a_key_takes_all_that_counts_in_it_along(client, redis: Redis):
    team = await create(client, TEAMS, **LIMITS)
    configs = [{"provider": name, **LIMITS} for name in ("openai", "azure")]
    key = await create(client, VIRTUAL_KEYS, team_id=team["id"], provider_configs=configs, **LIMITS)
    other = await create(client, VIRTUAL_KEYS, team_id=team["id"])
    for scope_id in (key["id"], other["id"]):
        config = {"model_name": "gpt-4o", "scope": "virtual_key", "scope_id": scope_id, **LIMITS}
        assert (await client.post("/model-configs", json=config)).status_code == 200
    assert await owners_of_limits(client) == (6, 6)
    assert await quota_status(client, key) == 200

    await delete(client, VIRTUAL_KEYS, key["id"])
    assert await quota_status(client, key) == 401
    assert await owners_of_limits(client) == (2, 2)
    model_configs = rows_of((await client.get("/model-configs")).json(), "model-configs")
    assert [config["scope_id"] for config in model_configs] == [other["id"]]
    shown = await get(client, TEAMS, team["id"])
    assert ([one["id"] for one in shown["virtual_keys"]], shown["virtual_key_count"]) == ([other["id"]], 1)
    assert not [name for name in contents(redis) if key["id"] in name]


async def test_rules_and_prices_that_name_a_key_outlive_it(client):
    key = await create(client, VIRTUAL_KEYS)
    rule = {
        "name": "rule", "cel_expression": "", "scope": "virtual_key", "scope_id": key["id"], "priority": 1,
        "targets": [{"provider": "openai", "weight": 1}],
    }  # fmt: skip
    price = {
        "name": "price", "scope_kind": "virtual_key", "virtual_key_id": key["id"], "match_type": "wildcard", "pattern": "*",
        "request_types": ["embedding"], "patch": {"input_cost_per_token": 0.5},
    }  # fmt: skip
    assert (await client.post("/routing-rules", json=rule)).status_code == 200
    assert (await client.post("/pricing-overrides", json=price)).status_code == 201
    before = [(await client.get(path)).json() for path in ("/routing-rules", "/pricing-overrides")]
    await delete(client, VIRTUAL_KEYS, key["id"])
    assert [(await client.get(path)).json() for path in ("/routing-rules", "/pricing-overrides")] == before
    assert [body["count"] for body in before] == [1, 1]


async def test_a_team_leaves_its_keys_and_rules_and_customer_behind(client):
    customer = await create(client, CUSTOMERS)
    team = await create(client, TEAMS, customer_id=customer["id"], **LIMITS)
    key = await create(client, VIRTUAL_KEYS, team_id=team["id"], **LIMITS)
    rule = {
        "name": "rule", "cel_expression": "", "scope": "team", "scope_id": team["id"], "priority": 1,
        "targets": [{"provider": "openai", "weight": 1}],
    }  # fmt: skip
    assert (await client.post("/routing-rules", json=rule)).status_code == 200
    await delete(client, TEAMS, team["id"])
    left = {name: value for name, value in key.items() if name not in ("team", "team_id")}
    assert await get(client, VIRTUAL_KEYS, key["id"]) == left
    assert await rows(client, VIRTUAL_KEYS) == [left]
    assert await rows(client, VIRTUAL_KEYS, team_id=team["id"]) == []
    assert await owners_of_limits(client) == (1, 1)
    assert await quota_status(client, key) == 200
    assert (await client.get("/routing-rules")).json()["count"] == 1
    assert (await get(client, CUSTOMERS, customer["id"]))["teams"] == []


async def test_a_customer_leaves_its_teams_and_keys_behind(client):
    customer = await create(client, CUSTOMERS, **LIMITS)
    team = await create(client, TEAMS, customer_id=customer["id"], **LIMITS)
    of_team = await create(client, VIRTUAL_KEYS, team_id=team["id"])
    of_customer = await create(client, VIRTUAL_KEYS, customer_id=customer["id"], **LIMITS)
    await delete(client, CUSTOMERS, customer["id"])
    assert await get(client, VIRTUAL_KEYS, of_customer["id"]) == {
        name: value for name, value in of_customer.items() if name not in ("customer", "customer_id")
    }
    shown_team = await get(client, TEAMS, team["id"])
    assert {"customer", "customer_id"}.isdisjoint(shown_team)
    assert [one["id"] for one in shown_team["virtual_keys"]] == [of_team["id"]]
    assert {"customer", "customer_id"}.isdisjoint((await get(client, VIRTUAL_KEYS, of_team["id"]))["team"])
    assert await rows(client, TEAMS, customer_id=customer["id"]) == []
    assert await rows(client, VIRTUAL_KEYS, customer_id=customer["id"]) == []
    assert await owners_of_limits(client) == (2, 2)


DETACHED_UPDATES: list[dict[str, Any]] = [
    {},
    {"description": "changed"},
    {"team_id": ""},
    {"budgets": [DAY, {"max_limit": 1, "reset_duration": "1w"}]},
]


@pytest.mark.parametrize("parent, member", [(TEAMS, "team_id"), (CUSTOMERS, "customer_id")])
@pytest.mark.parametrize("sent", DETACHED_UPDATES, ids=str)
async def test_what_lost_its_owner_can_be_changed_and_given_to_another(client, redis: Redis, parent, member, sent):
    lost, found = await create(client, parent), await create(client, parent)
    key = await create(client, VIRTUAL_KEYS, **{member: lost["id"]}, **LIMITS)
    await delete(client, parent, lost["id"])
    changed = await update(client, VIRTUAL_KEYS, key["id"], **sent)
    assert {"team_id", "customer_id", "team", "customer"}.isdisjoint(changed)
    # It cannot be given to the one that is gone, not even by what it was before.
    refused = await client.put(f"/{VIRTUAL_KEYS}/{key['id']}", json={member: lost["id"]})
    assert refusal(refused) == (400, member)
    moved = await update(client, VIRTUAL_KEYS, key["id"], **{member: found["id"]})
    assert moved[member] == found["id"]
    assert [one["id"] for one in (await get(client, parent, found["id"]))["virtual_keys"]] == [key["id"]]
    await delete(client, VIRTUAL_KEYS, key["id"])
    assert not [name for name in contents(redis) if ":of:" in name]


@pytest.mark.parametrize("sent", [{}, {"name": "renamed"}, {"customer_id": ""}, {"budgets": []}], ids=str)
async def test_a_team_that_lost_its_customer_can_be_changed_and_given_to_another(client, redis: Redis, sent):
    lost, found = await create(client, CUSTOMERS), await create(client, CUSTOMERS)
    team = await create(client, TEAMS, customer_id=lost["id"], **LIMITS)
    await delete(client, CUSTOMERS, lost["id"])
    assert {"customer_id", "customer"}.isdisjoint(await update(client, TEAMS, team["id"], **sent))
    refused = await client.put(f"/{TEAMS}/{team['id']}", json={"customer_id": lost["id"]})
    assert refusal(refused) == (400, "customer_id")
    assert (await update(client, TEAMS, team["id"], customer_id=found["id"]))["customer_id"] == found["id"]
    await delete(client, TEAMS, team["id"])
    assert not [name for name in contents(redis) if ":of:" in name]


async def test_every_worker_sees_at_once_what_is_deleted(client, make_client: MakeClient):
    other = make_client()
    customer = await create(client, CUSTOMERS)
    key = await create(client, VIRTUAL_KEYS, customer_id=customer["id"])
    assert {await quota_status(worker, key) for worker in (client, other)} == {200}
    await delete(client, CUSTOMERS, customer["id"])
    assert {await quota_status(worker, key) for worker in (client, other)} == {200}
    await delete(client, VIRTUAL_KEYS, key["id"])
    assert {await quota_status(worker, key) for worker in (client, other)} == {401}
