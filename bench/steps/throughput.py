"""Throughput of every scenario beside its floors, and what each decision cost Redis."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from bench.context import Context, Options
from bench.findings import Cell, Plot, Series, Table
from bench.floor_servers import EVALSHA, FLOOR, QUOTAD, contenders
from bench.rounds import Run, median_rate, median_ratio, of
from bench.scenarios import SCENARIOS
from bench.scenarios.tenants import SPREAD_KEYS

_GOALS: Final = {"quota_read": 1.0, "reserve": 0.60}
_BATCH_OVER_SINGLE: Final = 3.0
_REFUSED_OVER_ADMITTED: Final = 1.0
_NOT_KEPT_UP: Final = 0.001
"""Share of unexpected answers above which a figure means nothing."""


def planned_s(options: Options) -> float:
    return len(SCENARIOS) * 4 * (options.rounds + 1) * (options.seconds + 0.5)


def measure(context: Context) -> None:
    runs: dict[str, list[Run]] = {}
    thorough = context.options.rounds > 1
    for scenario in SCENARIOS:
        context.progress.step(f"throughput of {scenario.name}: {scenario.meaning}", planned_s(context.options) / len(SCENARIOS))
        if scenario.name == "spread" and thorough:
            context.world.grow(SPREAD_KEYS)
        with contenders(context.world, scenario, context.folder, all_floors=thorough) as made:
            runs[scenario.name] = context.rounds.measure(scenario.name, made)
        _check(runs[scenario.name], scenario.status)
    context.findings.runs += [run for measured in runs.values() for run in measured]
    _table(context, runs)
    _targets(context, runs)


def _check(runs: Sequence[Run], status: int) -> None:
    """Fast wrong answers are no throughput."""
    for run in runs:
        measured = run.measured
        unexpected = measured.broken + (measured.requests - measured.refused if status >= 400 else measured.refused)
        if unexpected > _NOT_KEPT_UP * measured.requests:
            raise RuntimeError(f"{run.subject}, {run.contender}: {unexpected} of {measured.requests} answers were unexpected")


def _table(context: Context, runs: dict[str, list[Run]]) -> None:
    rows: list[list[Cell]] = []
    for scenario in SCENARIOS:
        measured = runs[scenario.name]
        for name in dict.fromkeys(run.contender for run in measured):
            own = of(measured, name)
            rows.append(
                [
                    scenario.name,
                    name,
                    round(median_rate(measured, name)),
                    round(median_ratio(measured, name, FLOOR), 2) if scenario.has_floor else None,
                    *(round(median(value) / 1000, 2) for value in zip(*map(_latencies, own), strict=True)),
                    round(median(run.cpu_us for run in own), 1),
                    round(median(run.redis_cpu_us for run in own), 1) if name in (QUOTAD, EVALSHA) else None,
                ]
            )
    columns = ("scenario", "server", "operations/s", "ratio to F", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms")
    context.findings.tables.append(
        Table("Throughput at 64 connections", (*columns, "server CPU us/op", "Redis CPU us/op"), rows, _note(runs))
    )
    context.findings.tables.append(_redis_table(runs))
    with_floor = [scenario.name for scenario in SCENARIOS if scenario.has_floor]
    context.findings.plots += [
        Plot(
            "throughput.png",
            "Throughput by scenario, beside its floors",
            "bars",
            "",
            "requests/s",
            with_floor,
            [
                Series(name, [median_rate(runs[scenario], name) for scenario in with_floor])
                for name in dict.fromkeys(run.contender for run in runs[with_floor[0]])
            ],
        ),
        Plot(
            "latency.png",
            "Latency of quotad at 64 connections",
            "lines",
            "percentile",
            "ms",
            ["50", "90", "99", "99.9"],
            [
                Series(name, [median(value) / 1000 for value in zip(*map(_latencies, of(runs[name], QUOTAD)), strict=True)])
                for name in runs
            ],
            log="y",
        ),
    ]


def _latencies(run: Run) -> tuple[float, float, float, float]:
    return run.measured.p50_us, run.measured.p90_us, run.measured.p99_us, run.measured.p999_us


def _note(runs: dict[str, list[Run]]) -> str:
    every = [run for measured in runs.values() for run in measured]
    rounds = {(run.subject, run.round) for run in every}
    disturbed = {(run.subject, run.round) for run in every if run.disturbed}
    return (
        f"Load by {every[0].measured.generator}. {len(disturbed)} of {len(rounds)} rounds were disturbed by other processes "
        "and repeated; they count only where fewer than three were quiet."
    )


def _redis_table(runs: dict[str, list[Run]]) -> Table:
    rows: list[list[Cell]] = []
    for name, measured in runs.items():
        own = of(measured, QUOTAD)
        operations = sum(run.measured.requests * run.operations for run in own)

        def each(total: float, operations: int = operations) -> float:
            return round(total / operations, 2)

        rows.append(
            [
                name,
                round(operations / max(1, sum(run.redis.scripts for run in own)), 1),
                each(sum(run.redis.scripts for run in own)),
                each(sum(run.redis.commands for run in own)),
                each(sum(run.redis.script_us for run in own)),
                each(sum(run.redis.cpu_s for run in own) * 1e6),
                each(sum(run.redis.bytes_in for run in own)),
                each(sum(run.redis.bytes_out for run in own)),
            ]
        )
    columns = (
        "scenario",
        "operations per script call",
        "round trips",
        "commands",
        "script us",
        "CPU us",
        "bytes in",
        "bytes out",
    )
    note = "All per operation but the first. Commands are those inside scripts, too. Calls of one tick share a script call."
    return Table("What a decision costs Redis", columns, rows, note)


def _targets(context: Context, runs: dict[str, list[Run]]) -> None:
    findings = context.findings
    for scenario in SCENARIOS:
        if scenario.target is not None:
            ratio = median_ratio(runs[scenario.name], QUOTAD, FLOOR)
            findings.at_least(f"{scenario.meaning}: ratio to F", ratio, scenario.target, goal=_GOALS.get(scenario.name))
    batched = median_rate(runs["batch"], QUOTAD)
    single = median_rate(runs["reserve_settle"], QUOTAD)
    findings.at_least("batch of 50: operations per second against single calls", batched / single, _BATCH_OVER_SINGLE)
    refused, admitted = median_rate(runs["refused"], QUOTAD), median_rate(runs["reserve"], QUOTAD)
    findings.at_least("refused calls per second against admitted", refused / admitted, _REFUSED_OVER_ADMITTED)
