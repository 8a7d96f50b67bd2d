"""An hour of real traffic (AzureLLMInferenceTrace_conv) replayed at full speed: the ledger equals the counters."""

import asyncio
import csv
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import pytest

from service.app import Application
from service.quota.sweep import sweep
from tests.api.calls import CUSTOMERS, TEAMS, create
from tests.api.conftest import MakeApp
from tests.api.gateway import budget, create_key, rate_limit

TRACE: Final = Path(__file__).parents[3] / "shared" / "traces" / "AzureLLMInferenceTrace_conv.csv"
AT_ONCE: Final = 200
SHORT_LEASE: Final = "2s"
LONGER_THAN_SHORT_S: Final = 3.5
NANOUSD_PER_INPUT_TOKEN: Final = 2_500
NANOUSD_PER_OUTPUT_TOKEN: Final = 10_000


@dataclass(frozen=True)
class Turn:
    """One row of the trace: an answer of `output_tokens` to a prompt of `input_tokens`."""

    number: int
    input_tokens: int
    output_tokens: int

    def usage(self, output_tokens: int) -> dict[str, Any]:
        return {"input_tokens": self.input_tokens, "output_tokens": output_tokens, "cost": self.nanousd(output_tokens) / 10**9}

    def nanousd(self, output_tokens: int) -> int:
        return self.input_tokens * NANOUSD_PER_INPUT_TOKEN + output_tokens * NANOUSD_PER_OUTPUT_TOKEN


@dataclass
class Ledger:
    """What was settled, and how many requests stay counted, by owner."""

    nanousd: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def charge(self, owners: tuple[str, ...], turn: Turn, output_tokens: int) -> None:
        for owner in owners:
            self.nanousd[owner] += turn.nanousd(output_tokens)
            self.tokens[owner] += turn.input_tokens + output_tokens

    def count(self, owners: tuple[str, ...], requests: int) -> None:
        for owner in owners:
            self.requests[owner] += requests


