"""Model configs over HTTP: which model of whom they limit, and that there is one of each."""

from typing import Any

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from tests.api import calls
from tests.api.calls import MODEL_CONFIGS, TEAMS, VIRTUAL_KEYS, Entity
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import contents, set_counter, virtual_key
from tests.api.refusals import assert_refused
from tests.api.samples import NAMES, NOW

DAY = {"max_limit": 5, "reset_duration": "1d"}
TOKENS = {"token_max_limit": 100, "token_reset_duration": "1h"}


@pytest.fixture
async def key(client: httpx.AsyncClient) -> Entity:
    return await calls.create(client, VIRTUAL_KEYS, name="holder")


async def create(client: httpx.AsyncClient, **members: Any) -> Entity:
    return await calls.create(client, MODEL_CONFIGS, **{"model_name": "gpt-4o", **members})


async def test_a_config_of_required_members_only(make_client: MakeClient):
    """Without any limit it is legal."""
    async with make_client(now_ms=NOW_MS) as client:
        created = await create(client)
        assert created == {
            "id": created["id"],
            "model_name": "gpt-4o",
            "scope": "global",
            "scope_id": None,
            "calendar_aligned": False,
            "budgets": [],
            "config_hash": "",
            "created_at": NOW,
            "updated_at": NOW,
        }
        assert await calls.get(client, MODEL_CONFIGS, created["id"]) == created
        assert await calls.rows(client, MODEL_CONFIGS) == [created]


@pytest.mark.parametrize("name", ["*", "gpt-*", "openai/gpt-4o", *NAMES], ids=ascii)
async def test_names_are_kept_as_sent(client: httpx.AsyncClient, name: str):
    created = await create(client, model_name=name, provider=name)
    assert (created["model_name"], created["provider"]) == (name, name)
    changed = await calls.update(client, MODEL_CONFIGS, created["id"], model_name="other", provider="another")
    assert (changed["model_name"], changed["provider"]) == ("other", "another")


async def test_all_members(client: httpx.AsyncClient):
    created = await create(
        client,
        provider="nobody checks it",
        budgets=[DAY],
        rate_limit=TOKENS,
        calendar_aligned=True,
        id="mine",
        scope_id="dropped",
    )
    assert created["id"] != "mine"
    assert (created["scope"], created["scope_id"]) == ("global", None)
    assert created["budget"] == created["budgets"][0]
    assert created["rate_limit_id"] == created["rate_limit"]["id"]
    assert created["budgets"][0]["model_config_id"] == created["id"]
    assert (created["calendar_aligned"], created["budgets"][0]["calendar_aligned"]) == (True, True)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"model_name": None}, "model_name"),
    ({"model_name": ""}, "model_name"),
    ({"model_name": " "}, "model_name"),
    ({"model_name": "a\0b"}, "model_name"),
    ({"model_name": "x" * 256}, "model_name"),
    ({"provider": ""}, "provider"),
    ({"provider": " \t"}, "provider"),
    ({"scope": "team"}, "scope"),
    ({"scope": ""}, "scope"),
    ({"scope": "Global"}, "scope"),
    ({"scope": "virtual_key"}, "scope_id"),
    ({"scope": "virtual_key", "scope_id": ""}, "scope_id"),
    ({"scope": "virtual_key", "scope_id": "x"}, "scope_id"),
    ({"scope": "user"}, "scope_id"),
    ({"scope": "user", "scope_id": " "}, "scope_id"),
    ({"budgets": [{"max_limit": 1}]}, "budgets[0].reset_duration"),
    ({"budgets": [DAY, DAY]}, "budgets[1].reset_duration"),
    ({"budget": {}}, "budget.max_limit"),
    ({"budget": DAY, "budgets": []}, "budgets"),
    ({"rate_limit": {"token_max_limit": 1}}, "rate_limit.token_reset_duration"),
    ({"calendar_aligned": 1}, "calendar_aligned"),
]


@pytest.mark.parametrize("members, param", WRONG)
async def test_what_is_refused_on_creation(client: httpx.AsyncClient, redis: Redis, members: dict[str, Any], param: str):
    assert_refused(await client.post("/model-configs", json={"model_name": "gpt-4o", **members}), 400, param=param)
    assert contents(redis) == {}


