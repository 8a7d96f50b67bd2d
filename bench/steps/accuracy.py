"""Accuracy beside speed: 64 callers at once through two workers; who got in, what was spent, what was left unused."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from bench.context import Context, Options
from bench.findings import Cell, Table
from bench.plain_http import Answer, Connection, connections
from bench.redis_cost import measured_cost
from bench.scenarios import RESERVE_SETTLE
from bench.scenarios.scenario import GATEWAY
from bench.seed import create_key
from bench.traffic import GATEWAY_PATH, get, post
from bench.world import ENDLESS, ENDLESS_DOLLARS, MODEL, budget, rate_limit

_CALLERS: Final = 64
_PROVIDER: Final = "mistral"
"""A provider of its own: its limits are nobody else's."""
_TOKENS: Final = 1_030
_TOKEN_LIMIT: Final = 100_000
_DOLLARS: Final = 0.0103
_DOLLAR_LIMIT: Final = 1.0
_REQUESTS: Final = 200
_BATCHED: Final = 10
_GRANTED_BY_STRICT: Final = _TOKEN_LIMIT // _TOKENS
_SECONDS: Final = 12
"""Of a busy machine, when all turns are taken."""

_numbers = count()


@dataclass(slots=True)
class _Tally:
    admitted: int = 0
    refused: int = 0
    used_at_refusal: list[float] = field(default_factory=list)
    """Share of the limit that was taken when somebody was refused."""

    def add(self, status: int, body: Any) -> bool:
        if status == 200:
            self.admitted += 1
            return True
        if status not in (402, 429):
            raise RuntimeError(f"neither admitted nor refused: {status} {body}")
        self.refused += 1
        violated = body["limit"] if isinstance(body, dict) else None
        if violated is not None:
            self.used_at_refusal.append((violated["usage"] + violated["reserved"]) / violated["limit"])
        return False


