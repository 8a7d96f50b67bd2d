"""What a decision costs on a Redis Cluster, where its owners live in several slots: each slot is a script call of its own."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from redis import Redis

from bench.context import Context, Options, rounds_of
from bench.findings import Cell, Table
from bench.floor_servers import contender
from bench.rounds import Run
from bench.scenarios import QUOTA_READ, RESERVE, RESERVE_SETTLE, SETTLE
from bench.scenarios.scenario import Scenario
from bench.servers import quotad
from bench.world import seed_owners
from service.store.redis_binary import find_redis_binary
from tests.redis_cluster import NODES, redis_cluster

CLUSTER: Final = f"quotad on a cluster of {NODES} nodes"
_MEASURED: Final = (QUOTA_READ, RESERVE, SETTLE, RESERVE_SETTLE)
_IN_BRIEF: Final = (QUOTA_READ, SETTLE)
"""What is settled is reserved before: the others show no more, and take long to prepare."""
_KEYS_OF_A_TEAM: Final = 10
_AT_FIRST_PER_S: Final = 3_000
"""More settlements than a worker makes on a cluster."""


def planned_s(options: Options) -> float:
    """A settlement costs about as long to prepare as to measure, and more than is needed is prepared."""
    return 6 + (len(_measured(options)) + 2) * (options.rounds + options.warm_up) * (options.seconds + 0.5)


def _measured(options: Options) -> Sequence[Scenario]:
    return _IN_BRIEF if options.shared else _MEASURED


def measure(context: Context) -> None:
    context.progress.step(f"decisions on a cluster of {NODES} nodes")
    runs: dict[str, list[Run]] = {}
    with contextlib.ExitStack() as stack:
        urls = stack.enter_context(redis_cluster(find_redis_binary().path))
        nodes = [stack.enter_context(Redis.from_url(url)) for url in urls]
        server = stack.enter_context(quotad(urls[0], redis_cluster=True))
        # Copies are made inside one Redis: here every key is made through the API.
        keys = seed_owners(server.url, keys_of_a_team=_KEYS_OF_A_TEAM)
        world = replace(context.world, quotad=server, originals=keys, keys=[key.value for key in keys])
        rounds = rounds_of(nodes, context.options, context.progress, context.findings, context.patience)
        for scenario in _measured(context.options):
            made = replace(contender(world, scenario, CLUSTER, server), at_first_per_s=_AT_FIRST_PER_S)
            runs[scenario.name] = rounds.measure(f"{scenario.name} on a cluster", [made])
    columns = ("scenario", "script calls", "commands", "server CPU us", "Redis CPU us, all nodes", "bytes in", "bytes out")
    note = (
        f"All per operation, over {10 * _KEYS_OF_A_TEAM} keys in 10 teams of 2 customers. Calls of one tick share the script "
        "call of a slot. These nodes write no append-only file."
    )
    context.findings.tables.append(Table("What a decision costs on a cluster", columns, _rows(runs), note))


def _rows(runs: dict[str, list[Run]]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for name, own in runs.items():
        operations = sum(run.measured.requests * run.operations for run in own)
        totals = (
            sum(run.redis.scripts for run in own),
            sum(run.redis.commands for run in own),
            1e6 * sum(run.server_cpu_s for run in own),
            1e6 * sum(run.redis.cpu_s for run in own),
            sum(run.redis.bytes_in for run in own),
            sum(run.redis.bytes_out for run in own),
        )
        rows.append([name, *(round(total / operations, 2) for total in totals)])
    return rows
