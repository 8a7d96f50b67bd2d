"""Every decision with its status and reason, the order of checks, the three modes, over HTTP."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.calls import VIRTUAL_KEYS, delete, update
from tests.api.conftest import NOW_MS
from tests.api.gateway import (
    CALL,
    OPENAI,
    admitted,
    budget,
    call,
    counts,
    create_key,
    explain,
    hierarchy,
    rate_limit,
    readable,
    refused,
    reserve,
    settle,
    values,
)

MakeClient = Callable[..., httpx.AsyncClient]


async def decision(client: httpx.AsyncClient, key: dict[str, Any] | None, **body: Any) -> tuple[int, str]:
    answer = await refused(client, key, **body)
    assert answer["error"]["message"]
    return answer["status_code"], answer["decision"]


async def test_who_is_not_known(client: httpx.AsyncClient):
    response = await reserve(client, None)
    assert (response.status_code, response.json()["type"]) == (401, "virtual_key_required")
    assert response.headers["www-authenticate"] == "Bearer"
    assert await decision(client, {"value": "sk-bf-00000000-0000-4000-8000-000000000000"}) == (401, "virtual_key_not_found")
    key = await create_key(client)
    assert await decision(client, {"value": key["value"] + " "}) == (401, "virtual_key_not_found")
    await admitted(client, key)
    await delete(client, VIRTUAL_KEYS, key["id"])
    assert await decision(client, key) == (401, "virtual_key_not_found")


async def test_the_key_in_the_body_wins_over_the_header(client: httpx.AsyncClient):
    key, other = await create_key(client), await create_key(client)
    answer = await admitted(client, other, virtual_key=key["value"])
    assert answer["virtual_key"]["id"] == key["id"]


async def test_without_a_key_where_none_is_needed(make_client: MakeClient):
    async with make_client(require_key=False) as client:
        assert (await client.put("/providers/openai", json={"rate_limit": rate_limit(requests=1)})).status_code == 200
        answer = await admitted(client, None)
        assert (answer["virtual_key"], answer["key_ids"]) == (None, ["*"])
        assert await decision(client, None) == (429, "request_limited")
        assert await decision(client, {"value": "sk-bf-unknown"}) == (401, "virtual_key_not_found")
        settled = await settle(client, answer["reservation_id"], input_tokens=5)
        assert counts(settled, "provider", "requests") == (1, 0, 0)


@pytest.mark.parametrize(
    "members, body, expected, reason",
    [
        ({"is_active": False}, {}, "virtual_key_blocked", "inactive"),
        ({"provider_configs": []}, {}, "provider_blocked", "openai"),
        ({}, {"provider": "azure"}, "provider_blocked", "azure"),
        ({"provider_configs": [{**OPENAI, "allowed_models": ["o1"]}]}, {}, "model_blocked", "gpt-4o"),
        ({"provider_configs": [{**OPENAI, "blacklisted_models": ["*"]}]}, {}, "model_blocked", "gpt-4o"),
    ],
)
async def test_who_is_blocked(
    client: httpx.AsyncClient, members: dict[str, Any], body: dict[str, Any], expected: str, reason: str
):
    key = await create_key(client, **members)
    answer = await refused(client, key, **body)
    assert (answer["status_code"], answer["decision"]) == (403, expected)
    assert reason in answer["error"]["message"]
    assert "retry_after" not in answer


async def test_an_expired_key(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client, make_client(now_ms=NOW_MS + 20_000) as later:
        key = await create_key(client, expires_at="2030-03-17T17:47:00Z", rate_limit=rate_limit(requests=1))
        await admitted(client, key)
        answer = await refused(later, key)
        assert (answer["status_code"], answer["decision"]) == (403, "virtual_key_blocked")
        assert "expired" in answer["error"]["message"]
        await update(client, VIRTUAL_KEYS, key["id"], is_active=False)
        assert "inactive" in (await refused(later, key))["error"]["message"]


async def test_both_counters_of_a_rate_limit(client: httpx.AsyncClient):
    key = await create_key(client, rate_limit=rate_limit(requests=1, tokens=10))
    first = await admitted(client, key)
    assert await decision(client, key) == (429, "request_limited")
    await settle(client, first["reservation_id"], input_tokens=10)
    answer = await refused(client, key)
    assert (answer["status_code"], answer["decision"]) == (429, "rate_limited")
    assert [limit["kind"] for limit in answer["violations"]] == ["tokens", "requests"]
    await update(client, VIRTUAL_KEYS, key["id"], rate_limit=rate_limit(requests=5, tokens=10))
    assert await decision(client, key) == (429, "token_limited")


async def test_a_reason_names_level_usage_limit_and_window(client: httpx.AsyncClient):
    key = await create_key(client, budgets=[budget(2.5, "1w")])
    await settle(client, (await admitted(client, key, cost=1))["reservation_id"], cost=0.000000001)
    await admitted(client, key, cost=5)
    answer = await refused(client, key)
    assert (answer["status_code"], answer["decision"]) == (402, "budget_exceeded")
    assert answer["error"]["message"] == "Virtual key budget exceeded: $0.000000001 spent and $2.499999999 held of $2.5 per 1w"
    assert answer["extra_fields"] == {"provider": "openai", "model_requested": "gpt-4o"}
    assert answer["limit"]["limit_id"] == key["budgets"][0]["id"]


LEVELS = ("provider", "model", "config", "key", "team", "customer", "own_model")
SCOPES = {
    "provider": "provider",
    "model": "model_config",
    "config": "provider_config",
    "key": "virtual_key",
    "team": "team",
    "customer": "customer",
    "own_model": "model_config",
}


@pytest.mark.parametrize("level", LEVELS)
async def test_every_level_refuses(client: httpx.AsyncClient, level: str, redis_url: str):
    for limits, expected in (
        ({"rate_limit": rate_limit(requests=1)}, (429, "request_limited")),
        ({"rate_limit": rate_limit(tokens=5)}, (429, "token_limited")),
        ({"budgets": [budget(1)]}, (402, "budget_exceeded")),
    ):
        key = await hierarchy(client, **{level: limits})
        answer = await admitted(client, key, tokens=5, cost=1)
        assert [limit["scope"] for limit in answer["limits"]] == [SCOPES[level]]
        with readable(redis_url) as redis:
            before = values(redis)
            refusal = await refused(client, key, tokens=5, cost=1)
            assert values(redis) == before
        assert (refusal["status_code"], refusal["decision"]) == expected
        assert refusal["limit"]["scope"] == SCOPES[level]
        await _remove_what_is_shared(client)


@pytest.mark.parametrize(
    "members, body",
    [
        ({"is_active": False}, {}),
        ({"provider_configs": []}, {}),
        ({"enforcement": "strict", "budgets": [budget(1)]}, {"cost": 2}),
    ],
)
async def test_the_very_first_refusal_leaves_no_trace(
    client: httpx.AsyncClient, redis_url: str, members: dict[str, Any], body: dict[str, Any]
):
    key = await create_key(client, **members)
    with readable(redis_url) as redis:
        before = values(redis)
        await refused(client, key, **body)
        await explain(client, key, **body)
        assert values(redis) == before


async def test_order_of_checks(client: httpx.AsyncClient):
    """All limits of one request are over: the first is named, all are listed."""
    limits = {"rate_limit": rate_limit(requests=1), "budgets": [budget(1, "1w"), budget(1, "1d")]}
    key = await hierarchy(client, **dict.fromkeys(LEVELS, limits))
    await admitted(client, key, cost=1)
    answer = await refused(client, key)
    order = [(limit["scope"], limit["kind"], limit["window"]) for limit in answer["violations"]]
    of_hierarchy = ("provider_config", "virtual_key", "team", "customer")
    assert order == [
        ("provider", "requests", "1h"),
        ("provider", "budget", "1d"),
        ("provider", "budget", "1w"),
        ("model_config", "requests", "1h"),
        ("model_config", "budget", "1d"),
        ("model_config", "budget", "1w"),
        *((scope, "requests", "1h") for scope in of_hierarchy),
        *((scope, "budget", window) for scope in of_hierarchy for window in ("1d", "1w")),
        ("model_config", "requests", "1h"),
        ("model_config", "budget", "1d"),
        ("model_config", "budget", "1w"),
    ]


async def test_what_binds_everybody_comes_before_the_key_and_the_key_before_its_limits(client: httpx.AsyncClient):
    one = {"rate_limit": rate_limit(requests=1)}
    key = await hierarchy(client, provider=one, key=one)
    await admitted(client, key)
    await update(client, VIRTUAL_KEYS, key["id"], is_active=False)
    assert await decision(client, key) == (429, "request_limited")
    assert await decision(client, key, provider="azure") == (403, "virtual_key_blocked")
    assert (await client.delete("/providers/openai")).status_code == 200
    assert await decision(client, key) == (403, "virtual_key_blocked")
    await update(client, VIRTUAL_KEYS, key["id"], is_active=True)
    assert await decision(client, key, model="o1", provider="azure") == (403, "provider_blocked")
    assert await decision(client, key) == (429, "request_limited")


@pytest.mark.parametrize(
    "mode, admitted_with_estimates_of_40, held",
    [("postpaid", 5, 0), ("clamp", 3, 100), ("strict", 2, 80)],
)
@pytest.mark.parametrize("of_key", [True, False])
async def test_modes(make_client: MakeClient, mode: str, admitted_with_estimates_of_40: int, held: int, of_key: bool):
    async with make_client(**{} if of_key else {"enforcement": mode}) as client:
        key = await create_key(client, rate_limit=rate_limit(tokens=100), **{"enforcement": mode} if of_key else {})
        answers = [(await reserve(client, key, tokens=40)) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * admitted_with_estimates_of_40 + [429] * (
            5 - admitted_with_estimates_of_40
        )
        assert (await explain(client, key))["limits"][0]["reserved"] == held
        assert (await explain(client, key))["enforcement"] == mode


async def test_strict_says_that_the_estimate_does_not_fit(client: httpx.AsyncClient):
    key = await create_key(client, enforcement="strict", budgets=[budget(1)], rate_limit=rate_limit(tokens=100))
    answer = await refused(client, key, cost=1.5)
    assert answer["error"]["message"] == (
        "Virtual key budget exceeded: $0 spent of $1 per 1d, less is left than the $1.5 this request may cost"
    )
    assert "retry_after" not in answer  # it never will
    answer = await refused(client, key, tokens=101)
    assert answer["error"]["message"].endswith("less is left than the 101 this request may use")


async def test_a_change_by_an_admin_binds_the_next_decision_of_every_worker(make_client: MakeClient):
    async with make_client() as one, make_client() as other:
        key = await hierarchy(one)
        for client in (one, other):
            await admitted(client, key)
        await update(one, VIRTUAL_KEYS, key["id"], is_active=False)
        assert await decision(other, key) == (403, "virtual_key_blocked")
        await update(other, VIRTUAL_KEYS, key["id"], is_active=True)
        await admitted(one, key)
        await update(one, "teams", key["team_id"], budgets=[budget(1)])
        await admitted(other, key, cost=1)
        assert await decision(one, key) == (402, "budget_exceeded")
        await delete(one, "teams", key["team_id"])
        answer = await admitted(other, key)
        assert (answer["team_id"], answer["customer_id"]) == (None, None)
        assert (await one.put("/providers/openai", json={"rate_limit": rate_limit(requests=1)})).status_code == 200
        await admitted(other, key)
        assert await decision(one, key) == (429, "request_limited")
        assert (await other.delete("/providers/openai")).status_code == 200
        await admitted(one, key)
        body = {"model_name": "*", "scope": "virtual_key", "scope_id": key["id"], "rate_limit": rate_limit(requests=1)}
        assert (await other.post("/model-configs", json=body)).status_code == 200
        await admitted(one, key)
        assert await decision(other, key) == (429, "request_limited")


async def _remove_what_is_shared(client: httpx.AsyncClient) -> None:
    assert (await client.delete("/providers/openai")).status_code == 200
    for config in (await client.get("/model-configs")).json()["model_configs"]:
        assert (await client.delete(f"/model-configs/{config['id']}")).status_code == 200


TOKENS = {"gateway_token": ("gate",), "admin_token": ("root",)}


@pytest.mark.parametrize(
    "headers, status",
    [
        ({}, 401),
        ({"authorization": "Bearer gate"}, 200),
        ({"x-quota-token": "gate"}, 200),
        ({"authorization": "Bearer root"}, 200),
        ({"x-api-key": "root"}, 200),
        ({"authorization": "Basic OnJvb3Q="}, 200),
        ({"authorization": "Bearer wrong"}, 401),
        ({"x-quota-token": "wrong"}, 401),
        ({"authorization": "Bearer {key}"}, 401),
        ({"x-quota-token": "{key}"}, 401),
        ({"x-api-key": "{key}"}, 401),
    ],
)
@pytest.mark.parametrize("operation", ["reserve", "settle", "release", "renew", "explain", "batch"])
async def test_the_caller_needs_a_token(make_client: MakeClient, headers: dict[str, str], status: int, operation: str):
    async with make_client(**TOKENS, headers={"authorization": "Bearer root"}) as admin, make_client(**TOKENS) as client:
        key = await create_key(admin)
        await call(admin, "reserve", key, **CALL, request_id="r1")
        sent = {name: value.format(key=key["value"]) for name, value in headers.items()}
        body = {**CALL, "reservation_id": "r1", "operations": [], "virtual_key": key["value"]}
        response = await client.post(f"/quota/{operation}", json=body, headers=sent)
        assert response.status_code == status, response.text


@pytest.mark.parametrize("settings", [{"gateway_token": ("gate",)}, {"admin_token": ("root",)}])
async def test_one_kind_of_token_is_enough_to_close_the_door(make_client: MakeClient, settings: dict[str, Any]):
    async with make_client(**settings) as client:
        assert (await client.post("/quota/explain", json={})).status_code == 401


async def test_a_gateway_token_does_not_administer(make_client: MakeClient):
    async with make_client(**TOKENS, headers={"authorization": "Bearer gate"}) as client:
        assert (await client.get("/virtual-keys")).status_code == 403
