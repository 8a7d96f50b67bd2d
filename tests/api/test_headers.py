"""The headers that say what is left: structured fields that parse, the numbers of the body, a Retry-After that is true."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from http_sfv.list import List

from service.api.headers import go_duration, names_of, policy_lines
from service.quota.decision import Reading
from service.reservation import LimitKind, PlannedLimit
from service.windows import window_of
from tests.api.conftest import NOW_MS
from tests.api.gateway import admitted, budget, call, create_key, hierarchy, rate_limit, refused, reserve, settle

MakeClient = Callable[..., httpx.AsyncClient]


def parsed(response: httpx.Response, name: str) -> dict[str, dict[str, Any]]:
    """A list of strings with parameters, as RFC 9651 reads it."""
    found = List()
    found.parse(response.headers[name].encode())
    items = {item.value: dict(item.params) for item in found}
    assert all(isinstance(value, str) for value in items)
    assert len(items) == len(found)
    return items


async def test_headers_of_an_admission(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client:
        key = await create_key(client, budgets=[budget(2.5)], rate_limit=rate_limit(tokens=1000, requests=10, per="90s"))
        response = await reserve(client, key, tokens=100, cost=0.5)
        assert parsed(response, "ratelimit-policy") == {
            "virtual_key-tokens-90s": {"q": 1000, "w": 90, "qu": "tokens"},
            "virtual_key-requests-90s": {"q": 10, "w": 90},
            "virtual_key-budget-1d": {"q": 2_500_000, "w": 86_400, "qu": "microusd"},
        }
        assert parsed(response, "ratelimit") == {
            "virtual_key-tokens-90s": {"r": 900, "t": 90},
            "virtual_key-requests-90s": {"r": 9, "t": 90},
            "virtual_key-budget-1d": {"r": 2_000_000, "t": 86_400},
        }
        assert {name: value for name, value in response.headers.items() if name.startswith("x-ratelimit")} == {
            "x-ratelimit-limit-requests": "10",
            "x-ratelimit-remaining-requests": "9",
            "x-ratelimit-reset-requests": "1m30s",
            "x-ratelimit-limit-tokens": "1000",
            "x-ratelimit-remaining-tokens": "900",
            "x-ratelimit-reset-tokens": "1m30s",
        }


async def test_a_window_on_the_calendar_is_as_long_as_its_unit(client: httpx.AsyncClient):
    """The number before it plays no part: 3M is over with the month."""
    durations = {"2d": 86_400, "1.5w": 604_800, "3M": 2_592_000, "2Y": 31_536_000, "90s": 90}
    key = await create_key(client, budgets=[budget(1, duration) for duration in durations], calendar_aligned=True)
    policies = parsed(await reserve(client, key), "ratelimit-policy")
    assert {name.removeprefix("virtual_key-budget-"): policy["w"] for name, policy in policies.items()} == durations


async def test_resets_are_told_in_whole_seconds_never_too_early(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client:
        key = await create_key(client, rate_limit=rate_limit(tokens=1000, per="90s"))
        await admitted(client, key)
    async with make_client(now_ms=NOW_MS + 1) as client:
        headers = (await reserve(client, key)).headers
    assert headers["x-ratelimit-reset-tokens"] == "1m30s"
    async with make_client(now_ms=NOW_MS + 1000) as client:
        headers = (await reserve(client, key)).headers
    assert headers["x-ratelimit-reset-tokens"] == "1m29s"


async def test_headers_of_a_request_that_nothing_limits(client: httpx.AsyncClient):
    response = await reserve(client, await create_key(client))
    assert not [name for name in response.headers if "ratelimit" in name]


async def test_the_tightest_limit_of_each_kind_is_shown_as_openai_shows_it(client: httpx.AsyncClient):
    key = await hierarchy(
        client,
        key={"rate_limit": rate_limit(requests=100, tokens=500)},
        team={"rate_limit": rate_limit(requests=5, tokens=1000, per="1m")},
    )
    headers = (await reserve(client, key)).headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("5", "4")
    assert (headers["x-ratelimit-limit-tokens"], headers["x-ratelimit-remaining-tokens"]) == ("500", "500")


async def test_the_quota_endpoint_shows_the_limits_of_the_key(client: httpx.AsyncClient):
    key = await create_key(client, budgets=[budget(2)], rate_limit=rate_limit(requests=10))
    await admitted(client, key)
    response = await client.get("/virtual-keys/quota", headers={"x-bf-vk": key["value"]})
    assert parsed(response, "ratelimit")["virtual_key-requests-1h"]["r"] == 9
    assert parsed(response, "ratelimit-policy")["virtual_key-budget-1d"] == {"q": 2_000_000, "w": 86_400, "qu": "microusd"}
    assert response.headers["x-ratelimit-remaining-requests"] == "9"
    bare = await create_key(client)
    response = await client.get("/virtual-keys/quota", headers={"x-bf-vk": bare["value"]})
    assert "ratelimit" not in response.headers


@pytest.mark.parametrize(
    "limits, use",
    [
        ({"rate_limit": rate_limit(requests=1, per="90s")}, {}),
        ({"rate_limit": rate_limit(tokens=10, per="1h")}, {"input_tokens": 10}),
        ({"budgets": [budget(1, "1d"), budget(1, "1h")]}, {"cost": 1}),
        ({"budgets": [budget(1, "1M")], "calendar_aligned": True}, {"cost": 1}),
        # Only held: free when the lease ends, not when the window does.
        ({"rate_limit": rate_limit(tokens=10, per="1h")}, None),
    ],
)
async def test_retry_after_is_true(make_client: MakeClient, limits: dict[str, Any], use: dict[str, Any] | None):
    start_ms = NOW_MS + 123
    async with make_client(now_ms=start_ms) as client:
        key = await create_key(client, **limits)
        first = await admitted(client, key, tokens=10, cost=1, ttl="30s")
        if use is not None:
            await settle(client, first["reservation_id"], **use)
        wait_s = (await refused(client, key))["retry_after"]
    async with make_client(now_ms=start_ms + (wait_s - 1) * 1000) as too_early:
        if wait_s > 2:
            await refused(too_early, key)
    async with make_client(now_ms=start_ms + wait_s * 1000) as later:
        await admitted(later, key)


async def test_retry_after_never_comes_before_the_window_of_its_policy(client: httpx.AsyncClient):
    key = await create_key(client, rate_limit=rate_limit(requests=1))
    await admitted(client, key)
    response = await reserve(client, key)
    assert int(response.headers["retry-after"]) >= parsed(response, "ratelimit")["virtual_key-requests-1h"]["t"]


async def test_what_comes_back_sooner_than_its_window_ends_is_told_of_the_limit_that_refused_alone(make_client: MakeClient):
    """Of a limit with something left, too little for this request; and not of one that has less left than the header can tell."""
    async with make_client(now_ms=NOW_MS) as client:
        limits = {"budgets": [budget(0.000_000_5, "1d")], "rate_limit": rate_limit(tokens=1000, requests=10)}
        key = await create_key(client, enforcement="strict", **limits)
        await admitted(client, key, tokens=800, cost=0, ttl="10s")
        response = await reserve(client, key, tokens=500, cost=0)
        told = parsed(response, "ratelimit")
    assert response.status_code == 429
    assert told["virtual_key-tokens-1h"] == {"r": 200, "t": int(response.headers["retry-after"])}
    assert told["virtual_key-requests-1h"] == {"r": 9, "t": 3600}
    assert told["virtual_key-budget-1d"] == {"r": 0, "t": 86_400}


async def test_a_problem_for_those_who_ask_for_one(client: httpx.AsyncClient):
    key = await hierarchy(client, key={"budgets": [budget(1)]}, team={"budgets": [budget(1)]})
    await admitted(client, key, cost=1)
    headers = {"x-bf-vk": key["value"], "accept": "application/json, application/problem+json"}
    response = await client.post("/quota/reserve", json={"provider": "openai", "model": "gpt-4o"}, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (402, "application/problem+json")
    problem = response.json()
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert (problem["title"], problem["status"], problem["decision"]) == ("Budget exceeded", 402, "budget_exceeded")
    assert problem["violated-policies"] == ["virtual_key-budget-1d", "team-budget-1d"]
    assert set(problem["violated-policies"]) <= set(parsed(response, "ratelimit-policy"))
    assert problem["retry_after"] == int(response.headers["retry-after"])

    response = await client.post("/quota/reserve", json={"provider": "azure"}, headers=headers)
    assert (response.status_code, response.json()["type"], response.json()["decision"]) == (
        403,
        "about:blank",
        "provider_blocked",
    )
    response = await client.post("/quota/reserve", json={"ttl": 5}, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (400, "application/problem+json")
    assert response.json()["detail"].startswith("ttl")
    response = await call(client, "reserve", key, provider="openai")
    assert response.headers["content-type"] == "application/json"
    response = await client.post("/quota/reserve", json={}, headers={"accept": "Application/Problem+JSON"})
    assert response.headers["content-type"] == "application/problem+json"


def reading(kind: LimitKind, *, limit: int, remaining: int, duration: str, limit_id: str = "id", scope: str = "team") -> Reading:
    planned = PlannedLimit(
        scope=scope,
        owner_id="owner",
        limit_id=limit_id,
        kind=kind,
        limit=limit,
        reset_duration=duration,
        window=window_of(duration, False),
        owner=0,
        slot=1,
    )
    return Reading(planned, limit, limit - remaining, 0, remaining, NOW_MS + 1)


def test_numbers_too_large_for_a_structured_field_are_cut():
    readings = [
        reading(LimitKind.TOKENS, limit=2**53 - 1, remaining=2**53 - 2, duration="1d"),
        reading(LimitKind.BUDGET, limit=9_000_000 * 10**9, remaining=1, duration="100Y"),
    ]
    headers = {name: List() for name in (b"ratelimit", b"ratelimit-policy")}
    for line in policy_lines(reading.planned for reading in readings).fill_with(readings, NOW_MS).splitlines():
        name, value = line.split(b": ", 1)
        if name in headers:
            headers[name].parse(value)
    assert [item.params["q"] for item in headers[b"ratelimit-policy"]] == [999_999_999_999_999, 9_000_000_000_000]
    assert [item.params["r"] for item in headers[b"ratelimit"]] == [999_999_999_999_999, 0]
    assert [item.params["t"] for item in headers[b"ratelimit"]] == [1, 1]


def test_policies_have_names_of_their_own_in_ascii():
    readings = [
        reading(LimitKind.TOKENS, limit=1, remaining=1, duration="5µs", limit_id="a"),
        reading(LimitKind.TOKENS, limit=1, remaining=1, duration="5µs", limit_id="b"),
        reading(LimitKind.REQUESTS, limit=1, remaining=1, duration="5µs", limit_id="b"),
    ]
    assert [name for _, name in names_of(reading.planned for reading in readings)] == [
        "team-tokens-5?s",
        "team-tokens-5?s-b",
        "team-requests-5?s",
    ]


@pytest.mark.parametrize(
    "length_ms, text",
    [
        (0, "0s"),
        (1, "1ms"),
        (999, "999ms"),
        (1000, "1s"),
        (1500, "1.5s"),
        (59_999, "59.999s"),
        (60_000, "1m0s"),
        (360_000, "6m0s"),
        (90_010, "1m30.01s"),
        (3_600_000, "1h0m0s"),
        (86_400_000, "24h0m0s"),
        (90_061_001, "25h1m1.001s"),
    ],
)
def test_durations_are_written_as_go_writes_them(length_ms: int, text: str):
    assert go_duration(length_ms) == text
