"""Measures servers against each other: in turn, round by round, in one run; a round that neighbours disturbed is repeated."""

import contextlib
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Final

from redis import Redis

from bench.load import Measured, drive
from bench.neighbours import Patience, watching_neighbours
from bench.plain_http import ask
from bench.progress import Progress
from bench.redis_cost import RedisCost, measured_cost
from bench.servers import Server
from bench.traffic import Traffic

_BLOCK: Final = 10_000_000
"""Numbers that one run may use."""
_MEANINGLESS: Final = 0.02
"""Share of unexpected answers above which a figure says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """`traffic`, `before` and `warm` are given the first number of a run; `before` how many requests may come, too. `warm` comes
    last, when the turns before this one can undo nothing any more.
    """

    name: str
    server: Server
    traffic: Callable[[int], Traffic]
    before: Callable[[int, int], None] | None = None
    warm: Callable[[int], None] | None = None
    operations: int = 1
    status: int = 200
    """What it answers; a refusal: any status from 400 on."""
    count_wrong: Callable[[str], int] | None = None
    """Asks the server at this URL how many operations did not end as the traffic wants, where statuses do not tell."""
    connections: int = 64
    pause_ms: int = 0
    at_first_per_s: int = 10_000
    """A guess on the high side: what is asked of a run that was not prepared for it is answered by an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contender in one round."""

    subject: str
    contender: str
    round: int
    neighbours: float
    """Share of all processors that others used."""
    busy: float
    """Share of all processors that was in use."""
    disturbed: bool
    operations: int
    unexpected: int
    """Requests that were not answered as they should be."""
    measured: Measured
    server_cpu_s: float
    generator_cpu_s: float
    redis: RedisCost

    @property
    def per_second(self) -> float:
        return self.measured.per_second * self.operations

    @property
    def cpu_us(self) -> float:
        """Processor time of the server per operation."""
        return 1e6 * self.server_cpu_s / max(1, self.measured.requests * self.operations)

    @property
    def redis_cpu_us(self) -> float:
        return 1e6 * self.redis.cpu_s / max(1, self.measured.requests * self.operations)


class Rounds:
    """Gives every run numbers of its own. `runs` collects those that count, of all comparisons."""

    def __init__(
        self,
        nodes: "Sequence[Redis]",
        progress: Progress,
        runs: list[Run],
        *,
        rounds: int,
        seconds: float,
        patience: Patience,
        warm_up: bool,
    ) -> None:
        self._nodes = nodes
        self._progress = progress
        self._rounds = rounds
        self._seconds = seconds
        self._patience = patience
        self._warm_up = warm_up
        self._number = 0
        self._runs = runs

    def measure(self, subject: str, contenders: Sequence[Contender], *, seconds: float | None = None) -> list[Run]:
        """Round 0 warms up and is thrown away; while patience lasts, up to as many again are added for disturbed ones.

        Every other round goes backwards, so that nobody always comes after the same one. Raises where a figure would mean
        nothing.
        """
        seconds = seconds or self._seconds
        kept: list[Run] = []
        names = [contender.name for contender in contenders]
        pace = dict.fromkeys(names, 0.0)
        quiet = 0
        if not self._warm_up:
            # What is loaded once is loaded by the first call: a run of a part of a second would consist of that.
            for contender in contenders:
                ask(contender.server.url, contender.traffic(0).sample())
        for number in range(0 if self._warm_up else 1, 2 * self._rounds + 1):
            is_added = number > self._rounds
            if quiet == self._rounds or (is_added and not self._patience.is_left):
                break
            if number:
                self._patience.wait_for_quiet()
            with self._patience.spending() if is_added else contextlib.nullcontext():
                turns = contenders if number % 2 else contenders[::-1]
                # All that takes long beforehand: a turn follows the one before it at once.
                starts = [self._prepared(contender, seconds, pace[contender.name]) for contender in turns]
                runs = [self._run_prepared(subject, *turn, number, seconds) for turn in zip(turns, starts, strict=True)]
                pace = {run.contender: run.measured.per_second for run in runs}
            if number:
                kept += runs
                self._runs += runs
                quiet += not any(run.disturbed for run in runs)
        self._progress.tell("; ".join(f"{name} {median_rate(kept, name):,.0f}/s" for name in names))
        check(kept)
        return kept

    def fresh_number(self) -> int:
        """The first of a block that no other run has."""
        self._number += _BLOCK
        return self._number

    def _prepared(self, contender: Contender, seconds: float, pace: float) -> tuple[int, int]:
        """The first number of its turn, and for how many requests all is there."""
        first = self.fresh_number()
        # Twice what it answered last time, which neighbours may have slowed down; at first a guess.
        count = int((2 * pace or contender.at_first_per_s) * seconds)
        if contender.before is not None:
            contender.before(first, count)
        return first, count

    def _run_prepared(self, subject: str, contender: Contender, start: tuple[int, int], number: int, seconds: float) -> Run:
        first, count = start
        run = self._run(subject, contender, first, number, seconds)
        while contender.before is not None and run.unexpected and run.measured.requests > count:
            # Faster than it was prepared for: the rest asked for what was never there.
            first, count = self._prepared(contender, seconds, run.measured.requests / seconds)
            run = self._run(subject, contender, first, number, seconds)
        return run

    def _run(self, subject: str, contender: Contender, first: int, number: int, seconds: float) -> Run:
        if contender.warm is not None:
            contender.warm(first)
        count_wrong = contender.count_wrong or (lambda _: 0)
        wrong_before = count_wrong(contender.server.url)
        with watching_neighbours() as neighbours, measured_cost(*self._nodes) as cost:
            cpu_before_s, generator_before_s = contender.server.cpu_s(), _ended_children_s()
            measured = drive(
                contender.server.url,
                contender.traffic(first),
                seconds=seconds,
                connections=contender.connections,
                pause_ms=contender.pause_ms,
            )
            cpu_s = contender.server.cpu_s() - cpu_before_s
            generator_cpu_s = _ended_children_s() - generator_before_s
        contender.server.wait_until_idle()
        unexpected = measured.broken + (measured.requests - measured.refused if contender.status >= 400 else measured.refused)
        unexpected += ceil((count_wrong(contender.server.url) - wrong_before) / contender.operations)
        return Run(
            subject=subject,
            contender=contender.name,
            round=number,
            neighbours=neighbours.share,
            busy=neighbours.busy,
            disturbed=neighbours.disturbed,
            operations=contender.operations,
            unexpected=unexpected,
            measured=measured,
            server_cpu_s=cpu_s,
            generator_cpu_s=generator_cpu_s,
            redis=cost[0],
        )


def _ended_children_s() -> float:
    """The load generator is the only process that begins and ends within a run."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(runs: Sequence[Run]) -> None:
    """Raises where fast wrong answers would pass for throughput."""
    for run in runs:
        requests = run.measured.requests
        if run.unexpected > _MEANINGLESS * requests or not requests:
            raise RuntimeError(f"{run.subject}, {run.contender}: {run.unexpected} of {requests} answers were unexpected")


def undisturbed(runs: Sequence[Run]) -> list[Run]:
    """Runs of rounds that no neighbour disturbed; all of them where that leaves fewer than three rounds."""
    disturbed = {(run.subject, run.round) for run in runs if run.disturbed}
    quiet = [run for run in runs if (run.subject, run.round) not in disturbed]
    return quiet if len({run.round for run in quiet}) >= 3 else list(runs)


def of(runs: Sequence[Run], contender: str) -> list[Run]:
    return [run for run in undisturbed(runs) if run.contender == contender]


def median_rate(runs: Sequence[Run], contender: str) -> float:
    return median(run.per_second for run in of(runs, contender))


def median_ratio(
    runs: Sequence[Run], contender: str, to: str, figure: Callable[[Run], float] = lambda run: run.per_second
) -> float:
    """The median of the ratios within each round: both sides had the same weather."""
    floors = {run.round: figure(run) for run in of(runs, to)}
    return median(figure(run) / floors[run.round] for run in of(runs, contender))