async def test_the_id_of_something_else_is_no_key(client: httpx.AsyncClient):
    team = await calls.create(client, TEAMS)
    other = await create(client)
    for scope_id in (team["id"], other["id"]):
        body = {"model_name": "x", "scope": "virtual_key", "scope_id": scope_id}
        assert_refused(await client.post("/model-configs", json=body), 400, param="scope_id", says="virtual key")


async def test_a_user_is_not_looked_up(client: httpx.AsyncClient):
    created = await create(client, scope="user", scope_id="somebody", budgets=[DAY])
    assert (created["scope"], created["scope_id"]) == ("user", "somebody")
    assert "scope_name" not in created


@pytest.mark.parametrize("of_a_key", [False, True])
async def test_an_update_changes_what_is_sent(client: httpx.AsyncClient, key: Entity, of_a_key: bool):
    scope = {"scope": "virtual_key", "scope_id": key["id"]} if of_a_key else {}
    created = await create(client, provider="openai", **scope)
    path = f"/model-configs/{created['id']}"
    for sent, expected in (
        ({}, {}),
        (dict.fromkeys(("model_name", "provider", "scope", "scope_id", "budgets", "rate_limit")), {}),
        ({"scope": "user", "scope_id": "somebody"}, {}),
        ({"scope": 5, "scope_id": []}, {}),
        ({"model_name": "other"}, {"model_name": "other"}),
        ({"provider": "azure"}, {"provider": "azure"}),
    ):
        changed = await calls.update(client, MODEL_CONFIGS, created["id"], **sent)
        assert {**changed, "updated_at": ""} == {**created, **expected, "updated_at": ""}, sent
        created = changed
    for member in ("model_name", "provider"):
        for value in ("", " "):
            assert_refused(await client.put(path, json={member: value}), 400, param=member)
    assert await calls.get(client, MODEL_CONFIGS, created["id"]) == created


IDENTITY = [
    # a second one beside {model gpt-4o, provider openai, global}: free or taken
    ({}, False),
    ({"provider": None}, True),
    ({"provider": "azure"}, True),
    ({"provider": "OpenAI"}, True),
    ({"model_name": "GPT-4o"}, True),
    ({"model_name": "*"}, True),
    ({"scope": "user", "scope_id": "u"}, True),
    ({"scope_id": "ignored"}, False),
]


@pytest.mark.parametrize("members, free", IDENTITY)
async def test_scope_model_and_provider_are_there_once(
    client: httpx.AsyncClient, redis: Redis, members: dict[str, Any], free: bool
):
    first: dict[str, Any] = {"model_name": "gpt-4o", "provider": "openai"}
    await create(client, **first)
    other = await create(client, model_name="other", provider=members.get("provider", "openai"))
    before = contents(redis)
    answer = await client.post("/model-configs", json={**first, **members})
    if free:
        assert answer.status_code == 200
        assert_refused(await client.post("/model-configs", json={**first, **members}), 409, says="already exists")
    else:
        assert_refused(answer, 409, says="already exists")
        assert_refused(await client.put(f"/model-configs/{other['id']}", json={"model_name": "gpt-4o"}), 409)
        assert contents(redis) == before


async def test_no_provider_counts_as_one(client: httpx.AsyncClient):
    await create(client)
    assert_refused(await client.post("/model-configs", json={"model_name": "gpt-4o"}), 409)
    assert_refused(await client.post("/model-configs", json={"model_name": "gpt-4o", "provider": None}), 409)


async def test_each_key_has_configs_of_its_own(client: httpx.AsyncClient, key: Entity):
    other = await calls.create(client, VIRTUAL_KEYS, name="other")
    scopes = [{}, *({"scope": "virtual_key", "scope_id": one["id"]} for one in (key, other))]
    created = [await create(client, **scope) for scope in scopes]
    assert [config.get("scope_name") for config in created] == [None, "holder", "other"]
    for scope in scopes:
        assert_refused(await client.post("/model-configs", json={"model_name": "gpt-4o", **scope}), 409)
    more = await create(client, **scopes[1], provider="azure")
    assert_refused(await client.put(f"/model-configs/{more['id']}", json={"model_name": ""}), 400)
    taken = await create(client, **scopes[1], model_name="x", provider="azure")
    assert_refused(await client.put(f"/model-configs/{taken['id']}", json={"model_name": "gpt-4o"}), 409)


