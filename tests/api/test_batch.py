"""batch: many calls in one request, each answered as if it were alone."""

import asyncio
from typing import Any

import httpx
import pytest

from service.api import calls
from service.models.enforcement import ReserveRequest
from service.quota.enforcer import BATCHES_AT_ONCE, Enforcer
from service.quota.reserve import reserve
from tests.api.gateway import CALL, admitted, call, counts, create_key, explain, rate_limit


async def batch(client: httpx.AsyncClient, key: dict[str, Any] | None, *operations: Any) -> list[tuple[int, dict[str, Any]]]:
    response = await call(client, "batch", key, operations=list(operations))
    assert response.status_code == 200, response.text
    return [(result["status"], result["body"]) for result in response.json()["results"]]


async def test_results_come_in_the_order_of_the_operations(client: httpx.AsyncClient):
    key = await create_key(client, rate_limit=rate_limit(requests=2, tokens=100))
    results = await batch(
        client,
        key,
        {"op": "reserve", **CALL, "request_id": "a", "tokens": 10},
        {"op": "explain", **CALL},
        {"op": "reserve", **CALL, "request_id": "b", "tokens": 10},
        {"op": "reserve", **CALL, "request_id": "c", "tokens": 10},
        {"op": "settle", "reservation_id": "a", "input_tokens": 5},
        {"op": "release", "reservation_id": "b"},
        {"op": "renew", "reservation_id": "nobody's"},
    )
    assert [status for status, _ in results][3] == 429
    assert [status for status, _ in results[:3] + results[4:]] == [200, 200, 200, 200, 200, 404]
    assert results[0][1]["reservation_id"] == "a"
    assert results[4][1]["tokens"] == 5
    assert results[5][1] == {"released": True}
    answer = await explain(client, key)
    assert counts(answer, "virtual_key", "requests") == (1, 0, 1)
    assert counts(answer, "virtual_key", "tokens") == (5, 0, 95)


async def test_calls_of_one_reservation_run_in_their_order(client: httpx.AsyncClient):
    key = await create_key(client, rate_limit=rate_limit(tokens=1000))
    for _ in range(5):
        operations = []
        for number in range(20):
            name = f"{_}-{number}"
            operations += [
                {"op": "reserve", **CALL, "request_id": name, "tokens": 10},
                {"op": "renew", "reservation_id": name},
                {"op": "settle", "reservation_id": name, "output_tokens": 1},
                {"op": "release", "reservation_id": name},
            ]
        results = await batch(client, key, *operations)
        assert [status for status, _ in results] == [200, 200, 200, 409] * 20
    assert counts(await explain(client, key), "virtual_key", "tokens") == (100, 0, 900)


async def test_alone_or_in_a_batch_a_request_is_the_same_request(client: httpx.AsyncClient):
    key = await create_key(client)
    body = {**CALL, "request_id": "a", "cost": 1, "headers": {"Tier": "gold"}}
    first = await admitted(client, key, **body)
    [(status, again)] = await batch(client, key, {"op": "reserve", **body})
    assert (status, again) == (200, {**first, "replayed": True})


async def test_one_bad_item_does_not_spoil_the_others(client: httpx.AsyncClient):
    key = await create_key(client)
    results = await batch(
        client,
        key,
        {"op": "reserve", **CALL, "tokens": -1},
        {"op": "reserve", **CALL, "tokens": 10**30},
        {"op": "dance"},
        {"op": 5},
        {},
        {"op": "batch", "operations": []},
        {"op": "settle"},
        {"op": "reserve", **CALL},
    )
    assert [status for status, _ in results] == [400] * 7 + [200]
    assert [body["error"].get("param") for status, body in results if status == 400] == [
        "tokens",
        "tokens",
        "op",
        "op",
        "op",
        "op",
        "reservation_id",
    ]


