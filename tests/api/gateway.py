"""The calls of a gateway as the tests speak them, and keys with limits to call them for."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
from redis import Redis

from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, Entity, create
from tests.api.redis_state import contents

QUOTA: Final = "/quota"
DAY_MS: Final = 86_400_000
OPENAI: Final[dict[str, Any]] = {"provider": "openai", "weight": 1, "allowed_models": ["*"], "key_ids": ["*"]}
CALL: Final[dict[str, Any]] = {"provider": "openai", "model": "gpt-4o"}


@contextmanager
def readable(redis_url: str) -> Iterator[Redis]:
    """A client for tests that look at records of reservations: not all of their bytes are text."""
    with Redis.from_url(redis_url, decode_responses=True, encoding_errors="backslashreplace") as client:
        yield client


def values(redis: Redis) -> dict[str, object]:
    """All that is stored, but for how long it still lives."""
    stored: dict[str, Any] = contents(redis)
    return {name: value for name, (_, value) in stored.items()}


def budget(dollars: float, reset_duration: str = "1d") -> dict[str, Any]:
    return {"max_limit": dollars, "reset_duration": reset_duration}


def rate_limit(*, tokens: int | None = None, requests: int | None = None, per: str = "1h") -> dict[str, Any]:
    limit: dict[str, Any] = {}
    if tokens is not None:
        limit |= {"token_max_limit": tokens, "token_reset_duration": per}
    if requests is not None:
        limit |= {"request_max_limit": requests, "request_reset_duration": per}
    return limit


async def create_key(client: httpx.AsyncClient, **members: Any) -> Entity:
    """A virtual key that may use openai, unless said otherwise."""
    return await create(client, VIRTUAL_KEYS, **{"provider_configs": [OPENAI], **members})


async def call(client: httpx.AsyncClient, operation: str, key: Entity | None = None, **body: Any) -> httpx.Response:
    headers = {"x-bf-vk": key["value"]} if key is not None else {}
    return await client.post(f"{QUOTA}/{operation}", json=body, headers=headers)


async def reserve(client: httpx.AsyncClient, key: Entity | None, **body: Any) -> httpx.Response:
    return await call(client, "reserve", key, **{**CALL, **body})


async def admitted(client: httpx.AsyncClient, key: Entity | None, **body: Any) -> dict[str, Any]:
    response = await reserve(client, key, **body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["decision"] == "allow"
    return answer


async def refused(client: httpx.AsyncClient, key: Entity | None, **body: Any) -> dict[str, Any]:
    """The body of a refusal, whose parts agree with each other and with the headers."""
    response = await reserve(client, key, **body)
    assert response.status_code in (401, 402, 403, 429), response.text
    answer: dict[str, Any] = response.json()
    assert answer["decision"] == answer["type"]
    assert answer["status_code"] == response.status_code
    assert response.headers.get("retry-after") == (str(answer["retry_after"]) if "retry_after" in answer else None)
    if "violations" in answer:
        assert answer["limit"] == answer["violations"][0]
    return answer


async def settle(client: httpx.AsyncClient, reservation_id: str, **usage: Any) -> dict[str, Any]:
    response = await call(client, "settle", reservation_id=reservation_id, **usage)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def release(client: httpx.AsyncClient, reservation_id: str) -> bool:
    response = await call(client, "release", reservation_id=reservation_id)
    assert response.status_code == 200, response.text
    return bool(response.json()["released"])


async def explain(client: httpx.AsyncClient, key: Entity | None, **body: Any) -> dict[str, Any]:
    response = await call(client, "explain", key, **{**CALL, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def limit_of(answer: dict[str, Any], scope: str, kind: str) -> dict[str, Any]:
    """The one limit of this scope and kind in an answer."""
    found = [limit for limit in answer["limits"] if (limit["scope"], limit["kind"]) == (scope, kind)]
    assert len(found) == 1, answer["limits"]
    return dict(found[0])


def counts(answer: dict[str, Any], scope: str, kind: str) -> tuple[float, float, float]:
    limit = limit_of(answer, scope, kind)
    return limit["usage"], limit["reserved"], limit["remaining"]


async def hierarchy(client: httpx.AsyncClient, **limits_by_owner: dict[str, Any]) -> Entity:
    """A key of a team of a customer; limits of `customer`, `team`, `key`, `config`, `provider`, `model`, `own_model`."""
    customer = await create(client, CUSTOMERS, **limits_by_owner.get("customer", {}))
    team = await create(client, TEAMS, customer_id=customer["id"], **limits_by_owner.get("team", {}))
    key = await create_key(
        client,
        team_id=team["id"],
        provider_configs=[{**OPENAI, **limits_by_owner.get("config", {})}],
        **limits_by_owner.get("key", {}),
    )
    if "provider" in limits_by_owner:
        response = await client.put("/providers/openai", json=limits_by_owner["provider"])
        assert response.status_code == 200, response.text
    for name, scope in (("model", {"scope": "global"}), ("own_model", {"scope": "virtual_key", "scope_id": key["id"]})):
        if name in limits_by_owner:
            body = {"model_name": CALL["model"], **scope, **limits_by_owner[name]}
            response = await client.post("/model-configs", json=body)
            assert response.status_code == 200, response.text
    return key
