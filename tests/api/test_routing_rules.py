"""Routing rules over HTTP: what a rule takes, gives back and keeps."""

from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api import calls
from tests.api.calls import CUSTOMERS, ROUTING_RULES, TEAMS, VIRTUAL_KEYS, Entity
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import contents
from tests.api.refusals import assert_refused

RULE: dict[str, Any] = {"name": "cheap", "cel_expression": "", "scope": "global", "priority": 0, "targets": [{"weight": 1}]}
SCOPES = {"team": TEAMS, "customer": CUSTOMERS, "virtual_key": VIRTUAL_KEYS}


def rule(**members: Any) -> dict[str, Any]:
    return {**RULE, **members}


async def create(client: httpx.AsyncClient, **members: Any) -> Entity:
    return await calls.create(client, ROUTING_RULES, **rule(**members))


async def refused(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.post("/routing-rules", json=rule(**members))


async def test_a_rule_of_required_members_only(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client:
        created = await create(client)
        assert len(created["id"]) == 36
        assert created == {
            "id": created["id"],
            "name": "cheap",
            "description": "",
            "enabled": True,
            "cel_expression": "",
            "targets": [{"weight": 1}],
            "fallbacks": [],
            "scope": "global",
            "scope_id": None,
            "priority": 0,
            "query": None,
            "chain_rule": False,
            "config_hash": "",
            "created_at": "2030-03-17T17:46:40.000Z",
            "updated_at": "2030-03-17T17:46:40.000Z",
        }
        assert await calls.get(client, ROUTING_RULES, created["id"]) == created
        assert await calls.rows(client, ROUTING_RULES) == [created]


async def test_every_member_comes_back_as_it_was_sent(client: httpx.AsyncClient):
    sent = rule(
        description=" for testing ",
        enabled=False,
        cel_expression='  headers["X-Tier"] == "gold" && budget_used > 80 ',
        targets=[
            {"provider": "openai", "model": "gpt-4o", "key_id": "k", "weight": 0.25},
            {"provider": "somebody else", "weight": 0.25},
            {"model": "gpt-4o", "weight": 0.5},
        ],
        fallbacks=["openai/", "azure/gpt/4", "openai/", "anthropic/x"],
        priority=-3,
        query={"b": [1, 2.5, None, True, "é"], "a": {"z": {}, "y": []}},
        chain_rule=True,
    )
    created = await calls.create(client, ROUTING_RULES, **sent)
    assert {member: created[member] for member in sent} == sent
    assert [*created["query"]] == ["b", "a"]


async def test_empty_members_of_a_target_are_absent(client: httpx.AsyncClient):
    created = await create(client, targets=[{"provider": "", "model": None, "key_id": "", "weight": 1}])
    assert created["targets"] == [{"weight": 1}]


@pytest.mark.parametrize("member", RULE)
@pytest.mark.parametrize("value", ["absent", None])
async def test_what_is_required(client: httpx.AsyncClient, redis: Redis, member: str, value: str | None):
    body = {name: sent for name, sent in RULE.items() if name != member or value is None}
    if value is None:
        body[member] = None
    assert_refused(await client.post("/routing-rules", json=body), 400, param=member, says="is required")
    assert contents(redis) == {}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"name": ""}, "name", "must not be empty"),
    ({"name": "\t"}, "name", "must not be blank"),
    ({"scope": "user"}, "scope", "must be one of"),
    ({"scope": "Global"}, "scope", "must be one of"),
    ({"priority": 0.5}, "priority", "must be an integer"),
    ({"priority": "0"}, "priority", "must be an integer"),
    ({"targets": []}, "targets", "must not be empty"),
    ({"targets": [{}]}, "targets[0].weight", "is required"),
    ({"targets": [{"weight": None}]}, "targets[0].weight", "is required"),
    ({"targets": [{"weight": "1"}]}, "targets[0].weight", "must be a number"),
    ({"targets": [{"weight": 0}]}, "targets[0].weight", "greater than 0"),
    ({"targets": [{"weight": -1}]}, "targets[0].weight", "greater than 0"),
    ({"targets": [{"weight": 0.998}]}, "targets", "add up to 1"),
    ({"targets": [{"weight": 1.0011}]}, "targets", "must not be greater than"),
    ({"targets": [{"model": "a", "weight": 0.6}, {"model": "b", "weight": 0.6}]}, "targets", "add up to 1"),
    ({"targets": [{"key_id": "k", "weight": 1}]}, "targets[0].key_id", "needs a provider"),
    ({"targets": [{"model": "A", "weight": 0.5}, {"model": "a", "weight": 0.5}]}, "targets[1]", "repeats entry [0]"),
    ({"fallbacks": ["gpt-4o"]}, "fallbacks[0]", "provider/model"),
    ({"fallbacks": ["/gpt-4o"]}, "fallbacks[0]", "provider/model"),
    ({"fallbacks": ["openai/x", ""]}, "fallbacks[1]", "provider/model"),
    ({"fallbacks": ["nobody/x"]}, "fallbacks[0]", "configured provider"),
    ({"fallbacks": ["OpenAI/x"]}, "fallbacks[0]", "configured provider"),
    ({"fallbacks": [" openai/x"]}, "fallbacks[0]", "configured provider"),
    ({"query": {"a": 2**64}}, "query", "64 bits"),
    ({"query": {"text": "x" * 70_000}}, "query", "larger than 64 KiB"),
    ({"cel_expression": "model =="}, "cel_expression", ""),
    ({"cel_expression": "model == 1"}, "cel_expression", ""),
    ({"cel_expression": "unheard_of == 'x'"}, "cel_expression", "unheard_of"),
    ({"cel_expression": "model"}, "cel_expression", "true or false"),
    ({"cel_expression": "1 + 1"}, "cel_expression", "true or false"),
    ({"cel_expression": "model.matches('(')"}, "cel_expression", ""),
    ({"cel_expression": "x" * 10_001}, "cel_expression", "10000"),
]


