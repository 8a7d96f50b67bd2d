"""Two workers and four gateways at once: limits that admit K admit exactly K, and no trouble loses or doubles a charge."""

import contextlib
import json
import logging
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from service.store.embedded import embedded_redis
from tests.api.gateway import OPENAI, budget, rate_limit
from tests.api.load_clients import Gateways, Report
from tests.serving import Served, serve

LOG = logging.getLogger("quotad.tests.redis")
LEVELS = ("provider", "model", "config", "key", "team", "customer")
UNLIMITED = 10**9


class Admin:
    """What an operator does, over HTTP."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def __call__(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        response = self._client.request(method, path, json=body or None)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def key(self, **members: Any) -> dict[str, Any]:
        body = {"name": str(uuid.uuid4()), "provider_configs": [OPENAI], **members}
        key: dict[str, Any] = self("POST", "/virtual-keys", **body)["virtual_key"]
        return key

    def budget_of(self, key: dict[str, Any]) -> dict[str, Any]:
        shown: dict[str, Any] = self("GET", f"/virtual-keys/{key['id']}")["virtual_key"]["budgets"][0]
        return shown

    def spent_nanousd(self, key: dict[str, Any]) -> int:
        return round(float(self.budget_of(key)["current_usage"]) * 10**9)


@contextlib.contextmanager
def admin_of(url: str) -> Iterator[Admin]:
    with httpx.Client(base_url=f"{url}/api/governance", timeout=30) as client:
        yield Admin(client)


@pytest.fixture(scope="module")
def gateways() -> Iterator[Gateways]:
    started = Gateways()
    yield started
    started.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[Served]:
    """Two workers on the Redis of the tests, which is emptied once: workers do not expect it to happen while they serve."""
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
    cwd = tmp_path_factory.mktemp("served")
    with serve("--workers", "2", "--redis-url", redis_url, cwd=cwd, QUOTAD_REDIS_TIMEOUT_MS="5000") as one:
        yield one


@pytest.fixture
def admin(served: Served) -> Iterator[Admin]:
    with admin_of(served.url) as one:
        yield one


def scenario(admin: Admin, level: str, limits: dict[str, Any], number: int) -> dict[str, Any]:
    """A key of a team of a customer, bound by `limits` at one level, by looser ones at all others."""
    loose = {"rate_limit": rate_limit(requests=UNLIMITED, tokens=UNLIMITED), "budgets": [budget(1_000_000)]}
    of = {name: limits if name == level else loose for name in LEVELS}
    provider = ("azure", "anthropic", "groq", "cohere", "mistral", "xai")[number]  # openai is for the other tests
    model = f"model-{level}"
    customer = admin("POST", "/customers", name=f"customer {level}", **of["customer"])["customer"]
    team = admin("POST", "/teams", name=f"team {level}", customer_id=customer["id"], **of["team"])["team"]
    config = {**OPENAI, "provider": provider, **of["config"]}
    key = admin.key(team_id=team["id"], provider_configs=[config], **of["key"])
    admin("PUT", f"/providers/{provider}", **of["provider"])
    admin("POST", "/model-configs", model_name=model, scope="global", **of["model"])
    return {"provider": provider, "model": model, "virtual_key": key["value"]}


def usage_of(answer: dict[str, Any]) -> dict[tuple[str, str], int]:
    """Usage and holds by scope and kind, money in nano-dollars."""
    scale = {"budget": 10**9}
    return {
        (limit["scope"], limit["kind"]): round((limit["usage"] + limit["reserved"]) * scale.get(limit["kind"], 1))
        for limit in answer["limits"]
    }


def test_limits_that_admit_k_admit_exactly_k(served: Served, admin: Admin, gateways: Gateways):
    """2,000 reserves at once from four processes; each of six owners binds a third of a thousand of them."""
    chance = random.Random(1)
    admits = {level: chance.randrange(100, 250) for level in LEVELS}
    scenarios = {
        level: scenario(admin, level, {"rate_limit": rate_limit(requests=admits[level], tokens=UNLIMITED)}, number)
        for number, level in enumerate(LEVELS)
    }
    jobs = [
        {
            **scenarios[LEVELS[number % len(LEVELS)]],
            "request_id": f"r{number}",
            "tokens": chance.randrange(1, 2000),
            "cost": chance.randrange(1, 10**7) / 10**9,
        }
        for number in range(2_000)
    ]
    by_id = {job["request_id"]: job for job in jobs}
    answers = gateways.storm(served.url, "reserve", jobs)
    assert Counter(answer.status for answer in answers) == {200: sum(admits.values()), 429: 2_000 - sum(admits.values())}
    admitted = [by_id[answer.body["reservation_id"]] for answer in answers if answer.status == 200]
    of_level = {level: [job for job in admitted if job["model"] == f"model-{level}"] for level in LEVELS}
    assert {level: len(jobs) for level, jobs in of_level.items()} == admits
    assert decisions_counted(served) == {"allow": sum(admits.values()), "refuse": 2_000 - sum(admits.values())}

    # Half of the tokens are used; everything is settled twice, in any order, all at once.
    usage = [
        {"reservation_id": job["request_id"], "output_tokens": job["tokens"] // 2, "cost": job["cost"]} for job in admitted
    ] * 2
    chance.shuffle(usage)
    settled = gateways.storm(served.url, "settle", usage)
    assert {answer.status for answer in settled} == {200}
    assert Counter(answer.body["replayed"] for answer in settled) == {False: len(admitted), True: len(admitted)}

    for level, asked in scenarios.items():
        counted = usage_of(admin("POST", "/quota/explain", **asked))
        used = {
            "requests": admits[level],
            "tokens": sum(job["tokens"] // 2 for job in of_level[level]),
            "budget": sum(round(job["cost"] * 10**9) for job in of_level[level]),
        }
        scopes = {"provider", "model_config", "provider_config", "virtual_key", "team", "customer"}
        assert counted.keys() <= {(scope, kind) for scope in scopes for kind in used}
        assert {scope for scope, _ in counted} == scopes
        assert {(scope, kind): used[kind] for scope, kind in counted} == counted


def decisions_counted(served: Served) -> Counter[str]:
    """By result, of both workers, whichever of them is asked."""
    counted: Counter[str] = Counter()
    for family in text_string_to_metric_families(served.get("/metrics").text):
        for sample in family.samples:
            if sample.name == "quotad_decisions_total":
                counted[sample.labels["result"]] += int(sample.value)
    return counted


@pytest.mark.parametrize("mode", ["strict", "clamp", "postpaid"])
def test_how_far_spend_may_pass_its_limit(served: Served, admin: Admin, gateways: Gateways, mode: str):
    key = admin.key(enforcement=mode, budgets=[budget(1)])
    asked = {"provider": "openai", "virtual_key": key["value"], "cost": 0.003}
    answers = gateways.storm(served.url, "reserve", [{**asked, "request_id": f"{mode}{number}"} for number in range(500)])
    admitted = [answer.body["reservation_id"] for answer in answers if answer.status == 200]
    settled = gateways.storm(served.url, "settle", [{"reservation_id": name, "cost": 0.003} for name in admitted])
    assert {answer.status for answer in settled} == {200}
    # 333 of 3 milli-dollars fit, a 334th passes the limit by 2.
    assert len(admitted) == {"strict": 333, "clamp": 334, "postpaid": 500}[mode]
    assert admin.spent_nanousd(key) == len(admitted) * 3_000_000


def test_a_change_by_an_admin_binds_the_very_next_decision_of_both_workers(served: Served, admin: Admin):
    customer = admin("POST", "/customers", name="customer")["customer"]
    team = admin("POST", "/teams", name="team", customer_id=customer["id"])["team"]
    key = admin.key(team_id=team["id"])
    asked = {"provider": "openai", "model": "gpt-4o", "virtual_key": key["value"]}

    def decisions() -> set[str]:
        """Over connections of their own, so that both workers are asked."""
        found = set()
        for _ in range(12):
            with contextlib.closing(HTTPConnection(served.url.removeprefix("http://"), timeout=30)) as connection:
                connection.request("POST", "/api/governance/quota/explain", json.dumps(asked))
                found.add(json.loads(connection.getresponse().read())["decision"])
        return found

    def used_up() -> dict[str, Any]:
        return {"budgets": [budget(1)], "rate_limit": rate_limit(requests=1)}

    assert decisions() == {"allow"}
    for _ in range(5):
        admin("PUT", f"/virtual-keys/{key['id']}", is_active=False)
        assert decisions() == {"virtual_key_blocked"}
        admin("PUT", f"/virtual-keys/{key['id']}", is_active=True)
        assert decisions() == {"allow"}
    for path in (f"/teams/{team['id']}", f"/customers/{customer['id']}", "/providers/openai"):
        admin("PUT", path, **used_up())
        admin("POST", "/quota/reserve", **asked)
        assert decisions() == {"request_limited"}
        admin("PUT", path, rate_limit={}, budgets=[])
        assert decisions() == {"allow"}
    config = admin("POST", "/model-configs", model_name="gpt-4o", scope="global", **used_up())["model_config"]
    admin("POST", "/quota/reserve", **asked)
    assert decisions() == {"request_limited"}
    admin("DELETE", f"/model-configs/{config['id']}")
    assert decisions() == {"allow"}
    admin("DELETE", f"/virtual-keys/{key['id']}")
    assert decisions() == {"virtual_key_not_found"}


def workers_of(served: Served) -> list[int]:
    """Processes of the server that listen for HTTP: children of the command that are no Redis."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def run_through(gateways: Gateways, url: str, keys: list[dict[str, Any]], trouble: Callable[[], object]) -> Report:
    """Four gateways at work, and trouble in the midst of it."""
    futures = gateways.live(url, [key["value"] for key in keys], requests=800)
    with admin_of(url) as admin:
        while not any(admin.spent_nanousd(key) for key in keys):
            assert not all(future.done() for future in futures)
    trouble()
    report = Report()
    for future in futures:
        report.add(future.result())
    return report


