"""explain: the decision that reserve would give, every check with its reason, and not one byte changed."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.conftest import NOW_MS
from tests.api.gateway import (
    CALL,
    OPENAI,
    admitted,
    budget,
    call,
    create_key,
    explain,
    hierarchy,
    rate_limit,
    readable,
    refused,
    reserve,
    values,
)

MakeClient = Callable[..., httpx.AsyncClient]


def checks(answer: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(check["check"], check["passed"]) for check in answer["checks"]]


async def test_an_admission_explained(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client:
        limits = {"rate_limit": rate_limit(requests=5, tokens=100), "budgets": [budget(1)]}
        key = await hierarchy(client, key=limits, provider={"budgets": [budget(3)]})
        answer = await explain(client, key, tokens=10, cost=0.25)
        assert (answer["decision"], answer["status"]) == ("allow", 200)
        assert (answer["provider"], answer["model"], answer["enforcement"]) == ("openai", "gpt-4o", "clamp")
        assert answer["estimate"] == {"tokens": 10, "cost": 0.25}
        assert answer["reserved"] == {"requests": 1, "tokens": 10, "cost": 0.25}
        assert checks(answer) == [
            ("virtual_key", True),
            ("provider_budget", True),
            ("virtual_key_active", True),
            ("provider_allowed", True),
            ("model_allowed", True),
            ("virtual_key_tokens", True),
            ("virtual_key_requests", True),
            ("virtual_key_budget", True),
        ]
        # In order of checks, not of what is left.
        assert [(limit["scope"], limit["kind"]) for limit in answer["limits"]] == [
            ("provider", "budget"),
            ("virtual_key", "tokens"),
            ("virtual_key", "requests"),
            ("virtual_key", "budget"),
        ]
        assert all(limit["passed"] for limit in answer["limits"])
        assert answer["limits"][1]["reason"] == "0 tokens used of 100 per 1h"


async def test_a_refusal_explained(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client:
        key = await hierarchy(client, key={"rate_limit": rate_limit(requests=1)}, team={"budgets": [budget(1)]})
        await admitted(client, key, cost=1)
        told = await refused(client, key)
        answer = await explain(client, key)
    assert {name: answer[name] for name in ("decision", "retry_after", "limit", "violations")} == {
        name: told[name] for name in ("decision", "retry_after", "limit", "violations")
    }
    assert (answer["status"], answer["message"]) == (429, told["error"]["message"])
    assert [(limit["scope"], limit["kind"], limit["passed"]) for limit in answer["limits"]] == [
        ("virtual_key", "requests", False),
        ("team", "budget", False),
    ]
    assert "reserved" not in answer


@pytest.mark.parametrize(
    "members, body, decision, failed",
    [
        ({"is_active": False}, {}, "virtual_key_blocked", "virtual_key_active"),
        ({"expires_at": "2030-03-17T17:46:41Z"}, {}, "virtual_key_blocked", "virtual_key_active"),
        ({}, {"provider": "azure"}, "provider_blocked", "provider_allowed"),
        ({"provider_configs": [{**OPENAI, "allowed_models": []}]}, {}, "model_blocked", "model_allowed"),
    ],
)
async def test_a_key_that_is_shut_out_is_told_its_limits_all_the_same(
    make_client: MakeClient, members: dict[str, Any], body: dict[str, Any], decision: str, failed: str
):
    async with make_client(now_ms=NOW_MS) as client, make_client(now_ms=NOW_MS + 2_000) as later:
        key = await create_key(client, rate_limit=rate_limit(requests=5), **members)
        answer = await explain(later, key, **body)
        assert (answer["decision"], answer["status"]) == (decision, 403)
        assert [name for name, passed in checks(answer) if not passed] == [failed]
        assert checks(answer)[-1] == ("virtual_key_requests", True)
        assert (await refused(later, key, **body))["error"]["message"] == answer["message"]


async def test_an_unknown_or_missing_key_is_a_decision(client: httpx.AsyncClient):
    answer = await explain(client, None)
    assert (answer["decision"], answer["status"]) == ("virtual_key_required", 401)
    answer = await explain(client, None, virtual_key="sk-bf-unknown")
    assert (answer["decision"], answer["status"], checks(answer)) == ("virtual_key_not_found", 401, [("virtual_key", False)])


async def test_nothing_changes(client: httpx.AsyncClient, redis_url: str):
    limits = {"rate_limit": rate_limit(requests=5, tokens=100), "budgets": [budget(1)]}
    key = await hierarchy(
        client, **dict.fromkeys(("key", "team", "customer", "config", "provider", "model", "own_model"), limits)
    )
    await admitted(client, key, tokens=5, ttl="1s")
    with readable(redis_url) as redis:
        before = values(redis)
        for body in (
            {},
            {"tokens": 50, "cost": 0.5},
            {"provider": None},
            {"model": None},
            {"provider": "azure"},
            {"request_id": "r"},
        ):
            await explain(client, key, **body)
        assert values(redis) == before


@pytest.mark.parametrize("mode", ["postpaid", "clamp", "strict"])
async def test_it_says_what_reserve_then_does(client: httpx.AsyncClient, mode: str):
    key = await create_key(client, enforcement=mode, rate_limit=rate_limit(requests=6, tokens=100), budgets=[budget(1)])
    for step in range(8):
        body = {"tokens": 30 * (step % 3), "cost": 0.1 * step}
        answer = await explain(client, key, **body)
        response = await reserve(client, key, **body)
        told = response.json()
        assert (answer["status"], answer["decision"]) == (response.status_code, told["decision"])
        assert answer.get("reserved") == told.get("reserved")


async def test_bad_input_is_refused(client: httpx.AsyncClient):
    response = await call(client, "explain", **CALL, tokens=-1)
    assert response.status_code == 400