Call = Callable[[Connection, str, _Tally], Awaitable[None]]
"""One turn of one caller with a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    scenario: str
    what: str
    mode: str
    limits: dict[str, Any]
    limit: float
    each: float = 1
    """What an admitted call uses of it."""
    turns: int
    expected: tuple[int, int]
    """How many may be admitted: at least, at most."""
    call: Call
    keys: int = 1
    spent: Callable[[dict[str, Any]], float]
    """What a key has used, from its own view of its quota."""


def planned_s(options: Options) -> float:
    return 4 + _SECONDS * options.crowding


def measure(context: Context) -> None:
    context.progress.step("accuracy of limits")
    rows: list[list[Cell]] = []
    overspent = 0.0
    surprises: list[str] = []
    with context.two_workers() as server:
        for case in _cases():
            keys = [_key(server.url, case) for _ in range(case.keys)]
            with measured_cost(context.world.redis) as cost:
                tally, excess = asyncio.run(_run(server.url, case, keys, context.options.crowding))
            overspent += excess if case.mode == "strict" else 0
            least, most = case.expected
            expected = f"{least}" if least == most else f"{least} to {most}"
            if not least <= tally.admitted <= most:
                surprises.append(f"{case.scenario}, {case.what}, {case.mode}: {tally.admitted} admitted, expected {expected}")
            share = f"{min(tally.used_at_refusal):.1%}" if tally.used_at_refusal else None
            decisions = tally.admitted + tally.refused
            each = (cost[0].commands / decisions, (cost[0].bytes_in + cost[0].bytes_out) / decisions)
            counted = (tally.admitted, tally.refused, expected, excess, share)
            rows.append([case.scenario, case.what, case.mode, *counted, round(each[0], 1), round(each[1])])
    columns = ("scenario", "limit", "mode", "admitted", "refused", "expected", "overspent", "limit in use at first refusal")
    note = (
        f"{_CALLERS} callers at once, two workers. Expected: how many may be admitted. Overspent: by what callers were admitted "
        "for, or by what quotad has counted, whichever is more. Admitted calls are settled with what they were estimated to use, "
        "but for authorize and batch. Commands, those inside scripts too, and bytes to and from Redis are for each call that "
        "asked for admission, its settlement included."
    )
    context.findings.tables.append(
        Table("Accuracy", (*columns, "Redis commands per decision", "Redis bytes per decision"), rows, note)
    )
    context.findings.measured("overspend", overspent)
    if surprises:
        raise RuntimeError("; ".join(surprises))


async def _run(url: str, case: _Case, keys: Sequence[str], crowding: float) -> tuple[_Tally, float]:
    tally = _Tally()
    turns = iter(range(int(crowding * case.turns) * case.keys))
    async with connections(url, _CALLERS) as made:

        async def work(connection: Connection) -> None:
            for turn in turns:
                await case.call(connection, keys[turn % case.keys], tally)

        await asyncio.gather(*(work(connection) for connection in made))
        spent = [case.spent(await _quota(made[0], key)) for key in keys]
    counted = sum(max(0.0, used - case.limit) for used in spent)
    admitted = tally.admitted * case.each - case.limit * case.keys
    return tally, round(max(0.0, counted, admitted), 6)


def _key(url: str, case: _Case) -> str:
    provider = {"provider": _PROVIDER, "weight": 1.0, "allowed_models": ["*"], "key_ids": ["*"]}
    content = {
        "name": f"bench-accuracy-{next(_numbers)}",
        "provider_configs": [provider],
        "enforcement": case.mode,
        **case.limits,
    }
    return create_key(url, content).value


async def _quota(connection: Connection, key: str) -> dict[str, Any]:
    answer = await connection.send(get("/api/governance/virtual-keys/quota", {"x-bf-vk": key}))
    shown: dict[str, Any] = answer.json()
    return shown


async def _reserve_and_settle(connection: Connection, key: str, tally: _Tally) -> None:
    body = {"provider": _PROVIDER, "model": MODEL, "tokens": _TOKENS, "cost": _DOLLARS}
    answer = await connection.send(post(f"{GATEWAY_PATH}/reserve", {**GATEWAY, "x-bf-vk": key}, body))
    if tally.add(answer.status, answer.json()):
        used = {"reservation_id": answer.json()["reservation_id"], "input_tokens": _TOKENS, "cost": _DOLLARS}
        _expect_ok(await connection.send(post(f"{GATEWAY_PATH}/settle", GATEWAY, used)))


async def _authorize(connection: Connection, key: str, tally: _Tally) -> None:
    path = f"{GATEWAY_PATH}/authorize?provider={_PROVIDER}&model={MODEL}"
    answer = await connection.send(get(path, {**GATEWAY, "x-bf-vk": key}))
    tally.add(answer.status, answer.json() if answer.body else None)


async def _batch(connection: Connection, key: str, tally: _Tally) -> None:
    operations = [{"op": "reserve", "provider": _PROVIDER, "model": MODEL}] * _BATCHED
    answer = await connection.send(post(f"{GATEWAY_PATH}/batch", {**GATEWAY, "x-bf-vk": key}, {"operations": operations}))
    _expect_ok(answer)
    for result in answer.json()["results"]:
        tally.add(result["status"], result["body"])


def _expect_ok(answer: Answer) -> None:
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.body.decode()}")


def _requests_used(quota: dict[str, Any]) -> float:
    return float(quota["rate_limit"]["request_current_usage"])


def _tokens_used(quota: dict[str, Any]) -> float:
    return float(quota["rate_limit"]["token_current_usage"])


def _dollars_used(quota: dict[str, Any]) -> float:
    return float(quota["budgets"][0]["current_usage"])


def _cases() -> Sequence[_Case]:
    requests = {"rate_limit": rate_limit("1d", requests=_REQUESTS)}
    few_requests = {"rate_limit": rate_limit("1d", requests=5)}
    one_request = {"rate_limit": rate_limit("1d", requests=1)}
    tokens = {"rate_limit": rate_limit("1d", tokens=_TOKEN_LIMIT), "budgets": [budget("1d", ENDLESS_DOLLARS)]}
    dollars = {"rate_limit": rate_limit("1d", requests=ENDLESS), "budgets": [budget("1d", _DOLLAR_LIMIT)]}
    expected = {
        "strict": (_GRANTED_BY_STRICT, _GRANTED_BY_STRICT),
        "clamp": (_GRANTED_BY_STRICT + 1, _GRANTED_BY_STRICT + 1),
        "postpaid": (_GRANTED_BY_STRICT + 1, _GRANTED_BY_STRICT + _CALLERS),
    }
    counted = [
        ("hot_tenant", f"{_REQUESTS} requests", requests, _REQUESTS, 4 * _REQUESTS, 1, _reserve_and_settle),
        ("spread", "5 requests each of 50 keys", few_requests, 5, 20, 50, _reserve_and_settle),
        ("refused", "1 request each of 10 keys", one_request, 1, 50, 10, _reserve_and_settle),
        ("authorize", f"{_REQUESTS} requests", requests, _REQUESTS, 4 * _REQUESTS, 1, _authorize),
        ("batch", f"{_REQUESTS} requests", requests, _REQUESTS, 4 * _REQUESTS // _BATCHED, 1, _batch),
    ]
    return [
        *(
            _Case(
                scenario=scenario,
                what=what,
                mode="strict",
                limits=limits,
                limit=limit,
                turns=turns,
                expected=(limit * keys, limit * keys),
                call=call,
                keys=keys,
                spent=_requests_used,
            )
            for scenario, what, limits, limit, turns, keys, call in counted
        ),
        *(
            _Case(
                scenario=RESERVE_SETTLE.name,
                what=what,
                mode=mode,
                limits=limits,
                limit=limit,
                each=each,
                turns=600,
                expected=expected[mode],
                call=_reserve_and_settle,
                spent=spent,
            )
            for what, limits, limit, each, spent in (
                (f"{_TOKEN_LIMIT:,} tokens, {_TOKENS:,} each", tokens, _TOKEN_LIMIT, _TOKENS, _tokens_used),
                (f"${_DOLLAR_LIMIT:.0f}, ${_DOLLARS} each", dollars, _DOLLAR_LIMIT, _DOLLARS, _dollars_used),
            )
            for mode in ("strict", "clamp", "postpaid")
        ),
    ]