def keys_of(admin: Admin) -> list[dict[str, Any]]:
    return [admin.key(budgets=[budget(1_000_000)]) for _ in range(3)]


def assert_the_ledger_is_right(admin: Admin, keys: list[dict[str, Any]], report: Report) -> None:
    assert {key["value"]: admin.spent_nanousd(key) for key in keys} == dict(report.charged)
    assert [admin.budget_of(key)["reserved"] for key in keys] == [0] * len(keys)


@pytest.mark.slow
def test_a_killed_worker_loses_nothing(served: Served, admin: Admin, gateways: Gateways):
    keys = keys_of(admin)

    def kill_both_one_after_the_other() -> None:
        for worker in workers_of(served):
            os.kill(worker, signal.SIGKILL)
            time.sleep(1)

    assert len(workers_of(served)) == 2
    report = run_through(gateways, served.url, keys, kill_both_one_after_the_other)
    assert report.unanswered
    with admin_of(served.url) as admin:
        assert_the_ledger_is_right(admin, keys, report)


@pytest.mark.slow
def test_a_server_that_is_stopped_answers_what_is_in_flight(tmp_path: Path, gateways: Gateways):
    """On data of its own: stopped by SIGTERM under load, started again on the same port, and every charge is there once."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(serve("--workers", "2", cwd=tmp_path, QUOTAD_REDIS_TIMEOUT_MS="5000"))
        with admin_of(first.url) as admin:
            keys = keys_of(admin)

        def restart() -> None:
            status, words = first.stop(signal.SIGTERM)
            assert (status, "Stopped." in words) == (0, True), words
            port = first.url.rpartition(":")[2]
            stack.enter_context(serve("--port", port, "--workers", "2", cwd=tmp_path, QUOTAD_REDIS_TIMEOUT_MS="5000"))

        report = run_through(gateways, first.url, keys, restart)
        with admin_of(first.url) as admin:
            assert_the_ledger_is_right(admin, keys, report)


def stop_and_continue(redis: Redis) -> None:
    process = redis.info("server")["process_id"]
    os.kill(process, signal.SIGSTOP)
    time.sleep(2)
    os.kill(process, signal.SIGCONT)


TROUBLES: dict[str, Callable[[Redis], object]] = {
    "scripts forgotten": lambda redis: redis.script_flush(),
    "paused": lambda redis: redis.execute_command("CLIENT", "PAUSE", "1500", "ALL"),
    "stopped": stop_and_continue,
    "killed": lambda redis: os.kill(redis.info("server")["process_id"], signal.SIGKILL),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TROUBLES)
def test_redis_in_trouble(tmp_path: Path, gateways: Gateways, name: str):
    """Only 503 within a second, recovery without a restart, and afterwards the counters equal what was acknowledged."""
    with (
        embedded_redis(tmp_path / "redis", LOG) as url,
        Redis.from_url(url) as redis,
        serve("--workers", "2", "--redis-url", url, cwd=tmp_path) as served,
        admin_of(served.url) as admin,
    ):
        keys = keys_of(admin)
        report = run_through(gateways, served.url, keys, lambda: TROUBLES[name](redis))
        assert report.unanswered == 0
        assert set(report.statuses) <= {200, 503}
        assert report.slowest_s < 1
        assert (503 in report.statuses) == (name != "scripts forgotten")
        assert_the_ledger_is_right(admin, keys, report)
        metrics = httpx.get(f"{served.url}/metrics", timeout=10).text
        assert "quotad_degraded 0.0" in metrics
        assert "quotad_reservations_open 0" in metrics
