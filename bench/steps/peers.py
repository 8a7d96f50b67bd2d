"""What others would use instead, in the same harness: how fast it is, and what its counters say afterwards."""

import contextlib
import importlib.util
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.context import Context, Options
from bench.findings import Cell, Plot, Series, Table
from bench.floor_servers import FLOOR, contenders
from bench.peers import nginx
from bench.peers.five_limits import ENDLESS, LAST_LIMIT, TOKEN_LIMIT, TOKENS_OF_A_REQUEST
from bench.peers.service import PEER, REDIS_URL
from bench.plain_http import Answer, ask
from bench.rounds import Contender, median_rate, median_ratio
from bench.scenarios import RESERVE
from bench.scenarios.scenario import GATEWAY
from bench.seed import create, create_key
from bench.servers import Server, uvicorn
from bench.traffic import GATEWAY_PATH, QUOTA_PATH, Traffic, get, post
from bench.world import rate_limit

_QUOTAD: Final = "quotad"
_IN_PYTHON: Final = {
    "limits, async Redis": ("with_limits", "limits"),
    "throttled-py, async Redis": ("with_throttled", "throttled"),
    "EVALSHA by hand, redis-py": ("by_hand", "redis"),
}
_NGINX: Final = "nginx with Lua, EVALSHA"
_ADMITTED: Final = 1_000
_REFUSED: Final = 2_000
_AT_ONCE: Final = 64
_SPEED: Final = {"provider": "groq", "model": "bench-speed"}
_COUNTED: Final = {"provider": "cohere", "model": "bench-counted"}
"""Limits of providers and models are everybody's: what is counted must not be what was measured for speed."""


def planned_s(options: Options) -> float:
    return 6 * (options.rounds + options.warm_up) * (options.seconds + 0.5) + 20


def measure(context: Context) -> None:
    context.progress.step("peers")
    with contextlib.ExitStack() as stack, contenders(context.world, RESERVE, context.folder, all_floors=False) as made:
        take = Traffic((post("/take", {"x-caller": "speed"}, {}),))
        named = [next(contender for contender in made if contender.name == FLOOR)]
        for name, server in _servers(stack, context, ENDLESS):
            named.append(Contender(name=name, server=server, traffic=lambda _: take))
        key = _key_with_five_limits(context.world.quotad.url, _SPEED, last_limit=ENDLESS)
        reserve = Traffic((post(f"{GATEWAY_PATH}/reserve", {**GATEWAY, "x-bf-vk": key}, _SPEED),))
        named.append(Contender(name=_QUOTAD, server=context.world.quotad, traffic=lambda _: reserve))
        runs = context.rounds.measure("five limits, one caller", named)
    names = [contender.name for contender in named]
    counted: dict[str, _Counted] = {}
    with contextlib.ExitStack() as stack:
        for name, server in _servers(stack, context, _ADMITTED):
            with context.attempt(f"what {name} counts"):
                # A caller of its own: a server's name says which kind it is, not whose.
                counted[name] = _counted(server, name.replace(" ", "-"))
    with context.attempt(f"what {_QUOTAD} counts"):
        counted[_QUOTAD] = _counted_by_quotad(context)
    rows: list[list[Cell]] = [
        [name, round(median_rate(runs, name)), round(median_ratio(runs, name, FLOOR), 2), *_cells(counted.get(name))]
        for name in names
    ]
    columns = ("counts five limits", "requests/s", "ratio to F", "admitted", "refused", "first limit says", "tokens overspent")
    note = (
        f"One caller, five request limits; then {_ADMITTED + _REFUSED:,} requests of which the last limit allows {_ADMITTED:,} "
        f"(right: the first limit says {_ADMITTED:,}); then {_AT_ONCE} requests of {TOKENS_OF_A_REQUEST} tokens at once on a "
        f"limit of {TOKEN_LIMIT:,}, counted when the model has answered, as its answer's length is not known before. quotad "
        "answers its full body. Charging an estimate beforehand would avoid it, but none of these peers gives the rest back."
    )
    context.findings.tables.append(Table("Peers", columns, rows, note))
    series = [Series("requests/s", [median_rate(runs, name) for name in names])]
    context.findings.plots.append(Plot("peers.png", "Five limits, one caller", "bars", "", "requests/s", names, series))


@dataclass(frozen=True, slots=True)
class _Counted:
    admitted: int
    refused: int
    first_limit: int
    overspent: int


def _cells(counted: _Counted | None) -> list[Cell]:
    if counted is None:
        return [None] * 4
    return [counted.admitted, counted.refused, counted.first_limit, counted.overspent]


