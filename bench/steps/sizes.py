"""Does it matter how many keys the store holds, and how many of them are in use? Two stores, measured in turn."""

from functools import partial
from statistics import median
from typing import Final

from bench.context import FULL, Context, Options
from bench.findings import Cell, Plot, Series, Table
from bench.floor_servers import FLOOR, bare, contender
from bench.plain_http import ask
from bench.rounds import Contender, Run, median_rate, median_ratio
from bench.scenarios import QUOTA_READ, RESERVE
from bench.scenarios.scenario import Scenario
from bench.traffic import Traffic
from bench.world import World

_MEASURED: Final = (QUOTA_READ, RESERVE)
_SEEDED_PER_S: Final = 8_000

_SMALL: Final = "small store"
_FEW: Final = "large store, as many in use"
_ALL: Final = "large store, all in use"


def planned_s(options: Options) -> float:
    runs = (len(options.sizes) - 1) * len(_MEASURED) * 4 * (options.rounds + options.warm_up)
    return runs * (options.seconds + 0.5) + max(options.sizes) / _SEEDED_PER_S + 4


def measure(context: Context) -> None:
    smallest, *larger = context.options.sizes
    runs: dict[tuple[str, int], list[Run]] = {}
    with context.world_of(smallest) as small, context.world_of(larger[0]) as large:
        try:
            for size in larger:
                context.progress.step(f"throughput with {size:,} keys")
                large.grow(size)
                for scenario in _MEASURED:
                    with bare(small, scenario, context.folder, workers=1) as floor:
                        contenders = [
                            contender(small, scenario, FLOOR, floor),
                            _contender(_SMALL, small, scenario, smallest, are_known=True),
                            _contender(_FEW, large, scenario, smallest, are_known=True),
                            _contender(_ALL, large, scenario, size, are_known=False),
                        ]
                        runs[scenario.name, size] = context.rounds.measure(f"{scenario.name}, {size:,} keys", contenders)
        finally:
            # Also of a run that is stopped.
            context.findings.tables.append(_table(context.options, runs))
    _report(context, runs)


def _contender(name: str, world: World, scenario: Scenario, in_use: int, *, are_known: bool) -> Contender:
    """`are_known`: its worker has seen all keys in use lately, whatever another turn has driven out of its memory."""

    def traffic(first: int) -> Traffic:
        whole = scenario.traffic(world, first)
        return Traffic(whole.requests, world.keys[:in_use], whole.first, whole.lag)

    warm = partial(_use_each_key_once, world, scenario, in_use) if are_known else None
    return Contender(name=name, server=world.quotad, traffic=traffic, warm=warm)


def _use_each_key_once(world: World, scenario: Scenario, in_use: int, first: int) -> None:
    whole = scenario.traffic(world, first)
    traffic = Traffic(whole.requests, world.keys[:in_use])
    requests = [traffic.fill(request, number) for number in range(first - in_use, first) for request in traffic.requests]
    if any(answer.status != scenario.status for answer in ask(world.quotad.url, requests, at_once=16)):
        raise RuntimeError(f"{scenario.name}: not every key could be used once")


def _table(options: Options, runs: dict[tuple[str, int], list[Run]]) -> Table:
    smallest = options.sizes[0]
    rows: list[list[Cell]] = []
    for (name, size), measured in runs.items():
        for kind, stored, in_use in ((_SMALL, smallest, smallest), (_FEW, size, smallest), (_ALL, size, size)):
            ratios = [round(median_ratio(measured, kind, to), 2) for to in (_SMALL, FLOOR)]
            rows.append([name, f"{stored:,}", f"{in_use:,}", round(median_rate(measured, kind)), *ratios])
    columns = ("scenario", "keys stored", "keys in use", "requests/s", "ratio to the small store", "ratio to F")
    note = (
        "A worker keeps the configurations of QUOTAD_CACHED_KEYS keys (10,000); a key beyond them is read and decoded anew. "
        "Where no more are in use than in the small store, each is used once before a turn begins: the turn before used others."
    )
    return Table("Throughput over the number of keys", columns, rows, note)


def _report(context: Context, runs: dict[tuple[str, int], list[Run]]) -> None:
    smallest, *larger = context.options.sizes

    def rates(scenario: Scenario, kind: str) -> list[float]:
        """Both stores took their turns at every size: the small one's rate is the first point of all."""
        first = median(median_rate(runs[scenario.name, size], _SMALL) for size in larger)
        return [first, *(first * median_ratio(runs[scenario.name, size], kind, _SMALL) for size in larger)]

    series = [Series(f"{scenario.name}: {kind}", rates(scenario, kind)) for scenario in _MEASURED for kind in (_FEW, _ALL)]
    title, axis = "Throughput over the number of keys", list(context.options.sizes)
    context.findings.plots.append(Plot("keys.png", title, "lines", "keys stored", "requests/s", axis, series, "x"))
    for scenario in _MEASURED:
        for kind in (_FEW, _ALL):
            ratio = median_ratio(runs[scenario.name, larger[-1]], kind, _SMALL)
            used = "few" if kind == _FEW else "all"
            note = "" if context.options.sizes == FULL.sizes else f"{larger[-1]:,} keys against {smallest:,}"
            context.findings.measured(f"sizes {scenario.name} {used}", ratio, note)
