"""What a caller waits for where the service is not at its limit: at half the throughput, and where nobody else calls."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from bench.context import Context, Options
from bench.findings import Table
from bench.floor_servers import FLOOR, QUOTAD, contenders
from bench.load import CONNECTIONS, drive
from bench.rounds import Contender, Run, median_ratio, of
from bench.scenarios import QUOTA_READ, RESERVE
from bench.scenarios.scenario import Scenario

_PROBE_S: Final = 1


def planned_s(options: Options) -> float:
    runs_s = 2 * 2 * (options.rounds + options.warm_up) * (options.latency_seconds + 0.5)
    return len(_scenarios(options)) * (runs_s + (3 * options.tuning + 1) * (_probe_s(options) + 0.5))


def measure(context: Context) -> None:
    rows = []
    for scenario in _scenarios(context.options):
        context.progress.step(f"latency of {scenario.name} at half the throughput, and of one caller")
        with contenders(context.world, scenario, context.folder, all_floors=False) as made:
            quotad = next(contender for contender in made if contender.name == QUOTAD)
            half = _warm_maximum(context, quotad) / 2
            paced = [_paced(context, contender, half) for contender in made]
            for load, loaded in (("half", paced), ("one caller", [replace(contender, connections=1) for contender in made])):
                seconds = context.options.latency_seconds
                runs = context.rounds.measure(f"{scenario.name}, {load}", loaded, seconds=seconds)
                rows += [[scenario.name, load, name, *_row(runs, name)] for name in (FLOOR, QUOTAD)]
                if scenario is QUOTA_READ and loaded is paced:
                    ratio = median_ratio(runs, QUOTAD, FLOOR, lambda run: run.measured.p99_us)
                    context.findings.measured("latency", ratio)
    context.findings.tables.append(
        Table(
            "Latency at half the maximum throughput of quotad, and of one caller",
            ("scenario", "load", "server", "requests/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "server CPU us/op"),
            rows,
            "half: 64 connections, each of which pauses between its requests; the pause is tuned until both servers get the same "
            "rate. One caller: one connection without pauses.",
        )
    )


def _scenarios(options: Options) -> Sequence[Scenario]:
    return (QUOTA_READ,) if options.shared else (QUOTA_READ, RESERVE)


def _row(runs: Sequence[Run], name: str) -> list[float]:
    marks = ("p50_us", "p90_us", "p99_us", "p999_us")
    waits_ms = [round(median(getattr(run.measured, mark) for run in of(runs, name)) / 1000, 2) for mark in marks]
    return [
        round(median(run.per_second for run in of(runs, name))),
        *waits_ms,
        round(median(run.cpu_us for run in of(runs, name))),
    ]


def _probe_s(options: Options) -> float:
    return min(_PROBE_S, options.seconds)


def _rate(context: Context, contender: Contender, pause_ms: int = 0) -> float:
    traffic = contender.traffic(context.rounds.fresh_number())
    return drive(contender.server.url, traffic, seconds=_probe_s(context.options), pause_ms=pause_ms).per_second


def _warm_maximum(context: Context, contender: Contender) -> float:
    """The best of several: neighbours only ever slow it down, and the first time every key is read for the first time."""
    return max(_rate(context, contender) for _ in range(1 + context.options.tuning))


def _paced(context: Context, contender: Contender, rate: float) -> Contender:
    """The contender with pauses that bring it to about this rate."""
    pause_ms = _pause_for(rate, lambda pause_ms: _rate(context, contender, pause_ms), context.options.tuning)
    return replace(contender, pause_ms=pause_ms)


def _pause_for(rate: float, rate_with: Callable[[int], float], trials: int) -> int:
    pause_ms = max(1, round(1000 * CONNECTIONS / rate))
    for _ in range(trials):
        seen = rate_with(pause_ms)
        better = max(1, round(pause_ms + 1000 * CONNECTIONS * (1 / rate - 1 / seen)))
        if better == pause_ms:
            break
        pause_ms = better
    return pause_ms
