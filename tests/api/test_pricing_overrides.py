"""Pricing overrides over HTTP: whose prices, of which models, and what an update makes of them."""

import json
from typing import Any, get_args

import httpx
import pytest
from redis import Redis

from service.api.rendering.times import timestamp
from service.models.request_types import PricedRequestType
from tests.api import calls
from tests.api.calls import PRICING_OVERRIDES, Entity
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import contents
from tests.api.refusals import assert_refused
from tests.api.samples import NAMES, NOW, UNKNOWN

OVERRIDE: dict[str, Any] = {
    "name": "cheaper",
    "scope_kind": "global",
    "match_type": "exact",
    "pattern": "gpt-4o",
    "request_types": ["chat_completion"],
}
IDS = ("virtual_key_id", "provider_id", "provider_key_id")
NEEDED = {
    "global": (),
    "provider": ("provider_id",),
    "provider_key": ("provider_key_id",),
    "virtual_key": ("virtual_key_id",),
    "virtual_key_provider": ("virtual_key_id", "provider_id"),
    "virtual_key_provider_key": IDS,
}


async def create(client: httpx.AsyncClient, **members: Any) -> Entity:
    return await calls.create(client, PRICING_OVERRIDES, **{**OVERRIDE, **members})


async def refused(client: httpx.AsyncClient, **members: Any) -> httpx.Response:
    return await client.post("/pricing-overrides", json={**OVERRIDE, **members})


async def stored(client: httpx.AsyncClient, override_id: str) -> Entity:
    """There is no call for one of them."""
    return next(row for row in await calls.rows(client, PRICING_OVERRIDES) if row["id"] == override_id)


async def test_an_override_of_required_members_only(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client:
        created = await create(client)
        assert created == {
            **OVERRIDE,
            "id": created["id"],
            **dict.fromkeys(IDS),
            "pricing_patch": "{}",
            "patch": {},
            "config_hash": "",
            "created_at": NOW,
            "updated_at": NOW,
        }
        assert await calls.rows(client, PRICING_OVERRIDES) == [created]
        assert_refused(await client.get(f"/pricing-overrides/{created['id']}"), 405)


@pytest.mark.parametrize("member", OVERRIDE)
async def test_what_is_required(client: httpx.AsyncClient, redis: Redis, member: str):
    for body in ({name: value for name, value in OVERRIDE.items() if name != member}, {**OVERRIDE, member: None}):
        assert_refused(await client.post("/pricing-overrides", json=body), 400, param=member, says="is required")
    assert contents(redis) == {}


PATCH = {"input_cost_per_token": 2e-06, "output_cost_per_token": 0, "output_cost_per_image": 0.04}


async def test_prices_come_back_as_an_object_and_as_text(client: httpx.AsyncClient):
    created = await create(client, patch={**PATCH, "cache_read_input_token_cost": None, "unheard_of": "x"})
    assert created["patch"] == PATCH
    assert json.loads(created["pricing_patch"]) == PATCH


async def test_names_and_request_types_are_kept_as_sent(client: httpx.AsyncClient):
    every = [*get_args(PricedRequestType)]
    for name in NAMES:
        assert (await create(client, name=name))["name"] == name
    assert (await create(client, request_types=[*every[::-1], every[0]]))["request_types"] == [*every[::-1], every[0]]
    assert len(await calls.rows(client, PRICING_OVERRIDES)) == len(NAMES) + 1, "no name is taken"


PATTERNS = [
    ("exact", " gpt-4o\n", "gpt-4o"),
    ("exact", "GPT-4o", "GPT-4o"),
    ("exact", "a/b?c", "a/b?c"),
    ("wildcard", "*", "*"),
    ("wildcard", "\tgpt-4* ", "gpt-4*"),
    ("exact", "gpt*", None),
    ("exact", "*", None),
    ("exact", " ", None),
    ("wildcard", "gpt-4o", None),
    ("wildcard", "*gpt", None),
    ("wildcard", "g*t", None),
    ("wildcard", "gpt**", None),
    ("wildcard", "g*t*", None),
    ("wildcard", "", None),
    ("exact", "x" * 256, None),
]


@pytest.mark.parametrize("match_type, sent, shown", PATTERNS)
async def test_patterns(client: httpx.AsyncClient, match_type: str, sent: str, shown: str | None):
    members = {"match_type": match_type, "pattern": sent}
    old = await create(client)
    path = f"/pricing-overrides/{old['id']}"
    if shown is None:
        assert_refused(await refused(client, **members), 400, param="pattern")
        assert_refused(await client.put(path, json=members), 400, param="pattern")
        assert await stored(client, old["id"]) == old
    else:
        assert (await create(client, **members))["pattern"] == shown
        assert (await calls.update(client, PRICING_OVERRIDES, old["id"], **members))["pattern"] == shown


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"name": ""}, "name"),
    ({"name": " "}, "name"),
    ({"scope_kind": ""}, "scope_kind"),
    ({"scope_kind": "team"}, "scope_kind"),
    ({"match_type": "regex"}, "match_type"),
    ({"match_type": "Exact"}, "match_type"),
    ({"request_types": []}, "request_types"),
    ({"request_types": {}}, "request_types"),
    ({"request_types": ""}, "request_types"),
    ({"request_types": [""]}, "request_types[0]"),
    ({"request_types": ["rerank", "chat_completion_stream"]}, "request_types[1]"),
    ({"request_types": ["Rerank"]}, "request_types[0]"),
    ({"patch": ""}, "patch"),
    ({"patch": []}, "patch"),
    ({"patch": {"input_cost_per_token": -1e-12}}, "patch.input_cost_per_token"),
    ({"patch": {"input_cost_per_token": "0.1"}}, "patch.input_cost_per_token"),
    ({"patch": {"output_cost_per_second": True}}, "patch.output_cost_per_second"),
    ({"patch": {"output_cost_per_second": {}}}, "patch.output_cost_per_second"),
    ({"patch": {"output_cost_per_image": 1e300}}, "patch.output_cost_per_image"),
]


