"""Throughput of every scenario beside its floors, and what each decision cost Redis."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from bench.context import Context, Options
from bench.findings import Cell, Plot, Series, Table
from bench.floor_servers import EVALSHA, FLOOR, QUOTAD, UNDER_GRANIAN, contenders, name_against
from bench.rounds import Run, median_rate, median_ratio, of
from bench.scenarios import QUOTA_READ, SCENARIOS
from bench.scenarios.scenario import Scenario
from bench.scenarios.tenants import SPREAD_KEYS

_TO_START_S: Final = 1
_PREPARED_S: Final = 2
"""Seconds of preparation for each second of a turn."""
_PROMISED_RATIOS: Final = frozenset({"quota_read", "reserve", "settle", "authorize"})


def planned_s(options: Options) -> float:
    return sum(_scenario_s(scenario, options) for scenario in _wanted(options))


def _scenario_s(scenario: Scenario, options: Options) -> float:
    """Servers start, every contender takes its turns; what a turn settles must be reserved before it."""
    floors = (4 if options.rounds > 1 else 1) if scenario.has_floor else 0
    prepared_s = _PREPARED_S * options.seconds if scenario.before is not None else 0
    turns = floors + 1 + (scenario.against is not None)
    return floors * _TO_START_S + (options.rounds + options.warm_up) * (turns * (options.seconds + 0.3) + prepared_s)


def measure(context: Context) -> None:
    runs: dict[str, list[Run]] = {}
    thorough = context.options.rounds > 1
    scenarios = _wanted(context.options)
    try:
        for scenario in scenarios:
            context.progress.step(f"throughput of {scenario.name}: {scenario.meaning}")
            with context.attempt(f"throughput of {scenario.name}"):
                if scenario.name == "spread" and not context.options.shared:
                    context.world.grow(SPREAD_KEYS)
                with contenders(context.world, scenario, context.folder, all_floors=thorough) as made:
                    runs[scenario.name] = context.rounds.measure(scenario.name, made)
    finally:
        # Also of a run that is stopped.
        whole = [scenario for scenario in scenarios if scenario.name in runs]
        if whole:
            _table(context, whole, runs)
            _targets(context, whole, runs)


def _wanted(options: Options) -> list[Scenario]:
    wanted = [scenario for scenario in SCENARIOS if not options.scenarios or scenario.name in options.scenarios]
    if options.warm_up:
        return wanted
    # A smoke run has a minute: it starts floors only for what was promised as a ratio to them.
    return [replace(one, has_floor=one.has_floor and one.name in _PROMISED_RATIOS) for one in wanted]


def _table(context: Context, scenarios: Sequence[Scenario], runs: dict[str, list[Run]]) -> None:
    rows: list[list[Cell]] = []
    for scenario in scenarios:
        measured = runs[scenario.name]
        for name in dict.fromkeys(run.contender for run in measured):
            own = of(measured, name)
            rows.append(
                [
                    scenario.name,
                    name,
                    round(median_rate(measured, name)),
                    float(f"{median_ratio(measured, name, FLOOR):.2g}") if scenario.has_floor else None,
                    *(round(value, 2) for value in _percentiles_ms(own)),
                    round(median(run.cpu_us for run in own), 1),
                    round(median(run.redis_cpu_us for run in own), 1) if name in (QUOTAD, UNDER_GRANIAN, EVALSHA) else None,
                ]
            )
    columns = ("scenario", "server", "operations/s", "ratio to F", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms")
    context.findings.tables.append(
        Table("Throughput at 64 connections", (*columns, "server CPU us/op", "Redis CPU us/op"), rows, _note(runs))
    )
    context.findings.tables.append(_redis_table(runs))
    with_floor = [scenario.name for scenario in scenarios if scenario.has_floor]
    if with_floor:
        # quotad is tried under another server in some scenarios only.
        everywhere = set.intersection(*({run.contender for run in runs[scenario]} for scenario in with_floor))
        contenders = [name for name in dict.fromkeys(run.contender for run in runs[with_floor[0]]) if name in everywhere]
        rates = [Series(name, [_requests_per_s(runs[scenario], name) for scenario in with_floor]) for name in contenders]
        title = "Throughput by scenario, beside its floors"
        context.findings.plots.append(Plot("throughput.png", title, "bars", "", "requests/s", with_floor, rates))
    latencies = [Series(name, _percentiles_ms(of(runs[name], QUOTAD))) for name in runs]
    if QUOTA_READ.name in with_floor:
        latencies.append(Series(f"F, {QUOTA_READ.name}", _percentiles_ms(of(runs[QUOTA_READ.name], FLOOR))))
    title, marks = "Latency of quotad at 64 connections, as fast as it answers", ["50", "90", "99", "99.9"]
    context.findings.plots.append(Plot("latency.png", title, "lines", "percentile", "ms", marks, latencies, log="y"))


def _requests_per_s(runs: Sequence[Run], name: str) -> float:
    return median_rate(runs, name) / runs[0].operations


def _percentiles_ms(runs: Sequence[Run]) -> list[float]:
    return [median(value) / 1000 for value in zip(*map(_latencies, runs), strict=True)]


def _latencies(run: Run) -> tuple[float, float, float, float]:
    return run.measured.p50_us, run.measured.p90_us, run.measured.p99_us, run.measured.p999_us


def _note(runs: dict[str, list[Run]]) -> str:
    every = [run for measured in runs.values() for run in measured]
    rounds = {(run.subject, run.round) for run in every}
    disturbed = {(run.subject, run.round) for run in every if run.disturbed}
    note = (
        f"Load by {every[0].measured.generator}. Other processes disturbed {len(disturbed)} of {len(rounds)} rounds: repeated "
        "while patience lasted; they count only where fewer than three were quiet."
    )
    wrong = [
        f"{run.subject}, {run.contender}, round {run.round}: {run.unexpected} of {run.measured.requests:,}"
        for run in every
        if run.unexpected
    ]
    return f"{note} Unexpected answers: {'; '.join(wrong) or 'none'}."


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


def _targets(context: Context, scenarios: Sequence[Scenario], runs: dict[str, list[Run]]) -> None:
    for name in _PROMISED_RATIOS & {scenario.name for scenario in scenarios}:
        context.findings.measured(name, median_ratio(runs[name], QUOTAD, FLOOR))
    for scenario in scenarios:
        if scenario.against is not None:
            ratio = median_ratio(runs[scenario.name], QUOTAD, name_against(scenario.against))
            context.findings.measured(scenario.name, ratio)