def _servers(stack: contextlib.ExitStack, context: Context, last_limit: int) -> list[tuple[str, Server]]:
    """A peer that does not start is reported; the others are measured."""
    url = context.world.redis_url
    found: list[tuple[str, Server]] = []
    for name, (module, package) in _IN_PYTHON.items():
        if importlib.util.find_spec(package) is not None:
            environment = {PEER: module, REDIS_URL: url, LAST_LIMIT: str(last_limit)}
            with context.attempt(f"start of {name}"):
                found.append((name, stack.enter_context(uvicorn("bench.peers.service:create_app", environment))))
    if nginx.is_here():
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-nginx-")))
        with context.attempt(f"start of {_NGINX}"):
            found.append((_NGINX, stack.enter_context(nginx.nginx(url, last_limit, folder))))
    return found


def _counted(server: Server, caller: str) -> _Counted:
    def call(path: str) -> bytes:
        return post(path, {"x-caller": caller}, {})

    admitted, refused = _admitted_and_refused(ask(server.url, [call("/take")] * (_ADMITTED + _REFUSED), at_once=_AT_ONCE))
    first = int(ask(server.url, [call("/first")])[0].body)
    used = ask(server.url, [call("/answer")] * _AT_ONCE, at_once=_AT_ONCE)
    _admitted_and_refused(used)
    tokens = sum(int(answer.body) for answer in used if answer.status == 200)
    return _Counted(admitted, refused, first, max(0, tokens - TOKEN_LIMIT))


def _admitted_and_refused(answers: Sequence[Answer]) -> tuple[int, int]:
    counts = Counter(answer.status for answer in answers)
    if counts.keys() - {200, 429}:
        raise RuntimeError(f"neither admitted nor refused: {dict(counts)}")
    return counts[200], counts[429]


def _counted_by_quotad(context: Context) -> _Counted:
    url = context.world.quotad.url
    key = _key_with_five_limits(url, _COUNTED, last_limit=_ADMITTED)
    call = post(f"{GATEWAY_PATH}/reserve", {**GATEWAY, "x-bf-vk": key}, _COUNTED)
    admitted, refused = _admitted_and_refused(ask(url, [call] * (_ADMITTED + _REFUSED), at_once=_AT_ONCE))
    explained = ask(url, [post(f"{GATEWAY_PATH}/explain", {**GATEWAY, "x-bf-vk": key}, _COUNTED)])[0].json()
    first = next(limit["usage"] for limit in explained["limits"] if limit["scope"] == "provider")
    return _Counted(admitted, refused, first, _overspent_by_quotad(url))


def _overspent_by_quotad(url: str) -> int:
    """The same requests with their tokens as the estimate: what is not used goes back when they are settled."""
    key = create_key(url, _key("tokens", _COUNTED["provider"], rate_limit=rate_limit("1d", tokens=TOKEN_LIMIT))).value
    headers = {**GATEWAY, "x-bf-vk": key}
    call = post(f"{GATEWAY_PATH}/reserve", headers, {**_COUNTED, "tokens": TOKENS_OF_A_REQUEST})
    answers = ask(url, [call] * _AT_ONCE, at_once=_AT_ONCE)
    _admitted_and_refused(answers)
    admitted = [answer.json() for answer in answers if answer.status == 200]
    settlements = [{"reservation_id": one["reservation_id"], "output_tokens": TOKENS_OF_A_REQUEST} for one in admitted]
    ask(url, [post(f"{GATEWAY_PATH}/settle", headers, settlement) for settlement in settlements], at_once=_AT_ONCE)
    quota = ask(url, [get(QUOTA_PATH, {"x-bf-vk": key})])[0].json()
    return max(0, int(quota["rate_limit"]["token_current_usage"]) - TOKEN_LIMIT)


def _key_with_five_limits(url: str, request: dict[str, str], *, last_limit: int) -> str:
    """Of provider, model, key, team and customer, in the order in which quotad checks them."""
    endless = {"rate_limit": {"request_max_limit": ENDLESS, "request_reset_duration": "1d"}}
    last = {"rate_limit": {"request_max_limit": last_limit, "request_reset_duration": "1d"}}
    provider, name = request["provider"], request["model"]
    create(url, f"/providers/{provider}", endless, method="PUT")
    create(url, "/model-configs", {"model_name": name, "scope": "global", **endless})
    customer_id = create(url, "/customers", {"name": f"bench-peers-{name}", **last})["customer"]["id"]
    team = {"name": f"bench-peers-{name}", "customer_id": customer_id, **endless}
    team_id = create(url, "/teams", team)["team"]["id"]
    return create_key(url, _key(name, provider, team_id=team_id, **endless)).value


def _key(name: str, provider: str, **members: object) -> dict[str, Any]:
    config = {"provider": provider, "weight": 1.0, "allowed_models": ["*"], "key_ids": ["*"]}
    return {"name": f"bench-peers-{name}", "provider_configs": [config], **members}