@pytest.mark.parametrize("members, param", WRONG)
async def test_what_is_refused(client: httpx.AsyncClient, redis: Redis, members: dict[str, Any], param: str):
    assert_refused(await refused(client, **members), 400, param=param)
    assert contents(redis) == {}
    created = await create(client)
    before = contents(redis)
    assert_refused(await client.put(f"/pricing-overrides/{created['id']}", json=members), 400, param=param)
    assert contents(redis) == before


ORDER: list[tuple[dict[str, Any], int]] = [
    ({"patch": []}, 400),
    ({"request_types": ""}, 400),
    ({"name": ""}, 404),
    ({"scope_kind": "team"}, 404),
    ({"match_type": "exact", "pattern": "*"}, 404),
    ({"scope_kind": "provider"}, 404),
    ({"patch": {"input_cost_per_token": -1}}, 404),
]


@pytest.mark.parametrize("members, status", ORDER)
async def test_an_unknown_id_is_reported_after_wrong_types_and_before_wrong_values(
    client: httpx.AsyncClient, members: dict[str, Any], status: int
):
    assert_refused(await client.put(f"/pricing-overrides/{UNKNOWN}", json=members), status)


@pytest.mark.parametrize("scope_kind", NEEDED)
async def test_the_ids_of_each_scope(client: httpx.AsyncClient, scope_kind: str):
    """None of them is looked up: an override may come before or outlive what it is for."""
    needed = {member: f"some {member}" for member in NEEDED[scope_kind]}
    created = await create(client, scope_kind=scope_kind, **needed)
    assert {member: created[member] for member in IDS} == {**dict.fromkeys(IDS), **needed}
    assert (await create(client, scope_kind=scope_kind, **{**dict.fromkeys(IDS, " "), **needed}))["scope_kind"] == scope_kind
    for member in IDS:
        for value in ("", " ", None) if member in needed else ("x",):
            wrong = {"scope_kind": scope_kind, **needed, member: value}
            says = "is required" if member in needed else "must not be sent"
            assert_refused(await refused(client, **wrong), 400, param=member, says=says)
            assert_refused(await client.put(f"/pricing-overrides/{created['id']}", json=wrong), 400, param=member)
    assert await stored(client, created["id"]) == created


@pytest.mark.parametrize("old", NEEDED)
@pytest.mark.parametrize("new", NEEDED)
async def test_a_new_scope_starts_from_no_ids(client: httpx.AsyncClient, old: str, new: str):
    created = await create(client, scope_kind=old, **dict.fromkeys(NEEDED[old], "old"))
    if NEEDED[new]:
        answer = await client.put(f"/pricing-overrides/{created['id']}", json={"scope_kind": new})
        assert_refused(answer, 400, param=NEEDED[new][0], says="is required")
    changed = await calls.update(client, PRICING_OVERRIDES, created["id"], scope_kind=new, **dict.fromkeys(NEEDED[new], "new"))
    assert {member: changed[member] for member in IDS} == {**dict.fromkeys(IDS), **dict.fromkeys(NEEDED[new], "new")}


