"""Load tests with Locust: scenarios as tags, shapes by option; prints whether limits held, and removes what it made.

locust -f bench/locustfile.py --host http://127.0.0.1:8080 --headless -u 20 -t 30s --tags reserve_settle
Tokens: QUOTAD_ADMIN_TOKEN, QUOTAD_GATEWAY_TOKEN. Locust is itself the bottleneck: `python -m bench` finds ceilings.
"""

import heapq
import math
import random
import signal
import time
import uuid
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import gevent  # type: ignore[import-untyped]
from load_shapes import SHAPES
from load_tenants import ADMIN, ENDLESS, FAILURES, GATEWAY, GOVERNANCE, Account, Limits, Tenant, Tenants
from locust import FastHttpUser, constant, events, tag, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner
from traffic_quantiles import CHAT, CODE
from traffic_replay import Replay, drawn_arrivals, replayed

INPUT_TOKENS: Final = 1_100
OUTPUT_TOKENS: Final = 210
"""About the medians of the traces in traffic_quantiles.py, chat and code together."""
BATCHED: Final = 25
"""Reserves in one batch, beside as many settles."""
FEW_KEYS: Final = 100
SOME_KEYS: Final = 1_000
MANY_KEYS: Final = 100_000
STREAMED_PER_SECOND: Final = 50
"""Tokens that a simulated model generates at speed 1."""
FINISH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Run:
    tenants: Tenants
    replay: Replay


_runs: dict[Environment, Run] = {}
"""The one under way."""

FAILED: Final = "quotad_failed"
"""A worker tells the master, whose exit status is that of the run."""

SCENARIOS: Final = ("quota_read", "reserve_settle", "hot_tenant", "spread", "refused", "batch", "admin", "trace")


def chosen(options: Namespace) -> list[str]:
    """The same choice that Locust makes among tasks."""
    wanted, unwanted = set(options.tags or SCENARIOS), set(options.exclude_tags or ())
    return [scenario for scenario in SCENARIOS if scenario in wanted - unwanted]


def planned(scenario: str, options: Namespace) -> tuple[int, Limits]:
    """How many keys, and what each may use."""
    if scenario == "hot_tenant":
        requests = options.limit or ENDLESS
        return 1, Limits(requests, min(ENDLESS, requests * (INPUT_TOKENS + OUTPUT_TOKENS)))
    if scenario == "refused":
        return FEW_KEYS, Limits(requests=1, used=1)
    return (spread_over(options) if scenario == "spread" else FEW_KEYS), Limits()


def spread_over(options: Namespace) -> int:
    """Very many where that is what was asked for; making and removing them takes minutes."""
    return options.keys or (MANY_KEYS if "spread" in (options.tags or ()) else SOME_KEYS)


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: LocustArgumentParser) -> None:
    def count(text: str) -> int:
        if (number := int(text)) < 0:
            raise ValueError(text)
        return number

    def speed(text: str) -> float:
        if not 0 < (number := float(text)) < math.inf:
            raise ValueError(text)
        return number

    group = parser.add_argument_group("quotad")
    group.add_argument(
        "--keys", type=count, default=0, help="Virtual keys of the scenario spread (100,000 by its tag, else 1,000)"
    )
    group.add_argument("--limit", type=count, default=10_000, help="Requests that hot_tenant's key may make; 0: endless")
    group.add_argument("--trace", default="", metavar="FILE", help="CSV: TIMESTAMP,ContextTokens,GeneratedTokens; else drawn")
    group.add_argument("--trace-speed", type=speed, default=1.0, help="How many times as fast as recorded")
    group.add_argument("--shape", choices=("", *SHAPES), default="", help="How many users when, up to -u within -t")


