"""A request's life over HTTP: reserved, settled or released, repeated at will, and what the counters say on the way."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.calls import VIRTUAL_KEYS, get, refusal
from tests.api.conftest import NOW_MS
from tests.api.gateway import (
    CALL,
    admitted,
    budget,
    call,
    counts,
    create_key,
    limit_of,
    rate_limit,
    readable,
    refused,
    release,
    reserve,
    settle,
    values,
)

MakeClient = Callable[..., httpx.AsyncClient]
LIMITS: dict[str, Any] = {"budgets": [budget(10)], "rate_limit": rate_limit(tokens=1000, requests=10)}


async def test_an_admission_says_all_that_a_gateway_needs(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client:
        key = await create_key(client, **LIMITS)
        answer = await admitted(client, key, request_id="r1", input_tokens=100, max_output_tokens=20, cost=0.25, ttl="30s")
        limits = answer.pop("limits")
        assert answer == {
            "decision": "allow",
            "reservation_id": "r1",
            "expires_at": "2030-03-17T17:47:10.000Z",
            "replayed": False,
            "provider": "openai",
            "model": "gpt-4o",
            "key_ids": ["*"],
            "fallbacks": [],
            "virtual_key": {"id": key["id"], "name": key["name"]},
            "team_id": None,
            "customer_id": None,
            "reserved": {"requests": 1, "tokens": 120, "cost": 0.25},
            "priced": True,
            "price": {"source": "caller", "provider": None, "model": None, "override_id": None},
        }
        # The tightest first: 88 %, 90 % and 97.5 % are left.
        assert [limit["kind"] for limit in limits] == ["tokens", "requests", "budget"]
        assert limits[0] == {
            "scope": "virtual_key",
            "owner_id": key["id"],
            "limit_id": key["rate_limit"]["id"],
            "kind": "tokens",
            "limit": 1000,
            "usage": 0,
            "reserved": 120,
            "remaining": 880,
            "window": "1h",
            "resets_at": "2030-03-17T18:46:40.000Z",
        }
        assert (limits[1]["usage"], limits[1]["reserved"], limits[1]["remaining"]) == (1, 0, 9)
        assert (limits[2]["usage"], limits[2]["reserved"], limits[2]["remaining"]) == (0, 0.25, 9.75)


async def test_settling_charges_what_was_used_and_gives_back_the_rest(client: httpx.AsyncClient):
    key = await create_key(client, **LIMITS)
    await admitted(client, key, request_id="r1", tokens=500, cost=1)
    answer = await settle(client, "r1", input_tokens=100, output_tokens=50, cost=0.4)
    assert (answer["tokens"], answer["cost"], answer["priced"], answer["replayed"]) == (150, 0.4, True, False)
    assert answer["overrun"] == {"tokens": 0, "cost": 0}
    assert counts(answer, "virtual_key", "tokens") == (150, 0, 850)
    assert counts(answer, "virtual_key", "budget") == (0.4, 0, 9.6)
    assert counts(answer, "virtual_key", "requests") == (1, 0, 9)
    shown = await get(client, VIRTUAL_KEYS, key["id"])
    assert (shown["budgets"][0]["current_usage"], shown["budgets"][0]["reserved"]) == (0.4, 0)
    assert (shown["rate_limit"]["token_current_usage"], shown["rate_limit"]["request_current_usage"]) == (150, 1)


async def test_more_than_was_held_is_charged_in_full(client: httpx.AsyncClient):
    key = await create_key(client, **LIMITS)
    await admitted(client, key, request_id="r1", tokens=10, cost=0.1)
    answer = await settle(client, "r1", input_tokens=8, output_tokens=8, cost=0.35)
    assert answer["overrun"] == {"tokens": 6, "cost": 0.25}
    assert counts(answer, "virtual_key", "tokens") == (16, 0, 984)


async def test_without_a_cost_or_a_price_nothing_is_spent_and_nobody_says_it_was_priced(client: httpx.AsyncClient):
    key = await create_key(client, **LIMITS)
    answer = await admitted(client, key, request_id="r1", model="unheard-of", tokens=10)
    assert (answer["priced"], answer["price"], answer["reserved"]["cost"]) == (False, None, 0)
    answer = await settle(client, "r1", **{"gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4})
    assert (answer["priced"], answer["price"], answer["cost"], answer["tokens"]) == (False, None, 0, 7)


async def test_a_failed_request_is_not_counted_its_usage_is(client: httpx.AsyncClient):
    key = await create_key(client, **LIMITS)
    await admitted(client, key, request_id="r1", tokens=10)
    answer = await settle(client, "r1", status="failed", input_tokens=5, cost=0.1)
    assert counts(answer, "virtual_key", "requests") == (0, 0, 10)
    assert counts(answer, "virtual_key", "tokens") == (5, 0, 995)
    assert counts(answer, "virtual_key", "budget") == (0.1, 0, 9.9)


async def test_releasing_gives_everything_back(client: httpx.AsyncClient):
    key = await create_key(client, **LIMITS)
    await admitted(client, key, request_id="r1", tokens=10, cost=1)
    assert await release(client, "r1")
    assert await release(client, "r1")
    answer = await admitted(client, key)
    assert counts(answer, "virtual_key", "requests") == (1, 0, 9)
    assert counts(answer, "virtual_key", "tokens") == (0, 0, 1000)
    assert counts(answer, "virtual_key", "budget") == (0, 0, 10)


async def test_releasing_what_nobody_reserved_changes_nothing(client: httpx.AsyncClient):
    assert not await release(client, "nobody's")


async def test_what_was_settled_is_not_given_back(client: httpx.AsyncClient):
    await admitted(client, await create_key(client), request_id="r1")
    await settle(client, "r1")
    response = await call(client, "release", reservation_id="r1")
    assert refusal(response) == (409, "reservation_id")


async def test_the_same_request_again_gets_the_first_answer(make_client: MakeClient, redis_url: str):
    async with make_client(now_ms=NOW_MS) as client, make_client(now_ms=NOW_MS + 5_000) as later, make_client() as other:
        key = await create_key(client, **LIMITS)
        body: dict[str, Any] = {"request_id": "r1", "tokens": 10, "cost": 0.5}
        first = await admitted(client, key, **body)
        with readable(redis_url) as redis:
            before = values(redis)
            for one in (client, later, other):
                assert await admitted(one, key, **body) == {**first, "replayed": True}
            assert values(redis) == before

        # The key in the body and the id in a header are the same request, too.
        response = await client.post(
            "/quota/reserve",
            json={**CALL, "tokens": 10, "cost": 0.5, "virtual_key": key["value"]},
            headers={"Idempotency-Key": '"r1"'},
        )
        assert response.json() == {**first, "replayed": True}

        settled = await settle(client, "r1", input_tokens=3, cost=0.1)
        assert await admitted(other, key, **body) == {**first, "replayed": True}
        assert await settle(other, "r1", input_tokens=999, cost=9) == {**settled, "replayed": True}


@pytest.mark.parametrize("changed", [{"tokens": 11}, {"model": "o1"}, {"provider": None}, {"ttl": "1m"}, {"cost": 0.1}])
async def test_another_request_under_the_same_id_is_a_conflict(client: httpx.AsyncClient, changed: dict[str, Any]):
    key = await create_key(client)
    await admitted(client, key, request_id="r1", tokens=10)
    assert refusal(await reserve(client, key, **{"request_id": "r1", "tokens": 10, **changed})) == (409, "request_id")


async def test_another_key_with_the_same_id_is_a_conflict(client: httpx.AsyncClient):
    await admitted(client, await create_key(client), request_id="r1")
    assert refusal(await reserve(client, await create_key(client), request_id="r1")) == (409, "request_id")


async def test_a_refused_request_may_try_again_under_its_id(client: httpx.AsyncClient):
    key = await create_key(client, rate_limit=rate_limit(requests=1))
    await admitted(client, key, request_id="r1")
    await refused(client, key, request_id="r2")
    await release(client, "r1")
    assert not (await admitted(client, key, request_id="r2"))["replayed"]


async def test_a_hold_that_ran_out_is_given_back_and_late_usage_still_charged(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client, make_client(now_ms=NOW_MS + 61_000) as later:
        key = await create_key(client, rate_limit=rate_limit(tokens=100))
        await admitted(client, key, request_id="r1", tokens=100, ttl="1m")
        assert (await refused(client, key))["decision"] == "token_limited"
        assert counts(await admitted(later, key, request_id="r2", tokens=40), "virtual_key", "tokens") == (0, 40, 60)
        assert counts(await settle(later, "r1", input_tokens=30), "virtual_key", "tokens") == (30, 40, 30)


async def test_renewing_holds_on(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client, make_client(now_ms=NOW_MS + 61_000) as later:
        key = await create_key(client, rate_limit=rate_limit(tokens=100))
        await admitted(client, key, request_id="r1", tokens=100, ttl="1m")
        response = await call(client, "renew", reservation_id="r1", ttl="2m")
        assert response.json() == {"expires_at": "2030-03-17T17:48:40.000Z"}
        assert (await refused(later, key))["decision"] == "token_limited"


async def test_renewing_what_is_gone(client: httpx.AsyncClient):
    key = await create_key(client)
    assert refusal(await call(client, "renew", reservation_id="r1")) == (404, "reservation_id")
    await admitted(client, key, request_id="r1")
    await settle(client, "r1")
    assert refusal(await call(client, "renew", reservation_id="r1")) == (404, "reservation_id")


async def test_usage_nobody_reserved_is_charged_when_it_says_to_whom(client: httpx.AsyncClient):
    key = await create_key(client, **LIMITS)
    assert refusal(await call(client, "settle", reservation_id="r1", input_tokens=5)) == (404, "reservation_id")
    assert refusal(await call(client, "settle", key, reservation_id="r1", input_tokens=5)) == (404, "reservation_id")
    body: dict[str, Any] = {"reservation_id": "r1", "input_tokens": 5, "cost": 0.5, "model": "openai/gpt-4o"}
    for replayed in (False, True):
        answer = (await call(client, "settle", key, **body)).json()
        assert answer["replayed"] == replayed
        assert counts(answer, "virtual_key", "requests") == (1, 0, 9)
        assert counts(answer, "virtual_key", "tokens") == (5, 0, 995)
        assert counts(answer, "virtual_key", "budget") == (0.5, 0, 9.5)
    failed = (await call(client, "settle", key, **{**body, "reservation_id": "r2", "status": "failed"})).json()
    assert counts(failed, "virtual_key", "requests") == (1, 0, 9)
    response = await call(client, "settle", **body | {"reservation_id": "r3", "virtual_key": "sk-bf-unknown"})
    assert (response.status_code, response.json()["decision"]) == (401, "virtual_key_not_found")


async def test_usage_of_a_key_that_was_blocked_meanwhile_is_charged(client: httpx.AsyncClient):
    key = await create_key(client, is_active=False, **LIMITS)
    answer = (await call(client, "settle", key, reservation_id="r1", input_tokens=5, **CALL)).json()
    assert counts(answer, "virtual_key", "tokens") == (5, 0, 995)


async def test_a_settlement_lands_in_the_window_of_its_time(make_client: MakeClient):
    async with make_client(now_ms=NOW_MS) as client, make_client(now_ms=NOW_MS + 3_600_000) as next_hour:
        key = await create_key(client, rate_limit=rate_limit(tokens=100))
        await admitted(client, key, request_id="r1", tokens=60, ttl="2h")
        await admitted(client, key, request_id="r2", tokens=40, ttl="2h")
        await settle(client, "r2", input_tokens=40)
        answer = await settle(next_hour, "r1", input_tokens=50)
        assert counts(answer, "virtual_key", "tokens") == (50, 0, 50)
        assert limit_of(answer, "virtual_key", "tokens")["resets_at"] == "2030-03-17T19:46:40.000Z"


async def test_an_id_is_made_when_none_is_sent(client: httpx.AsyncClient):
    key = await create_key(client)
    ids = {(await admitted(client, key))["reservation_id"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    "body, param",
    [
        ({"request_id": ""}, "request_id"),
        ({"request_id": "a\nb"}, "request_id"),
        ({"request_id": "x" * 129}, "request_id"),
        ({"request_id": 5}, "request_id"),
        ({"tokens": -1}, "tokens"),
        ({"tokens": 2**53}, "tokens"),
        ({"tokens": 1.5}, "tokens"),
        ({"tokens": "5"}, "tokens"),
        ({"input_tokens": 2**53 - 1, "max_output_tokens": 1}, "max_output_tokens"),
        ({"cost": -0.1}, "cost"),
        ({"cost": 9_000_001}, "cost"),
        ({"ttl": "999ms"}, "ttl"),
        ({"ttl": "25h"}, "ttl"),
        ({"ttl": "soon"}, "ttl"),
        ({"model": ""}, "model"),
        ({"provider": "a\0b"}, "provider"),
    ],
)
@pytest.mark.parametrize("operation", ["reserve", "explain"])
async def test_wrong_members_are_named(client: httpx.AsyncClient, operation: str, body: dict[str, Any], param: str):
    assert refusal(await call(client, operation, await create_key(client), **{**CALL, **body})) == (400, param)


@pytest.mark.parametrize("operation", ["reserve", "settle", "release", "renew", "explain", "batch"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff"])
async def test_what_is_no_json_object_is_refused(client: httpx.AsyncClient, operation: str, body: bytes):
    response = await client.post(f"/quota/{operation}", content=body)
    assert response.status_code == 400


@pytest.mark.parametrize("header", ["Grüße", "voilà", '"voilà"', "Å", "😀" * 128])
async def test_an_idempotency_key_is_the_id_that_a_body_would_hold(client: httpx.AsyncClient, header: str):
    """A settle by the id that the client knows found nothing: its letters were taken for Latin-1."""
    headers = {"idempotency-key": header.encode(), "x-bf-vk": (await create_key(client))["value"]}
    response = await client.post("/quota/reserve", json=CALL, headers=headers)
    assert response.json()["reservation_id"] == header.strip('"')


@pytest.mark.parametrize("header", ['""', "", "a\tb", "x" * 129])
async def test_an_idempotency_key_must_be_an_id(client: httpx.AsyncClient, header: str):
    key = await create_key(client)
    headers = {"idempotency-key": header, "x-bf-vk": key["value"]}
    response = await client.post("/quota/reserve", json=CALL, headers=headers)
    assert refusal(response) == (400, None)
    # Whatever stands in it: no charge is lost to a header that names nothing.
    response = await client.post("/quota/reserve", json={**CALL, "request_id": "r1"}, headers=headers)
    assert response.json()["reservation_id"] == "r1"
    response = await client.post("/quota/settle", json={"reservation_id": "r1"}, headers=headers)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "body", [{"request_id": "x" * 128}, {"request_id": "Grüße, 世界 / ? #"}, {"tokens": 2**53 - 1}, {"ttl": "24h"}]
)
async def test_the_last_values_that_are_right(client: httpx.AsyncClient, body: dict[str, Any]):
    answer = await admitted(client, await create_key(client), **body)
    await settle(client, answer["reservation_id"])


async def test_the_calls_are_posts_only_and_bounded(make_client: MakeClient):
    async with make_client(max_body_bytes=1024) as client:
        response = await client.get("/quota/reserve")
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert refusal(await reserve(client, None, model="x" * 2000)) == (413, None)
