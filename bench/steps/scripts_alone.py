"""The scripts without quotad: what it sent for one call, sent again and again over one pipelined connection; and PING."""

from typing import Final

from bench.context import Context, Options
from bench.findings import Cell, Table
from bench.plain_http import Answer, ask
from bench.recording import Command, recorded, replay_rate
from bench.scenarios import QUOTA_READ, REFUSED, RESERVE, SETTLE
from bench.scenarios.scenario import Scenario
from bench.traffic import digits

_PIPELINED: Final = 64
_CALLS_PER_S: Final = 15_000
"""More than Redis manages, so that no call is repeated."""
_MEASURED: Final = (QUOTA_READ, RESERVE, SETTLE, REFUSED)
_FIRST: Final = 900_000_000_000
"""Above every number of the other steps."""


def planned_s(options: Options) -> float:
    return (len(_MEASURED) + 2) * (options.seconds + 1)


def measure(context: Context) -> None:
    context.progress.step("scripts alone, and PING", planned_s(context.options))
    url, seconds = context.world.redis_url, context.options.seconds
    ping: Command = [b"PING"]
    rows: list[list[Cell]] = [
        ["PING, 64 pipelined", 1, round(replay_rate(url, [[ping] * _PIPELINED], seconds))],
        ["PING, one after the other", 1, round(replay_rate(url, [[ping]], seconds, pipelined=1))],
    ]
    calls = int(_CALLS_PER_S * seconds)
    for place, scenario in enumerate(_MEASURED):
        first = _FIRST + place * 1_000_000
        sent = _sent_for(context, scenario, first, calls)
        rate = replay_rate(url, _pipelines(sent, first, calls), seconds)
        rows.append([f"script of {scenario.name}", len(sent), round(rate / len(sent))])
    note = "One call for each script call, 64 script calls pipelined; quotad merges calls instead, see the table above."
    columns = ("sent by a loop of ours", "round trips per call", "calls/s")
    context.findings.tables.append(Table("Redis alone", columns, rows, note))
    trips = {scenario: int(str(row[1])) for scenario, row in zip(_MEASURED, rows[2:], strict=True)}
    context.findings.at_most("Redis round trips per decision", max(trips.values()), 1)


def _sent_for(context: Context, scenario: Scenario, first: int, calls: int) -> list[Command]:
    """For the call with this number, made when everything that is kept between calls is there."""
    if scenario.before is not None:
        scenario.before(context.world, first - 1, calls)
    traffic = scenario.traffic(context.world, first)
    # The same key as that of the recorded call.
    warm_up, call = (traffic.fill(traffic.requests[0], number) for number in (first - max(1, len(traffic.keys)), first))
    ask(context.world.quotad.url, [warm_up])
    answers: list[Answer] = []
    sent = recorded(context.world.redis_url, lambda: answers.extend(ask(context.world.quotad.url, [call])))
    if answers[0].status != scenario.status:
        raise RuntimeError(f"{scenario.name} answered {answers[0].status}: {answers[0].body.decode()}")
    return [command for command in sent if command[0].upper() == b"EVALSHA"]


def _pipelines(sent: list[Command], first: int, calls: int) -> list[list[Command]]:
    """Each call has a number of its own in place of the recorded one."""
    pipelines = []
    for start in range(first + 1, first + calls, _PIPELINED):
        numbers = range(start, start + _PIPELINED)
        pipelines.append([_renumbered(command, first, number) for number in numbers for command in sent])
    return pipelines


def _renumbered(command: Command, recorded_number: int, number: int) -> Command:
    return [part.replace(digits(recorded_number), digits(number)) for part in command]