@events.init.add_listener  # type: ignore[untyped-decorator]
def choose_shape(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    # A call cut off when a user is stopped would be counted by quotad only.
    environment.stop_timeout = environment.stop_timeout or FINISH_SECONDS
    if options is not None and options.shape:
        environment.shape_class = SHAPES[options.shape]()
        environment.shape_class.runner = environment.runner
    if isinstance(environment.runner, MasterRunner):
        environment.runner.register_message(FAILED, fail)
    if options is not None and options.headless and isinstance(environment.runner, LocalRunner):
        # Locust listens to it only later.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        # Now, because --run-time is counted from here.
        prepare(environment)


def fail(environment: Environment, **_: Any) -> None:
    environment.process_exit_code = 1
    if isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message(FAILED)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def prepare(environment: Environment, **_: Any) -> None:
    """Every worker has keys of its own."""
    options = environment.parsed_options
    if options is None or environment in _runs or isinstance(environment.runner, MasterRunner):
        return
    try:
        scenarios = chosen(options)
        if not scenarios:
            raise ValueError(f"the tags leave none of {', '.join(SCENARIOS)}")
        _runs[environment] = run = _opened(environment.host or "", options)
        for scenario in scenarios:
            if scenario != "admin":
                count, limits = planned(scenario, options)
                print(f"{scenario}: making {count:,} keys", flush=True)
                run.tenants.make(scenario, count, limits)
    except (*FAILURES, KeyboardInterrupt) as failure:
        fail(environment)
        finish(environment)
        raise SystemExit(f"nothing to test with: {str(failure) or 'stopped'}") from failure


def _opened(host: str, options: Namespace) -> Run:
    chance = random.Random()
    arrivals = (
        replayed(Path(options.trace)) if options.trace else heapq.merge(*(drawn_arrivals(of, chance) for of in (CHAT, CODE)))
    )
    return Run(Tenants(host), Replay(arrivals, options.trace_speed))


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def stop_and_finish(environment: Environment, **_: Any) -> None:
    """Ctrl-C comes here first: keys must not be removed from under users who still call."""
    runner = environment.runner
    if isinstance(runner, LocalRunner) and runner.state in ("spawning", "running"):
        runner.stop()
    finish(environment)


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def finish(environment: Environment, **_: Any) -> None:
    run = _runs.pop(environment, None)
    if run is None:
        return
    try:
        accounts = run.tenants.accounts()
        print_accounts(accounts)
        if run.replay.begun:
            replay = run.replay
            print(
                f"trace: {replay.begun:,} requests, {replay.late:,} of them late, by {replay.latest:.1f} s at worst (more users?)"
            )
        if not all(account.exact for account in accounts):
            fail(environment)
    except FAILURES as failure:
        fail(environment)
        print(f"NOT KNOWN whether limits held, the service does not say: {failure}", flush=True)
    try:
        run.tenants.remove()
    except FAILURES as failure:
        fail(environment)
        print(f"keys, teams and customers named {run.tenants.name}-... are left behind: {failure}", flush=True)


def print_accounts(accounts: list[Account]) -> None:
    heads = ("asked", "admitted", "refused", "unanswered", "expected", "counted", "settled tokens", "counted tokens", "overspend")
    print(f"\n{'scenario':<16}" + "".join(f"{head:>16}" for head in heads))
    for one in accounts:
        numbers = (one.asked, one.admitted, one.refused, one.unanswered, one.expected, one.counted, one.settled_tokens)
        figures = [*(f"{number:,}" for number in (*numbers, one.counted_tokens))]
        overspend = f"{one.overspent_requests} requests, {one.overspent_tokens} tokens, ${one.overspent_dollars:g}"
        print(f"{one.scenario:<16}" + "".join(f"{figure:>16}" for figure in figures) + f"       {overspend}")
    for one in accounts:
        print(f"{one.scenario}: {one.verdict}", flush=True)


class Client(FastHttpUser):
    """A gateway, the holder of a key or an administrator, by scenario."""

    wait_time = constant(0)

    def on_start(self) -> None:
        self._unsettled: list[tuple[str, Tenant]] = []
        self._run = _runs[self.environment]

    def on_stop(self) -> None:
        if self._unsettled:
            self._send_batch([])

    @tag("quota_read")
    @task
    def quota_read(self) -> None:
        self.client.get(f"{GOVERNANCE}/virtual-keys/quota", headers={"x-bf-vk": self._one_of("quota_read").value}, name="quota")

    @tag("reserve_settle")
    @task
    def reserve_settle(self) -> None:
        tenant = self._one_of("reserve_settle")
        if request_id := self._reserve(tenant, "reserve_settle", INPUT_TOKENS, 2 * OUTPUT_TOKENS):
            self._settle(tenant, "reserve_settle", request_id, INPUT_TOKENS, OUTPUT_TOKENS)

    @tag("hot_tenant")
    @task
    def hot_tenant(self) -> None:
        self._exactly("hot_tenant")

    @tag("spread")
    @task
    def spread(self) -> None:
        self._exactly("spread")

    @tag("refused")
    @task
    def refused(self) -> None:
        self._exactly("refused")

    @tag("batch")
    @task
    def batch(self) -> None:
        self._send_batch([(str(uuid.uuid4()), self._one_of("batch")) for _ in range(BATCHED)])

    @tag("admin")
    @task
    def admin(self) -> None:
        name = f"{self._run.tenants.name}-admin-{uuid.uuid4()}"
        provider = {"provider": "openai", "weight": 1.0, "allowed_models": ["*"], "key_ids": ["*"]}
        customer = self._administer("POST", "/customers", {"name": name})
        if customer is None:
            return
        customer_path = f"/customers/{customer['customer']['id']}"
        content = {"name": name, "customer_id": customer["customer"]["id"], "provider_configs": [provider]}
        if key := self._administer("POST", "/virtual-keys", content):
            key_path = f"/virtual-keys/{key['virtual_key']['id']}"
            self._administer("GET", key_path)
            self._administer("GET", "/virtual-keys?limit=25")
            self._administer("PUT", key_path, {"budgets": [{"max_limit": 5, "reset_duration": "1d"}]})
            self._administer("DELETE", key_path)
        self._administer("DELETE", customer_path)

    @tag("trace")
    @task
    def trace(self) -> None:
        """Reserve, a stream, settle. A stream that is cut short, because the run ends, is settled with what it used."""
        replay, tenant = self._run.replay, self._one_of("trace")
        arrival, due = replay.next()
        if not self._slept_until(due):
            return
        replay.begin(due)
        # What may be generated is rarely known better than by its order of magnitude.
        most = max(256, 1 << (arrival.generated_tokens - 1).bit_length())
        request_id = self._reserve(tenant, "trace", arrival.context_tokens, most)
        if request_id is None:
            return
        per_second = STREAMED_PER_SECOND * replay.speed
        begun = time.monotonic()
        streamed = 0
        try:
            if self._slept_until(begun + arrival.generated_tokens / per_second):
                streamed = arrival.generated_tokens
        finally:
            streamed = streamed or min(arrival.generated_tokens, int((time.monotonic() - begun) * per_second))
            self._settle(tenant, "trace", request_id, arrival.context_tokens, streamed)

    def _one_of(self, scenario: str) -> Tenant:
        return random.choice(self._run.tenants[scenario])

    def _exactly(self, scenario: str) -> None:
        """Uses as much as was reserved, so that in the end a limit is used up to its last token."""
        tenant = self._one_of(scenario)
        if request_id := self._reserve(tenant, scenario, INPUT_TOKENS, OUTPUT_TOKENS):
            self._settle(tenant, scenario, request_id, INPUT_TOKENS, OUTPUT_TOKENS)

    def _reserve(self, tenant: Tenant, scenario: str, context: int, most: int) -> str | None:
        """The id of the reservation, when admitted. Refusals are answers, shown in a row of their own."""
        request_id = str(uuid.uuid4())
        tenant.asked += 1
        body = _reserve_body(request_id, context, most)
        headers = {**GATEWAY, "x-bf-vk": tenant.value}
        name = f"{scenario} reserve"
        path = f"{GOVERNANCE}/quota/reserve"
        with self.client.post(path, json=body, headers=headers, name=name, catch_response=True) as answer:
            if answer.status_code == 200:
                tenant.admitted += 1
                answer.request_meta["name"] += " (admitted)"
                return request_id
            if answer.status_code in (402, 429):
                if stranger := _stranger_in(answer.json()):
                    tenant.asked -= 1
                    return answer.failure(stranger)
                tenant.refused += 1
                answer.request_meta["name"] += " (refused)"
                answer.success()
        return None

    def _settle(self, tenant: Tenant, scenario: str, request_id: str, context: int, generated: int) -> None:
        body = {"reservation_id": request_id, "input_tokens": context, "output_tokens": generated}
        name = f"{scenario} settle"
        with self.client.post(f"{GOVERNANCE}/quota/settle", json=body, headers=GATEWAY, name=name, catch_response=True) as answer:
            if answer.status_code == 200:
                tenant.settled_tokens += context + generated

    def _send_batch(self, reserved: list[tuple[str, Tenant]]) -> None:
        """Reserves these, settles those of the batch before."""
        settled, self._unsettled = self._unsettled, []
        operations = [
            {"op": "reserve", "virtual_key": tenant.value, **_reserve_body(request_id, INPUT_TOKENS, OUTPUT_TOKENS)}
            for request_id, tenant in reserved
        ]
        used = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}
        operations += [{"op": "settle", "reservation_id": request_id, **used} for request_id, _ in settled]
        for _, tenant in reserved:
            tenant.asked += 1
        body, name = {"operations": operations}, "batch" if reserved else "batch (last settles)"
        with self.client.post(f"{GOVERNANCE}/quota/batch", json=body, headers=GATEWAY, name=name, catch_response=True) as answer:
            if answer.status_code != 200:
                return
            results = answer.json()["results"]
            statuses = [result["status"] for result in results]
            strangers = [_stranger_in(result["body"]) for result in results]
            for (request_id, tenant), status, stranger in zip(reserved, statuses, strangers, strict=False):
                tenant.admitted += status == 200
                tenant.refused += status in (402, 429) and not stranger
                tenant.asked -= bool(stranger)
                if status == 200:
                    self._unsettled.append((request_id, tenant))
            for (_, tenant), status in zip(settled, statuses[len(reserved) :], strict=True):
                tenant.settled_tokens += (INPUT_TOKENS + OUTPUT_TOKENS) * (status == 200)
            if wrong := [status for status in statuses if status not in (200, 402, 429)]:
                answer.failure(f"{len(wrong)} operations failed, the first with {wrong[0]}")
            elif stranger := next(filter(None, strangers), None):
                answer.failure(stranger)

    def _administer(self, method: str, path: str, content: dict[str, Any] | None = None) -> dict[str, Any] | None:
        name = f"admin {path.split('?')[0].split('/')[1]}"
        with self.client.request(
            method, GOVERNANCE + path, json=content, headers=ADMIN, name=name, catch_response=True
        ) as answer:
            if answer.status_code in (200, 201):
                made: dict[str, Any] = answer.json()
                return made
        return None

    def _slept_until(self, moment: float) -> bool:
        """False when the run ends before."""
        while (rest := moment - time.monotonic()) > 0:
            if self.environment.runner is None or self.environment.runner.state in ("stopping", "stopped", "cleanup"):
                return False
            gevent.sleep(min(rest, 0.1))
        return True


def _stranger_in(refusal: dict[str, Any]) -> str | None:
    """The limit of a provider or model that refused: it is none of this run's, so it says nothing about exactness."""
    limit = refusal.get("limit")
    if limit is None or limit["scope"] not in ("provider", "model_config"):
        return None
    return f"refused by the limit of {limit['scope']} {limit['owner_id']}: this run did not make it"


def _reserve_body(request_id: str, context: int, most: int) -> dict[str, Any]:
    return {"provider": "openai", "model": "gpt-4o", "request_id": request_id, "input_tokens": context, "max_output_tokens": most}
