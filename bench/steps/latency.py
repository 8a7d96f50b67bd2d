"""The tail at half the throughput: what a reader of quota waits for where the service is not at its limit."""

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Final

from bench.context import Context, Options
from bench.findings import Table
from bench.floor_servers import FLOOR, QUOTAD, contenders
from bench.load import CONNECTIONS, drive
from bench.rounds import Contender, of
from bench.scenarios.quota_read import QUOTA_READ

_PROBE_S: Final = 1


def planned_s(options: Options) -> float:
    return 2 * (options.rounds + options.warm_up) * (options.seconds + 0.5) + (2 * options.tuning + 2) * (_probe_s(options) + 0.5)


def measure(context: Context) -> None:
    context.progress.step("latency of quota reads at half the throughput")
    with contenders(context.world, QUOTA_READ, context.folder, all_floors=False) as made:
        quotad = next(contender for contender in made if contender.name == QUOTAD)
        # Twice: in the first run every key is still read for the first time.
        probes = [drive(quotad.server.url, quotad.traffic(0), seconds=_probe_s(context.options)) for _ in range(2)]
        half = probes[-1].per_second / 2
        paced = [_paced(contender, half, context.options) for contender in made]
        runs = context.rounds.measure("quota_read at half throughput", paced)
    context.findings.runs += runs
    p99 = {name: median(run.measured.p99_us for run in of(runs, name)) / 1000 for name in (FLOOR, QUOTAD)}
    rate = {name: median(run.per_second for run in of(runs, name)) for name in (FLOOR, QUOTAD)}
    context.findings.tables.append(
        Table(
            "Latency of quota reads at half the maximum throughput of quotad",
            ("server", "requests/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms"),
            [
                [name, round(rate[name])]
                + [
                    round(median(getattr(run.measured, f"{mark}_us") for run in of(runs, name)) / 1000, 2)
                    for mark in ("p50", "p90", "p99", "p999")
                ]
                for name in (FLOOR, QUOTAD)
            ],
            "Each connection pauses between its requests; the pause is tuned until both servers get the same rate.",
        )
    )
    context.findings.measured("latency", p99[QUOTAD] / p99[FLOOR])


def _probe_s(options: Options) -> float:
    return min(_PROBE_S, options.seconds)


def _paced(contender: Contender, rate: float, options: Options) -> Contender:
    """The contender with pauses that bring it to about this rate."""

    def rate_with(pause_ms: int) -> float:
        traffic = contender.traffic(0)
        return drive(contender.server.url, traffic, seconds=_probe_s(options), pause_ms=pause_ms).per_second

    return replace(contender, pause_ms=_pause_for(rate, rate_with, options.tuning))


def _pause_for(rate: float, rate_with: Callable[[int], float], trials: int) -> int:
    pause_ms = max(1, round(1000 * CONNECTIONS / rate))
    for _ in range(trials):
        seen = rate_with(pause_ms)
        better = max(1, round(pause_ms + 1000 * CONNECTIONS * (1 / rate - 1 / seen)))
        if better == pause_ms:
            break
        pause_ms = better
    return pause_ms
