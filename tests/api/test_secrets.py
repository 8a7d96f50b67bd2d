"""The value of a key is for admins and its holder: no Redis key is named after it, no log line and no error repeats it."""

import logging
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api.calls import TEAMS, VIRTUAL_KEYS, create
from tests.api.conftest import MakeClient

QUOTA = "/virtual-keys/quota"
LIMITS: dict[str, Any] = {
    "budgets": [{"max_limit": 5, "reset_duration": "1d"}],
    "rate_limit": {"token_max_limit": 5, "token_reset_duration": "1h"},
    "provider_configs": [{"provider": "openai", "budgets": [{"max_limit": 5, "reset_duration": "1d"}]}],
}
HEADERS = ["x-bf-vk", "authorization", "x-api-key", "x-goog-api-key", "api-key"]


async def use_everywhere(client: httpx.AsyncClient, value: str, key_id: str) -> list[httpx.Response]:
    """The value where it belongs and where it was put by mistake; what comes back without being meant for an admin."""
    sent = {name: f"Bearer {value}" if name == "authorization" else value for name in HEADERS}
    answers = [await client.get(QUOTA, headers={name: text}) for name, text in sent.items()]
    answers.append(await client.get(QUOTA, headers={"x-bf-vk": value + "x"}))
    wrong = f'{{"name": 5, "value": "{value}"}}'
    for path in (f"/virtual-keys/{key_id}", f"/virtual-keys/{key_id}x", "/virtual-keys", "/nowhere", QUOTA):
        methods = ("GET", "PUT", "POST", "PATCH")
        answers += [await client.request(method, path, headers=sent, content=wrong) for method in methods]
    answers.append(await client.delete(f"/virtual-keys/{key_id}x", headers=sent))
    for member in ("team_id", "customer_id", "expires_at", "budgets", "provider_configs"):
        answers.append(await client.put(f"/virtual-keys/{key_id}", json={member: value}))
        answers.append(await client.post("/virtual-keys", json={"name": "x", member: value}))
    return answers


async def test_a_value_is_never_logged_nor_repeated_nor_a_name_in_redis(
    make_client: MakeClient, redis: Redis, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    client = make_client()
    team = await create(client, TEAMS)
    key = await create(client, VIRTUAL_KEYS, team_id=team["id"], **LIMITS)
    random_part = key["value"].removeprefix("sk-bf-")
    answers = await use_everywhere(client, key["value"], key["id"])
    for answer in answers:
        shows_keys = answer.status_code == 200 and answer.request.url.path.split("/")[-1] in ("virtual-keys", key["id"])
        assert shows_keys or random_part not in answer.text, answer.request
        assert random_part not in str(answer.headers)
    assert {answer.status_code for answer in answers} == {200, 400, 401, 404, 405}
    assert random_part not in caplog.text
    listed = [*redis.scan_iter(count=1_000)]
    # Members of the sorted sets name entities too.
    listed += [member for name in listed if redis.type(name) == "zset" for member in redis.zrange(name, 0, -1)]
    assert len(listed) > 10
    assert not [name for name in listed if random_part in name or random_part.replace("-", "") in name.replace("-", "")]


async def test_a_value_is_not_logged_when_redis_is_away(make_client: MakeClient, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    client = make_client(redis_url="unix:///nowhere/redis.sock", redis_timeout_ms=50)
    value = "sk-bf-5f3d2c1b-0000-4000-8000-000000000000"
    assert (await client.get(QUOTA, headers={"x-bf-vk": value})).status_code == 503
    assert (await client.get("/virtual-keys", headers={"x-bf-vk": value})).status_code == 503
    assert (await client.post("/virtual-keys", json={"name": value, "team_id": value})).status_code == 503
    assert "503" in caplog.text
    assert value.removeprefix("sk-bf-") not in caplog.text