async def test_a_config_of_a_key_counts_in_the_key(make_client: MakeClient, redis: Redis):
    """It shows the key's name and calendar, and its holder sees it in the quota."""
    async with make_client(now_ms=NOW_MS) as client:
        key = await calls.create(client, VIRTUAL_KEYS, name="k", budgets=[DAY])
        scope = {"scope": "virtual_key", "scope_id": key["id"]}
        config = await create(client, provider="openai", budgets=[DAY], rate_limit=TOKENS, calendar_aligned=True, **scope)
        assert (config["scope_id"], config["scope_name"], config["calendar_aligned"]) == (key["id"], "k", False)
        set_counter(redis, virtual_key(key), config["budgets"][0]["id"], usage=2 * 10**9)
        assert (await calls.get(client, VIRTUAL_KEYS, key["id"])) == key, "the key itself is as it was"
        assert not [*redis.scan_iter("q1:{model:*usage")]

        quota = (await client.get("/virtual-keys/quota", headers={"x-bf-vk": key["value"]})).json()
        shown = await calls.get(client, MODEL_CONFIGS, config["id"])
        assert quota["model_configs"] == [
            {"model_name": "gpt-4o", "provider": "openai", "budgets": shown["budgets"], "rate_limit": shown["rate_limit"]}
        ]
        assert shown["budget"]["current_usage"] == 2

        await calls.update(client, VIRTUAL_KEYS, key["id"], name="renamed", calendar_aligned=True)
        shown = await calls.get(client, MODEL_CONFIGS, config["id"])
        assert (shown["scope_name"], shown["calendar_aligned"]) == ("renamed", True)
        assert (shown["budget"]["current_usage"], shown["budget"]["last_reset"]) == (0, "2030-03-17T00:00:00.000Z")
        assert await calls.rows(client, MODEL_CONFIGS, scope="virtual_key") == [shown]


async def test_configs_of_a_key_go_with_it(client: httpx.AsyncClient, redis: Redis, key: Entity):
    scope = {"scope": "virtual_key", "scope_id": key["id"]}
    held = [await create(client, model_name=str(number), budgets=[DAY], **scope) for number in range(3)]
    kept = await create(client, budgets=[DAY])
    user = await create(client, scope="user", scope_id=key["id"])
    await calls.delete(client, VIRTUAL_KEYS, key["id"])
    assert [config["id"] for config in await calls.rows(client, MODEL_CONFIGS)] == [kept["id"], user["id"]]
    for config in held:
        assert_refused(await client.get(f"/model-configs/{config['id']}"), 404)
    assert_refused(await client.post("/model-configs", json={"model_name": "0", **scope}), 400, param="scope_id")
    assert [budget["model_config_id"] for budget in await calls.rows(client, "budgets")] == [kept["id"]]


async def test_a_deleted_config_is_gone_and_its_place_is_free(client: httpx.AsyncClient, key: Entity):
    for scope in ({}, {"scope": "virtual_key", "scope_id": key["id"]}, {"scope": "user", "scope_id": "u"}):
        created = await create(client, **scope)
        await calls.delete(client, MODEL_CONFIGS, created["id"])
        for method in ("GET", "PUT", "DELETE"):
            assert_refused(await client.request(method, f"/model-configs/{created['id']}", content=b"{}"), 404)
        assert (await create(client, **scope))["id"] != created["id"]


async def test_updated_at_moves_with_a_change_only(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client:
        key = await calls.create(client, VIRTUAL_KEYS)
        ids = [(await create(client, **scope))["id"] for scope in ({}, {"scope": "virtual_key", "scope_id": key["id"]})]
    async with make_client(now_ms=NOW_MS + 1_000) as client:
        for config_id in ids:
            assert (await calls.update(client, MODEL_CONFIGS, config_id))["updated_at"] == NOW
            changed = await calls.update(client, MODEL_CONFIGS, config_id, budgets=[DAY])
            assert (changed["created_at"], changed["updated_at"]) == (NOW, timestamp(NOW_MS + 1_000))
