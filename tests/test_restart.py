"""`quotad serve` with a Redis of its own: stopped, killed and started again, it knows everything it ever acknowledged."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import httpx
from redis import Redis

from service.store.data_directory import running_embedded_redis
from tests.api.redis_process import eventually
from tests.serving import Served, serve
from tests.store.consistency import assert_consistent
from tests.store.stored_counters import UNDECODED

ADMIN = "/api/governance"
DAY = {"max_limit": 10.5, "reset_duration": "1d"}
LIMITS: dict[str, Any] = {
    "budgets": [DAY, {"max_limit": 1e-9, "reset_duration": "1M", "calendar_aligned": True}],
    "rate_limit": {"token_max_limit": 2**53 - 1, "token_reset_duration": "1w"},
}
LISTS = ("virtual-keys", "teams", "customers", "budgets", "rate-limits", "routing-rules", "model-configs", "providers")


class Admin:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def send(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        answer = self._client.request(method, path, json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer

    def create(self, path: str, **members: Any) -> dict[str, Any]:
        (entity,) = (value for value in self.send("POST", path, members).json().values() if isinstance(value, dict))
        return dict(entity)

    def fill(self, turn: int) -> None:
        """Of everything something, some of it changed and deleted again."""
        customer = self.create("/customers", name=f"Ünïcode 🔑 {turn}", **LIMITS)
        team = self.create("/teams", name=f"team {turn}", customer_id=customer["id"], calendar_aligned=True, **LIMITS)
        configs = [{"provider": name, "weight": 0.1 + 0.2, **LIMITS} for name in ("openai", "azure")]
        key = self.create("/virtual-keys", name=f"key {turn}", team_id=team["id"], provider_configs=configs, **LIMITS)
        self.create("/model-configs", model_name=f"m {turn}", scope="virtual_key", scope_id=key["id"], **LIMITS)
        self.create("/model-configs", model_name=f"m {turn}", **LIMITS)
        rule = {"cel_expression": "budget_used > 80", "scope": "team", "scope_id": team["id"], "targets": [{"weight": 1}]}
        self.create("/routing-rules", name="rule", priority=-turn, query={"ä": [1, 2.5, None]}, **rule)
        patch = {"input_cost_per_token": 1.25e-06}
        override = {"scope_kind": "global", "match_type": "wildcard", "pattern": "*", "request_types": ["rerank"], "patch": patch}
        self.create("/pricing-overrides", name="override", **override)
        self.send("PUT", "/providers/openai", LIMITS)
        self.send("PUT", f"/teams/{team['id']}", {"budgets": [DAY]})
        gone = self.create("/virtual-keys", name=f"gone {turn}", **LIMITS)
        self.send("DELETE", f"/virtual-keys/{gone['id']}")

    def everything(self) -> dict[str, bytes]:
        """All there is to read, as it is on the wire."""
        answers = {path: self.send("GET", f"/{path}").content for path in (*LISTS, "pricing-overrides")}
        for collection in ("virtual-keys", "teams", "customers", "routing-rules", "model-configs"):
            listed = json.loads(answers[collection])
            rows = listed[{"routing-rules": "rules"}.get(collection, collection.replace("-", "_"))]
            assert rows, collection
            for row in rows:
                path = f"{collection}/{row['id']}"
                answers[path] = self.send("GET", f"/{path}").content
                if "value" in row:
                    answers[f"quota of {row['id']}"] = self.send(
                        "GET", "/virtual-keys/quota", **{"x-bf-vk": row["value"]}
                    ).content
        return answers


def to(served: Served) -> httpx.Client:
    return httpx.Client(base_url=served.url + ADMIN, timeout=10)


def of_its_redis(data: Path) -> "Redis":
    url = running_embedded_redis(data)
    assert url is not None
    return Redis.from_url(url, decode_responses=True, encoding_errors=UNDECODED)


def is_written(redis: Redis) -> bool:
    """All that was acknowledged is in the file: within a second, says appendfsync everysec."""
    state = redis.info("persistence")
    return (state["aof_buffer_length"], state["aof_pending_bio_fsync"], state["aof_last_write_status"]) == (0, 0, "ok")


def stop(served: Served, redis: Redis) -> None:
    status, said = served.stop(signal.SIGTERM)
    assert (status, said.strip().splitlines()[-1]) == (0, "Stopped.")


def kill(served: Served, redis: Redis) -> None:
    eventually(lambda: is_written(redis))
    served.process.kill()


def kill_both(served: Served, redis: Redis) -> None:
    eventually(lambda: is_written(redis))
    os.kill(redis.info("server")["process_id"], signal.SIGKILL)
    served.process.kill()


def test_everything_is_there_however_it_ended(tmp_path: Path):
    known: dict[str, bytes] = {}
    for turn, end in enumerate((stop, kill, kill_both, stop)):
        with (
            serve("--data-dir", "data", cwd=tmp_path) as served,
            of_its_redis(tmp_path / "data") as redis,
            to(served) as client,
        ):
            admin = Admin(client)
            if known:
                assert admin.everything() == known, f"after {end.__name__}"
            admin.fill(turn)
            known = admin.everything()
            assert_consistent(redis)
            end(served, redis)


def test_killed_while_admins_write(tmp_path: Path):
    """What was acknowledged is there; what was not is there whole or not at all."""
    acknowledged: list[str] = []
    with serve("--data-dir", "data", cwd=tmp_path) as served:
        with of_its_redis(tmp_path / "data") as redis:
            pid = redis.info("server")["process_id"]
        with to(served) as client:
            for number in range(200):
                if number == 150:
                    os.kill(pid, signal.SIGKILL)
                    os.kill(served.process.pid, signal.SIGKILL)
                try:
                    answer = client.post("/teams", json={"name": f"{number}", **LIMITS})
                except httpx.HTTPError:
                    continue
                if answer.status_code == 200:
                    acknowledged.append(answer.json()["team"]["id"])
        served.process.wait()
    assert len(acknowledged) >= 150
    with serve("--data-dir", "data", cwd=tmp_path) as served, to(served) as client:
        teams = client.get("/teams").json()["teams"]
        assert {*acknowledged} <= {team["id"] for team in teams}
        with of_its_redis(tmp_path / "data") as redis:
            assert_consistent(redis)