SAME_SCOPE: list[tuple[str, dict[str, Any], str | None]] = [
    # scope, ids sent without scope_kind, the member at fault or None
    ("virtual_key_provider", {}, None),
    ("virtual_key_provider", {"provider_id": "new"}, None),
    ("virtual_key_provider", {"provider_id": "new", "virtual_key_id": "new"}, None),
    ("virtual_key_provider", {"provider_key_id": None}, None),
    ("virtual_key_provider", {"provider_id": None}, "provider_id"),
    ("virtual_key_provider", {"provider_id": ""}, "provider_id"),
    ("virtual_key_provider", {"provider_id": " "}, "provider_id"),
    ("virtual_key_provider", {"provider_key_id": "new"}, "provider_key_id"),
    ("virtual_key_provider", {"provider_key_id": ""}, "provider_key_id"),
    ("global", {"provider_id": "new"}, "provider_id"),
    ("global", {"provider_id": None, "virtual_key_id": None, "provider_key_id": None}, None),
    ("provider", {"scope_kind": None, "provider_id": "new"}, None),
]


@pytest.mark.parametrize("scope_kind, sent, param", SAME_SCOPE)
async def test_ids_without_a_scope(client: httpx.AsyncClient, scope_kind: str, sent: dict[str, Any], param: str | None):
    created = await create(client, scope_kind=scope_kind, **dict.fromkeys(NEEDED[scope_kind], "old"))
    if param:
        assert_refused(await client.put(f"/pricing-overrides/{created['id']}", json=sent), 400, param=param)
        assert await stored(client, created["id"]) == created
        return
    changed = await calls.update(client, PRICING_OVERRIDES, created["id"], **sent)
    sent.pop("scope_kind", None)
    assert {**changed, "updated_at": ""} == {**created, **sent, "updated_at": ""}


UPDATES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    (dict.fromkeys((*OVERRIDE, "patch")), {}),
    ({"id": "mine", "created_at": "then", "pricing_patch": "{}"}, {}),
    ({"name": "new"}, {"name": "new"}),
    ({"pattern": " new "}, {"pattern": "new"}),
    ({"pattern": "new*", "match_type": "wildcard"}, {"pattern": "new*", "match_type": "wildcard"}),
    ({"request_types": ["rerank", "rerank"]}, {"request_types": ["rerank", "rerank"]}),
    ({"patch": {}}, {"patch": {}, "pricing_patch": "{}"}),
    (
        {"patch": {"input_cost_per_pixel": 1.5}},
        {"patch": {"input_cost_per_pixel": 1.5}, "pricing_patch": '{"input_cost_per_pixel":1.5}'},
    ),
]


@pytest.mark.parametrize("members, changes", UPDATES)
async def test_an_update_changes_what_is_sent(make_client: MakeClient, members: dict[str, Any], changes: dict[str, Any]):
    async with make_client(now_ms=NOW_MS) as client:
        created = await create(client, patch=PATCH)
    async with make_client(now_ms=NOW_MS + 1_000) as client:
        changed = await calls.update(client, PRICING_OVERRIDES, created["id"], **members)
        assert changed == {**created, **changes, **({"updated_at": timestamp(NOW_MS + 1_000)} if changes else {})}
        assert await calls.rows(client, PRICING_OVERRIDES) == [changed]


async def test_what_is_sent_must_go_with_what_is_stored(client: httpx.AsyncClient):
    exact = await create(client)
    wildcard = await create(client, match_type="wildcard", pattern="gpt-*")
    for override, sent in (
        (exact, {"match_type": "wildcard"}),
        (exact, {"pattern": "gpt-*"}),
        (wildcard, {"match_type": "exact"}),
        (wildcard, {"pattern": "gpt-4o"}),
    ):
        answer = await client.put(f"/pricing-overrides/{override['id']}", json={**sent, "name": "changed too"})
        assert_refused(answer, 400, param="pattern")
        assert await stored(client, override["id"]) == override


async def test_a_deleted_override_is_gone(client: httpx.AsyncClient):
    created = await create(client)
    await calls.delete(client, PRICING_OVERRIDES, created["id"])
    assert await calls.rows(client, PRICING_OVERRIDES) == []
    for method in ("PUT", "DELETE"):
        assert_refused(await client.request(method, f"/pricing-overrides/{created['id']}", content=b"{}"), 404)
