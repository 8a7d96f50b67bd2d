"""Does it matter how many keys the store holds, and how many of them are in use? Two stores, measured in turn."""

from typing import Final

from bench.context import Context, Options
from bench.findings import Cell, Plot, Series, Table
from bench.rounds import Contender, Run, median_rate, median_ratio
from bench.scenarios import QUOTA_READ, RESERVE
from bench.scenarios.scenario import Scenario
from bench.traffic import Traffic
from bench.world import World, opened_world

_WANTED: Final = 0.95
_MEASURED: Final = (QUOTA_READ, RESERVE)
_SEEDED_PER_S: Final = 10_000

_SMALL: Final = "small store"
_FEW: Final = "large store, as many keys in use"
_ALL: Final = "large store, all keys in use"


def planned_s(options: Options) -> float:
    runs = (len(options.sizes) - 1) * len(_MEASURED) * 3 * (options.rounds + options.warm_up)
    return runs * (options.seconds + 0.5) + max(options.sizes) / _SEEDED_PER_S


def measure(context: Context) -> None:
    smallest, *larger = context.options.sizes
    runs: dict[tuple[str, int], list[Run]] = {}
    with opened_world(smallest, used_up=0) as small, opened_world(smallest, used_up=0) as large:
        for size in larger:
            context.progress.step(f"throughput with {size:,} keys", planned_s(context.options) / len(larger))
            large.grow(size)
            for scenario in _MEASURED:
                contenders = [
                    _contender(_SMALL, small, scenario, smallest),
                    _contender(_FEW, large, scenario, smallest),
                    _contender(_ALL, large, scenario, size),
                ]
                runs[scenario.name, size] = context.rounds.measure(f"{scenario.name}, {size:,} keys", contenders)
    context.findings.runs += [run for measured in runs.values() for run in measured]
    _report(context, runs)


def _contender(name: str, world: World, scenario: Scenario, in_use: int) -> Contender:
    def traffic(first: int) -> Traffic:
        whole = scenario.traffic(world, first)
        return Traffic(whole.requests, world.keys[:in_use], whole.first, whole.lag)

    return Contender(name=name, server=world.quotad, traffic=traffic)


def _report(context: Context, runs: dict[tuple[str, int], list[Run]]) -> None:
    smallest, *larger = context.options.sizes
    rows: list[list[Cell]] = []
    for (name, size), measured in runs.items():
        for kind, stored, in_use in ((_SMALL, smallest, smallest), (_FEW, size, smallest), (_ALL, size, size)):
            ratio = round(median_ratio(measured, kind, _SMALL), 2)
            rows.append([name, f"{stored:,}", f"{in_use:,}", round(median_rate(measured, kind)), ratio])
    columns = ("scenario", "keys stored", "keys in use", "requests/s", "ratio to the small store")
    note = "A worker keeps the configurations of QUOTAD_CACHED_KEYS keys (10,000); a key beyond them is read and decoded anew."
    context.findings.tables.append(Table("Throughput over the number of keys", columns, rows, note))

    def ratios(scenario: Scenario, kind: str) -> list[float]:
        return [1.0, *(median_ratio(runs[scenario.name, size], kind, _SMALL) for size in larger)]

    series = [Series(f"{scenario.name}: {kind}", ratios(scenario, kind)) for scenario in _MEASURED for kind in (_FEW, _ALL)]
    title = "Throughput over the number of keys"
    context.findings.plots.append(
        Plot("keys.png", title, "lines", "keys stored", f"ratio to {smallest:,} keys", list(context.options.sizes), series, "x")
    )
    for scenario in _MEASURED:
        for kind in (_FEW, _ALL):
            ratio = median_ratio(runs[scenario.name, larger[-1]], kind, _SMALL)
            context.findings.at_least(f"{scenario.name} with {larger[-1]:,} keys against {smallest:,}: {kind}", ratio, _WANTED)