@pytest.mark.parametrize("members, param, says", WRONG)
async def test_what_is_refused(client: httpx.AsyncClient, redis: Redis, members: dict[str, Any], param: str, says: str):
    """On creation, and on an update, which then changes nothing."""
    body = assert_refused(await refused(client, **members), 400, says=says)
    assert body["error"]["param"].startswith(param)
    assert contents(redis) == {}
    created = await create(client)
    before = contents(redis)
    body = assert_refused(await client.put(f"/routing-rules/{created['id']}", json=members), 400, says=says)
    assert body["error"]["param"].startswith(param)
    assert contents(redis) == before
    assert_refused(await client.put("/routing-rules/x", json=members), 404 if "must be a" not in says else 400)


ACCEPTED: list[dict[str, Any]] = [
    {"targets": [{"weight": 0.999}]},
    {"targets": [{"weight": 1.001}]},
    {"targets": [{"model": str(number), "weight": 0.333} for number in range(3)]},
    {"targets": [{"model": "a", "weight": 0.5}, {"model": "b", "weight": 0.501}]},
    {"targets": [{"model": str(number), "weight": 0.001} for number in range(1_000)]},
    {"targets": [{"provider": "p", "weight": 0.5}, {"provider": "p", "key_id": "k", "weight": 0.5}]},
    {"targets": [{"provider": "p", "key_id": "K", "weight": 0.5}, {"provider": "p", "key_id": "k", "weight": 0.5}]},
    {"priority": 2**53 - 1},
    {"priority": -(2**53) + 1},
    {"cel_expression": " "},
    {"cel_expression": "budget_used > 80"},
    {"cel_expression": "budget_used > 80.0 && tokens_used < 50"},
    {"cel_expression": "\"X-Tier\" in headers && params['q'].startsWith('a')"},
    {"query": {}},
    {"scope_id": "anything"},
    {"scope_id": ""},
]


@pytest.mark.parametrize("members", ACCEPTED, ids=lambda members: str(members)[:60])
async def test_what_is_accepted(client: httpx.AsyncClient, members: dict[str, Any]):
    created = await create(client, **members)
    expected = {name: None if name == "scope_id" else value for name, value in members.items()}
    assert {name: created[name] for name in members} == expected


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_scope_needs_the_id_of_something_that_is_there(client: httpx.AsyncClient, scope: str):
    for missing in ({}, {"scope_id": None}, {"scope_id": ""}, {"scope_id": " "}):
        answer = await refused(client, scope=scope, **missing)
        assert_refused(answer, 400, param="scope_id", says="is required")
    others = {kind: (await calls.create(client, collection))["id"] for kind, collection in SCOPES.items()}
    for wrong in ("x", *(others[kind] for kind in SCOPES if kind != scope)):
        answer = await refused(client, scope=scope, scope_id=wrong)
        assert_refused(answer, 400, param="scope_id", says="is not that of a")
    created = await create(client, scope=scope, scope_id=others[scope])
    assert (created["scope"], created["scope_id"]) == (scope, others[scope])


async def test_the_scope_of_a_rule_may_change(client: httpx.AsyncClient):
    team, customer = (await calls.create(client, TEAMS))["id"], (await calls.create(client, CUSTOMERS))["id"]
    other_team = (await calls.create(client, TEAMS))["id"]
    rule_id = (await create(client))["id"]

    async def change(**members: Any) -> tuple[str, str | None]:
        changed = await calls.update(client, ROUTING_RULES, rule_id, **members)
        return changed["scope"], changed["scope_id"]

    async def wrong(**members: Any) -> None:
        assert_refused(await client.put(f"/routing-rules/{rule_id}", json=members), 400, param="scope_id")

    assert await change(scope_id=team) == ("global", None)
    await wrong(scope="team")
    assert await change(scope="team", scope_id=team) == ("team", team)
    assert await change(scope="team") == ("team", team)
    assert await change(scope_id=other_team) == ("team", other_team)
    await wrong(scope_id=customer)
    await wrong(scope_id="")
    await wrong(scope="customer")
    await wrong(scope="customer", scope_id=other_team)
    assert await change(scope="customer", scope_id=customer) == ("customer", customer)
    assert await change(scope="global", scope_id=customer) == ("global", None)


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_rule_outlives_what_it_is_for(client: httpx.AsyncClient, scope: str):
    owner = await calls.create(client, SCOPES[scope])
    created = await create(client, scope=scope, scope_id=owner["id"])
    await calls.delete(client, SCOPES[scope], owner["id"])
    assert await calls.get(client, ROUTING_RULES, created["id"]) == created
    changed = await calls.update(client, ROUTING_RULES, created["id"], name="still here")
    assert (changed["name"], changed["scope_id"]) == ("still here", owner["id"])
    await calls.delete(client, ROUTING_RULES, created["id"])


