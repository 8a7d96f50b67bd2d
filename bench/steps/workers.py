"""Two workers against one, on the same Redis; and the same for F, which says what two workers are worth on this machine."""

import os
from collections.abc import Sequence
from statistics import mean
from typing import Final

from bench.context import Context, Options
from bench.findings import Cell, Plot, Series, Table
from bench.floor_servers import bare, contender
from bench.promises import PROMISES
from bench.rounds import Run, median_rate, median_ratio, of
from bench.scenarios import QUOTA_READ, RESERVE
from bench.scenarios.scenario import Scenario

_MEASURED: Final = (QUOTA_READ, RESERVE)
_ONE: Final = "1 worker"
_TWO: Final = "2 workers"
_NOTICED: Final = 0.05
_FULL: Final = 0.9
"""Share of one processor above which Redis keeps up with no more callers."""


def planned_s(options: Options) -> float:
    return 2 * 2 * len(_MEASURED) * (options.rounds + options.warm_up) * (options.seconds + 0.5) + 8


def measure(context: Context) -> None:
    context.progress.step("two workers against one")
    runs: dict[str, list[Run]] = {}
    for scenario in _MEASURED:
        with (
            bare(context.world, scenario, context.folder, workers=1) as bare_one,
            bare(context.world, scenario, context.folder, workers=2) as bare_two,
        ):
            servers = ((_ONE, bare_one), (_TWO, bare_two))
            contenders = [contender(context.world, scenario, name, server) for name, server in servers]
            runs[_floor(scenario)] = context.rounds.measure(f"F of {scenario.name} by workers", contenders)
    with context.two_workers() as two:
        for scenario in _MEASURED:
            servers = ((_ONE, context.world.quotad), (_TWO, two))
            contenders = [contender(context.world, scenario, name, server) for name, server in servers]
            runs[scenario.name] = context.rounds.measure(f"{scenario.name} by workers", contenders)
    for scenario in _MEASURED:
        ratio = median_ratio(runs[scenario.name], _TWO, _ONE)
        promise = f"workers {scenario.name}"
        floor_ratio = median_ratio(runs[_floor(scenario)], _TWO, _ONE)
        one, two_of_them = of(runs[scenario.name], _ONE), of(runs[scenario.name], _TWO)
        reason = "" if PROMISES[promise].is_kept(ratio) else why_not(one, two_of_them, floor_ratio, PROMISES[promise].wanted)
        context.findings.measured(promise, ratio, reason)
    context.findings.tables.append(_table(runs))
    series = [Series(name, [median_rate(measured, kind) for kind in (_ONE, _TWO)]) for name, measured in runs.items()]
    context.findings.plots.append(Plot("workers.png", "Throughput over workers", "bars", "", "requests/s", [_ONE, _TWO], series))


def _floor(scenario: Scenario) -> str:
    return f"F: bare Starlette, answers of {scenario.name}"


def why_not(one: Sequence[Run], two: Sequence[Run], floor_ratio: float, wanted: float) -> str:
    """What two workers ran into, as it was measured."""
    workers, redis, generator, busy = shares(two)
    used = f"{workers:.2f} processors for workers, {redis:.2f} for Redis, {generator:.2f} for the load generator"
    neighbours = (os.cpu_count() or 1) * mean(run.neighbours for run in two)
    if neighbours >= _NOTICED:
        used += f", {neighbours:.2f} for other processes"
    *_, busy_with_one = shares(one)
    room = 1 / busy_with_one
    if room < wanted:
        reason = (
            f"with one worker {busy_with_one:.0%} of {os.cpu_count()} processors were in use already, by load generator and "
            f"Redis, too: there is room for about {room:.2f} times as much"
        )
    elif redis >= _FULL:
        reason = "Redis, which runs scripts on one processor, was the limit"
    else:
        reason = f"{busy:.0%} of {os.cpu_count()} processors were in use, so this is not the machine"
    return f"{reason}. With two: {used}; F itself gained {floor_ratio:.2f}"


def shares(runs: Sequence[Run]) -> tuple[float, float, float, float]:
    """Processors that workers, Redis and load generator used, and the share of all that anybody used."""
    seconds = sum(run.measured.seconds for run in runs)
    return (
        sum(run.server_cpu_s for run in runs) / seconds,
        sum(run.redis.cpu_s for run in runs) / seconds,
        sum(run.generator_cpu_s for run in runs) / seconds,
        mean(run.busy for run in runs),
    )


def _table(runs: dict[str, list[Run]]) -> Table:
    rows: list[list[Cell]] = []
    for name, measured in runs.items():
        for kind in (_ONE, _TWO):
            own = of(measured, kind)
            workers, redis, generator, busy = shares(own)
            rate, ratio = round(median_rate(measured, kind)), round(median_ratio(measured, kind, _ONE), 2)
            used = (round(workers, 2), round(redis, 2), round(generator, 2))
            rows.append([name, kind, rate, ratio, *used, f"{busy:.0%}", f"{mean(run.neighbours for run in own):.0%}"])
    columns = ("scenario", "workers", "requests/s", "ratio", "processors: workers", "Redis", "load generator")
    note = (
        f"This machine has {os.cpu_count()} processors for load generator, workers and Redis together. "
        "Where they are all in use, a second worker takes from the others what it gains."
    )
    return Table("Throughput over workers", (*columns, "machine in use", "by neighbours"), rows, note)
