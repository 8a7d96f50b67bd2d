"""Starts the bare endpoints beside quotad for one scenario: same path, same status, same bytes."""

import contextlib
import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import orjson

from bench import floors
from bench.plain_http import ask
from bench.rounds import Contender
from bench.scenarios.scenario import Scenario
from bench.servers import Server, granian, quotad_environment, uvicorn
from bench.world import World

FLOOR: Final = "F: bare Starlette, uvicorn"
SAME_SERVER: Final = "bare Starlette, quotad's server"
GRANIAN: Final = "bare Starlette, granian"
EVALSHA: Final = "bare + one redis-py EVALSHA, uvicorn"
QUOTAD: Final = "quotad"
UNDER_GRANIAN: Final = "quotad under granian"
"""What the choice of the server is worth."""

SERVED_BY: Final = "service.protocol:Protocol"
"""The HTTP protocol that quotad gives uvicorn (service/server.py)."""

_TRIED_UNDER_GRANIAN: Final = ("quota_read", "reserve")

_samples: Final = count(10_000, 10_000)
"""Numbers below those of the runs."""


def _answers(world: World, scenario: Scenario) -> list[floors.Floor]:
    """What quotad answers to each request of the scenario."""
    first = next(_samples)
    if scenario.before is not None:
        scenario.before(world, first, 1)
    traffic = scenario.traffic(world, first)
    requests = traffic.sample(first)
    found: list[floors.Floor] = []
    for request, answer in zip(requests, ask(world.quotad.url, requests), strict=True):
        if answer.status != scenario.status:
            raise RuntimeError(f"{scenario.name} answers {answer.status} instead of {scenario.status}: {answer.body.decode()}")
        method, path = request.decode().split(" ", 2)[:2]
        # The answer of one key goes for all.
        route = "/".join("{key}" if part in traffic.keys else part for part in path.partition("?")[0].split("/"))
        found.append({"method": method, "path": route, "status": answer.status, "body": answer.body.decode()})
    return found


def _environment(world: World, scenario: Scenario, folder: Path) -> dict[str, str]:
    answers = folder / f"{scenario.name}.json"
    answers.write_bytes(orjson.dumps(_answers(world, scenario)))
    return {floors.ANSWERS: str(answers), floors.REDIS_URL: world.redis_url}


@contextlib.contextmanager
def bare(world: World, scenario: Scenario, folder: Path, *, workers: int) -> Iterator[Server]:
    """F with so many workers."""
    with uvicorn("bench.floors:bare", _environment(world, scenario, folder), workers=workers) as server:
        yield server


@contextlib.contextmanager
def contenders(world: World, scenario: Scenario, folder: Path, *, all_floors: bool) -> Iterator[list[Contender]]:
    """F, then quotad and what it is measured against besides, side by side, as the machine is faster in one second than in the
    next; after them, where wanted, the other floors.
    """
    environment = _environment(world, scenario, folder) if scenario.has_floor else {}
    # A floor needs nothing to be there beforehand.
    unprepared = replace(scenario, before=None)
    with contextlib.ExitStack() as stack:
        turns = []
        if scenario.has_floor:
            turns.append((unprepared, FLOOR, stack.enter_context(uvicorn("bench.floors:bare", environment))))
        turns.append((scenario, QUOTAD, world.quotad))
        if scenario.against is not None:
            turns.append((scenario.against, name_against(scenario.against), world.quotad))
        if all_floors:
            turns += [(unprepared, *floor) for floor in _other_floors(stack, scenario, environment)]
            if scenario.name in _TRIED_UNDER_GRANIAN and _has_granian():
                service = granian("service.server:worker_app", quotad_environment(world.redis_url))
                turns.append((scenario, UNDER_GRANIAN, stack.enter_context(service)))
        yield [contender(world, *turn) for turn in turns]


def _other_floors(stack: contextlib.ExitStack, scenario: Scenario, environment: dict[str, str]) -> Iterator[tuple[str, Server]]:
    if not scenario.has_floor:
        return
    yield SAME_SERVER, stack.enter_context(uvicorn("bench.floors:bare", environment, http=SERVED_BY))
    if _has_granian():
        yield GRANIAN, stack.enter_context(granian("bench.floors:bare", environment))
    yield EVALSHA, stack.enter_context(uvicorn("bench.floors:evalsha", environment))


def _has_granian() -> bool:
    return importlib.util.find_spec("granian") is not None


def contender(world: World, scenario: Scenario, name: str, server: Server) -> Contender:
    return Contender(
        name=name,
        server=server,
        traffic=partial(scenario.traffic, world),
        before=None if scenario.before is None else partial(scenario.before, world),
        operations=scenario.operations,
        status=scenario.status,
        count_wrong=scenario.count_wrong if server is world.quotad else None,
    )


def name_against(other: Scenario) -> str:
    """Of quotad with the traffic of another scenario than that which is measured."""
    return f"{QUOTAD}, {other.name}"