FULL = rule(
    description="d",
    enabled=False,
    targets=[{"provider": "openai", "weight": 1}],
    fallbacks=["openai/x"],
    query={"a": 1},
    chain_rule=True,
    cel_expression="model == 'x'",
    priority=7,
)

UPDATES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    (dict.fromkeys(FULL), {}),
    ({"id": "mine", "created_at": "then", "config_hash": 1, "unheard of": 1}, {}),
    ({"name": "new"}, {"name": "new"}),
    ({"description": ""}, {"description": ""}),
    ({"enabled": True}, {"enabled": True}),
    ({"cel_expression": ""}, {"cel_expression": ""}),
    ({"cel_expression": "true"}, {"cel_expression": "true"}),
    ({"targets": [{"model": "m", "weight": 1}]}, {"targets": [{"model": "m", "weight": 1.0}]}),
    ({"fallbacks": []}, {"fallbacks": []}),
    ({"fallbacks": ["azure/", "openai/y"]}, {"fallbacks": ["azure/", "openai/y"]}),
    ({"priority": -7}, {"priority": -7}),
    ({"query": {}}, {"query": {}}),
    ({"query": {"a": True}}, {"query": {"a": True}}),
    ({"query": {"a": 1.0}}, {"query": {"a": 1.0}}),
    ({"chain_rule": False}, {"chain_rule": False}),
]


@pytest.mark.parametrize("members, changes", UPDATES)
async def test_an_update_changes_what_is_sent(make_client: MakeClient, members: dict[str, Any], changes: dict[str, Any]):
    async with make_client(now_ms=NOW_MS) as client:
        created = await calls.create(client, ROUTING_RULES, **FULL)
    async with make_client(now_ms=NOW_MS + 1_000) as client:
        changed = await calls.update(client, ROUTING_RULES, created["id"], **members)
        dated = {"updated_at": "2030-03-17T17:46:41.000Z"} if changes else {}
        assert repr(changed) == repr({**created, **changes, **dated})
        assert await calls.get(client, ROUTING_RULES, created["id"]) == changed


NULL_OR_WORSE = [("enabled", ""), ("priority", ""), ("targets", ""), ("targets", {}), ("fallbacks", ""), ("fallbacks", {})]


@pytest.mark.parametrize("member, value", NULL_OR_WORSE)
async def test_emptiness_of_another_kind_is_refused(client: httpx.AsyncClient, member: str, value: object):
    created = await create(client)
    assert_refused(await client.put(f"/routing-rules/{created['id']}", json={member: value}), 400, param=member)


async def test_a_deleted_rule_is_gone(client: httpx.AsyncClient):
    created = await create(client)
    await calls.delete(client, ROUTING_RULES, created["id"])
    for method in ("GET", "PUT", "DELETE"):
        assert_refused(await client.request(method, f"/routing-rules/{created['id']}", content=b"{}"), 404)
    await create(client)


async def test_names_and_priorities_are_there_once_in_a_scope(client: httpx.AsyncClient, redis: Redis):
    team = (await calls.create(client, TEAMS))["id"]
    first = await create(client, name="a", priority=1)
    second = await create(client, name="b", priority=2)
    await create(client, name="a", priority=1, scope="team", scope_id=team)
    await create(client, name="A", priority=3)
    before = contents(redis)
    path = f"/routing-rules/{second['id']}"
    for answer, param in (
        (await refused(client, name="a", priority=9), "name"),
        (await refused(client, name="c", priority=1), "priority"),
        (await client.put(path, json={"name": "a"}), "name"),
        (await client.put(path, json={"priority": 1}), "priority"),
        (await client.put(path, json={"priority": 1, "name": "b", "description": "changed"}), "priority"),
    ):
        assert_refused(answer, 409, param=param, says="already exists")
    assert contents(redis) == before
    await calls.update(client, ROUTING_RULES, first["id"], name="a", priority=1, description="its own name and priority")
    moved = {"scope": "team", "scope_id": team}
    assert_refused(await client.put(f"/routing-rules/{first['id']}", json=moved), 409)
    await calls.update(client, ROUTING_RULES, first["id"], name="x", priority=5, **moved)
    await create(client, name="a", priority=1)