class Gateway:
    """Calls the application directly: a client would take longer than the server."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, operation: str, **body: Any) -> tuple[int, dict[str, Any]]:
        payload = orjson.dumps(body)
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": payload, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"content-length", str(len(payload)).encode())]
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"/api/governance/quota/{operation}",
            "query_string": b"",
            "headers": headers,
        }
        await self._app(scope, receive, send)
        return sent[0]["status"], orjson.loads(sent[1]["body"])


def turns() -> Iterator[Turn]:
    with TRACE.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            yield Turn(number, int(row["ContextTokens"]), int(row["GeneratedTokens"]))


async def organisation(client: httpx.AsyncClient, mode: str) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    """50 keys in 5 teams of 2 customers; some limits bind, most do not."""
    roomy = {"budgets": [budget(100_000, "1Y")], "rate_limit": rate_limit(tokens=10**12, requests=10**9, per="100h")}
    customers = [await create(client, CUSTOMERS, **roomy) for _ in range(2)]
    teams = [await create(client, TEAMS, customer_id=customers[number % 2]["id"], **roomy) for number in range(5)]
    keys: list[tuple[dict[str, Any], tuple[str, ...]]] = []
    for number in range(50):
        team = teams[number % 5]
        dollars = 0.9 if number % 10 == 3 else 100_000
        requests = 300 if number % 10 == 7 else 10**9
        key = await create_key(
            client,
            team_id=team["id"],
            enforcement=mode,
            budgets=[budget(dollars, "1Y")],
            rate_limit=rate_limit(tokens=10**12, requests=requests, per="100h"),
        )
        keys.append((key, (key["id"], team["id"], team["customer_id"])))
    return keys


@pytest.mark.slow
@pytest.mark.skipif(not TRACE.exists(), reason="the trace is not part of the repository")
@pytest.mark.parametrize("mode", ["postpaid", "clamp", "strict"])
async def test_the_ledger_equals_the_counters(client: httpx.AsyncClient, make_app: MakeApp, mode: str):
    workers = [make_app(), make_app()]
    gateways = [Gateway(app) for app in workers]
    keys = await organisation(client, mode)
    chance = random.Random(mode)
    ledger = Ledger()
    waiting = turns()
    late: list[tuple[Turn, str, tuple[str, ...]]] = []

    async def serve(turn: Turn) -> None:
        key, owners = chance.choice(keys)
        call = chance.choice(gateways)
        fate = chance.choices(
            ["settled", "cut short", "released", "failed", "late", "lost", "unreserved"], [800, 50, 50, 30, 40, 10, 20]
        )[0]
        request_id = f"turn {turn.number}"
        asked = {"provider": "openai", "model": "gpt-4o", "virtual_key": key["value"]}
        estimate = min(turn.input_tokens + 512, 8192)
        if fate == "unreserved":
            status, answer = await call("settle", reservation_id=request_id, **asked, **turn.usage(turn.output_tokens))
            assert status == 200, answer
            ledger.charge(owners, turn, turn.output_tokens)
            ledger.count(owners, 1)
            ledger.outcomes[fate] += 1
            return
        ttl = SHORT_LEASE if fate in ("lost", "late") else "10m"
        cost = (estimate - turn.input_tokens) * NANOUSD_PER_OUTPUT_TOKEN + turn.input_tokens * NANOUSD_PER_INPUT_TOKEN
        status, answer = await call(
            "reserve", request_id=request_id, tokens=max(estimate, 0), cost=max(cost, 0) / 10**9, ttl=ttl, **asked
        )
        if status != 200:
            assert status in (402, 429), answer
            ledger.outcomes["refused"] += 1
            return
        ledger.outcomes[fate] += 1
        if fate == "lost":
            ledger.count(owners, 1)  # the request stays counted
        elif fate == "late":
            late.append((turn, request_id, owners))
        elif fate == "released":
            status, answer = await chance.choice(gateways)("release", reservation_id=request_id)
            assert (status, answer) == (200, {"released": True})
        else:
            output_tokens = turn.output_tokens // 3 if fate == "cut short" else turn.output_tokens
            await settle(turn, request_id, owners, output_tokens, failed=fate == "failed")

    async def settle(turn: Turn, request_id: str, owners: tuple[str, ...], output_tokens: int, *, failed: bool = False) -> None:
        call = chance.choice(gateways)
        status = {"status": "failed"} if failed else {}
        code, answer = await call("settle", reservation_id=request_id, **turn.usage(output_tokens), **status)
        assert (code, answer["cost"]) == (200, turn.nanousd(output_tokens) / 10**9), answer
        ledger.charge(owners, turn, output_tokens)
        ledger.count(owners, 0 if failed else 1)

    async def work() -> None:
        for turn in waiting:
            await serve(turn)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await asyncio.sleep(LONGER_THAN_SHORT_S)
    for worker in workers:
        await sweep(worker.services.enforcer)
    for turn, request_id, owners in late:
        await settle(turn, request_id, owners, turn.output_tokens)

    assert sum(ledger.outcomes.values()) == 19_366
    assert set(ledger.outcomes) == {"settled", "cut short", "released", "failed", "late", "lost", "unreserved", "refused"}
    counted = Ledger()
    for path, member in (("virtual-keys", "virtual_keys"), (TEAMS, "teams"), (CUSTOMERS, "customers")):
        for owner in (await client.get(f"/{path}")).json()[member]:
            (spent,), limit = owner["budgets"], owner["rate_limit"]
            assert (spent["reserved"], limit["token_reserved"]) == (0, 0)
            counted.nanousd[owner["id"]] = round(spent["current_usage"] * 10**9)
            counted.tokens[owner["id"]] = limit["token_current_usage"]
            counted.requests[owner["id"]] = limit["request_current_usage"]
    assert counted.nanousd == ledger.nanousd
    assert counted.tokens == ledger.tokens
    assert counted.requests == ledger.requests
