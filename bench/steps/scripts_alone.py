"""The scripts without quotad: what it sent for one call, sent again and again, by redis-benchmark and by a loop; and PING."""

import re
from functools import partial
from typing import Final

from bench import redis_benchmark
from bench.context import Context, Options
from bench.findings import Cell, Table
from bench.plain_http import ask
from bench.recording import Command, recorded, replay_rate
from bench.scenarios import AUTHORIZE, QUOTA_READ, REFUSED, RESERVE, SETTLE
from bench.scenarios.scenario import Scenario
from bench.traffic import digits
from service.store.keys import open_index

_PIPELINED: Final = 64
_CALLS_PER_S: Final = 10_000
"""So many are prepared: a script that is asked for the same again answers what it has kept, so none is asked twice."""
_MEASURED: Final = (QUOTA_READ, RESERVE, SETTLE, AUTHORIZE, REFUSED)
_FIRST: Final = 900_000_000_000
"""Above every number of the other steps, and of those that redis-benchmark draws."""
_RECORDED: Final = 3
_PING: Final[Command] = [b"PING"]
_DRAWN: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")
"""What may be the id that quotad draws for a call which names none."""


def planned_s(options: Options) -> float:
    by_benchmark = 1 if redis_benchmark.program() else 0
    return (len(_MEASURED) + 2) * (1 + by_benchmark) * (options.seconds + 0.3) + 3 * options.seconds


def measure(context: Context) -> None:
    context.progress.step("scripts alone, and PING")
    url, seconds = context.world.redis_url, context.options.seconds
    rows: list[list[Cell]] = []
    for what, pipelined in (("PING, 64 pipelined", _PIPELINED), ("PING, one after the other", 1)):
        by_loop = replay_rate(url, [[_PING] * pipelined], seconds)
        rows.append([what, 1, _by_benchmark(url, _PING, by_loop * seconds, pipelined), round(by_loop)])
    calls = int(_CALLS_PER_S * seconds)
    trips = []
    for place, scenario in enumerate(_MEASURED):
        number, commands = _recorded(context, scenario, _FIRST + place * 1_000_000, calls)
        trips.append(len(commands))
        sent = [command for command in commands if command[0].upper() == b"EVALSHA"]
        name = _name(context, sent, number)
        by_loop = replay_rate(url, _pipelines(sent, name, number, calls), seconds, again=name is None) / len(sent)
        by_benchmark = None
        # What is settled must have been reserved under that number, and redis-benchmark draws numbers.
        if len(sent) == 1 and scenario.before is None:
            drawn = [part.replace(digits(number), redis_benchmark.RANDOM) for part in sent[0]]
            by_benchmark = _by_benchmark(url, drawn, by_loop * seconds, _PIPELINED)
        rows.append([f"script of {scenario.name}", len(commands), by_benchmark, round(by_loop)])
    note = (
        f"By redis-benchmark: {redis_benchmark.CLIENTS} clients, each with as many calls pipelined as said, for scripts "
        f"{_PIPELINED}; it is missing where it is not installed, for settle, whose numbers must be those of reservations, and "
        "for scripts with NUL in their arguments, which no argument of a program may hold. "
        "By our loop in Python: one client. One call for each script call; quotad merges calls instead, see what a decision "
        "costs Redis."
    )
    columns = ("sent", "round trips per call", "calls/s by redis-benchmark", "calls/s by our loop")
    context.findings.tables.append(Table("Redis alone", columns, rows, note))
    context.findings.measured("round trips", max(trips))


def _by_benchmark(url: str, command: Command, calls: float, pipelined: int) -> int | None:
    if not redis_benchmark.can_send(command):
        return None
    return round(redis_benchmark.rate(url, command, max(1_000, int(calls)), pipelined=pipelined))


def _recorded(context: Context, scenario: Scenario, first: int, calls: int) -> tuple[int, list[Command]]:
    """The number of a call, made when everything that is kept between calls is there, and all that was sent for it. Numbers
    begin at `first`.
    """
    if scenario.before is not None:
        scenario.before(context.world, first, calls)
    traffic = scenario.traffic(context.world, first)
    # So far apart they have the same key.
    apart = max(1, len(traffic.keys))

    def call(number: int) -> None:
        answer = ask(context.world.quotad.url, [traffic.fill(traffic.requests[0], number)])[0]
        if answer.status != scenario.status:
            raise RuntimeError(f"{scenario.name} answered {answer.status}: {answer.body.decode()}")

    warm_up, *numbers = range(first, first + (1 + _RECORDED) * apart, apart)
    call(warm_up)
    recordings = [(number, recorded(context.world.redis_url, partial(call, number))) for number in numbers]
    # Once a second a worker sweeps, for nobody's call.
    return min(recordings, key=lambda recording: len(recording[1]))


def _name(context: Context, sent: list[Command], number: int) -> bytes | None:
    """That of the request in what was sent: ours, or the one that quotad drew. None where there is none."""
    text = b"\n".join(part for command in sent for part in command)
    drawn = (name for name in _DRAWN.findall(text) if context.world.redis.zscore(open_index(name.decode()), name) is not None)
    return digits(number) if digits(number) in text else next(drawn, None)


def _pipelines(sent: list[Command], name: bytes | None, first: int, calls: int) -> list[list[Command]]:
    """Each call has a number of its own in place of the recorded name: what is named again answers what was kept."""
    pipelines = []
    for start in range(first + 1, first + calls, _PIPELINED):
        numbers = range(start, start + _PIPELINED)
        pipelines.append([_renumbered(command, name, number) for number in numbers for command in sent])
    return pipelines


def _renumbered(command: Command, name: bytes | None, number: int) -> Command:
    return command if name is None else [part.replace(name, b"%0*d" % (len(name), number)) for part in command]
