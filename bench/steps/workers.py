"""Two workers against one, on the same Redis; and the same for F, which says what two workers are worth on this machine."""

from typing import Final

from bench.context import Context, Options
from bench.findings import Cell, Plot, Series, Table
from bench.floor_servers import bare
from bench.rounds import Contender, Run, median_rate, median_ratio
from bench.scenarios import QUOTA_READ, RESERVE
from bench.scenarios.scenario import Scenario
from bench.servers import Server, quotad

_WANTED: Final = 1.6
_MEASURED: Final = (QUOTA_READ, RESERVE)
_FLOOR: Final = "F: bare Starlette, answers of quota_read"
_ONE: Final = "1 worker"
_TWO: Final = "2 workers"


def planned_s(options: Options) -> float:
    return 2 * (len(_MEASURED) + 1) * (options.rounds + options.warm_up) * (options.seconds + 0.5) + 5


def measure(context: Context) -> None:
    context.progress.step("two workers against one", planned_s(context.options))
    runs: dict[str, list[Run]] = {}
    with (
        bare(context.world, QUOTA_READ, context.folder, workers=1) as bare_one,
        bare(context.world, QUOTA_READ, context.folder, workers=2) as bare_two,
    ):
        contenders = [_contender(context, _ONE, bare_one, QUOTA_READ), _contender(context, _TWO, bare_two, QUOTA_READ)]
        runs[_FLOOR] = context.rounds.measure("F by workers", contenders)
    with quotad(context.world.redis_url, workers=2) as two:
        for scenario in _MEASURED:
            contenders = [_contender(context, _ONE, context.world.quotad, scenario), _contender(context, _TWO, two, scenario)]
            runs[scenario.name] = context.rounds.measure(f"{scenario.name} by workers", contenders)
    context.findings.runs += [run for measured in runs.values() for run in measured]
    rows: list[list[Cell]] = []
    for name, measured in runs.items():
        for kind in (_ONE, _TWO):
            own = [run for run in measured if run.contender == kind]
            seconds = sum(run.measured.seconds for run in own)
            rows.append(
                [
                    name,
                    kind,
                    round(median_rate(measured, kind)),
                    round(median_ratio(measured, kind, _ONE), 2),
                    round(sum(run.server_cpu_s for run in own) / seconds, 2),
                    round(sum(run.redis.cpu_s for run in own) / seconds, 2),
                    round(sum(run.neighbours for run in own) / len(own), 2),
                ]
            )
        if name != _FLOOR:
            context.findings.at_least(f"{name}: two workers against one", median_ratio(measured, _TWO, _ONE), _WANTED)
    columns = ("scenario", "workers", "requests/s", "ratio", "processors workers", "processors Redis", "share of neighbours")
    note = f"This machine has {context.findings.machine['processors']} processors for load generator, workers and Redis together."
    context.findings.tables.append(Table("Throughput over workers", columns, rows, note))
    series = [Series(name, [median_rate(measured, kind) for kind in (_ONE, _TWO)]) for name, measured in runs.items()]
    context.findings.plots.append(Plot("workers.png", "Throughput over workers", "bars", "", "requests/s", [_ONE, _TWO], series))


def _contender(context: Context, name: str, server: Server, scenario: Scenario) -> Contender:
    return Contender(name=name, server=server, traffic=lambda first: scenario.traffic(context.world, first))