@pytest.mark.parametrize("member", ['"cost": 1e400', '"tokens": 1e400', '"cost": -1e400', '"x": 1e400, "cost": -1'])
async def test_a_number_too_large_to_be_one_is_not_left_out(client: httpx.AsyncClient, member: str):
    """Left out, a cost would follow from the price of the model, or be nothing."""
    key = await create_key(client)
    body = f'{{"operations": [{{"op": "reserve", "provider": "openai", {member}}}, {{"op": "reserve", "provider": "openai"}}]}}'
    response = await client.post("/quota/batch", content=body, headers={"x-bf-vk": key["value"]})
    assert [result["status"] for result in response.json()["results"]] == [400, 200]


async def test_each_may_name_a_key_of_its_own(client: httpx.AsyncClient):
    key, other = await create_key(client), await create_key(client)
    results = await batch(client, key, {"op": "reserve", **CALL}, {"op": "reserve", **CALL, "virtual_key": other["value"]})
    assert [body["virtual_key"]["id"] for _, body in results] == [key["id"], other["id"]]


async def test_an_idempotency_key_is_no_id_for_all(client: httpx.AsyncClient):
    key = await create_key(client)
    body = {"operations": [{"op": "reserve", **CALL}, {"op": "reserve", **CALL, "tokens": 5}]}
    response = await client.post("/quota/batch", json=body, headers={"x-bf-vk": key["value"], "idempotency-key": "same"})
    assert [result["status"] for result in response.json()["results"]] == [200, 200]


@pytest.mark.parametrize("count, status", [(0, 200), (256, 200), (257, 400)])
async def test_how_many(client: httpx.AsyncClient, count: int, status: int):
    key = await create_key(client, rate_limit=rate_limit(requests=100))
    response = await call(client, "batch", key, operations=[{"op": "reserve", **CALL}] * count)
    assert response.status_code == status
    if count == 256:
        # Together, and still not one too many.
        assert [result["status"] for result in response.json()["results"]].count(200) == 100


@pytest.mark.parametrize("operations", ["text", {"op": "reserve"}, 1])
async def test_operations_are_a_list(client: httpx.AsyncClient, operations: Any):
    assert (await call(client, "batch", operations=operations)).status_code == 400


@pytest.mark.parametrize("wrong", [1, "reserve", None, [], True])
async def test_what_is_no_object_is_answered_alone(client: httpx.AsyncClient, wrong: Any):
    key = await create_key(client)
    (status, answer), (other, _) = await batch(client, key, wrong, {"op": "reserve", **CALL})
    assert (status, answer["error"]["message"], other) == (400, "an operation must be an object", 200)


async def test_a_missing_key_is_a_refusal_of_the_item(client: httpx.AsyncClient):
    await admitted(client, await create_key(client))
    ((status, body),) = await batch(client, None, {"op": "reserve", **CALL})
    assert (status, body["decision"]) == (401, "virtual_key_required")


async def test_a_mistake_of_ours_in_one_item_is_that_item_s(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_: object) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(calls, "release", broken)
    key = await create_key(client)
    results = await batch(client, key, {"op": "release", "reservation_id": "a"}, {"op": "reserve", **CALL})
    assert [status for status, _ in results] == [500, 200]
    assert "secret" not in str(results[0])


async def test_batches_take_turns_so_that_single_calls_do_not_wait_for_all_of_them(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
):
    """Batches are held up before they ask Redis: those that wait for their turn do not even come there."""
    key = await create_key(client)
    held_up: list[str] = []
    enough, may_go = asyncio.Event(), asyncio.Event()

    async def hold_up(enforcer: Enforcer, request: ReserveRequest, key_value: str | None, request_id: str, **how: Any) -> Any:
        if request_id != "single":
            held_up.append(request_id)
            if len(held_up) == BATCHES_AT_ONCE:
                enough.set()
            await may_go.wait()
        return await reserve(enforcer, request, key_value, request_id, **how)

    monkeypatch.setattr(calls, "reserve", hold_up)
    batches = [asyncio.ensure_future(batch(client, key, {"op": "reserve", **CALL})) for _ in range(3 * BATCHES_AT_ONCE)]
    await enough.wait()
    await admitted(client, key, request_id="single")
    assert len(held_up) == BATCHES_AT_ONCE
    may_go.set()
    assert [status for answers in await asyncio.gather(*batches) for status, _ in answers] == [200] * len(batches)
