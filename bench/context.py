"""What every step of the bench is given: how thorough to be, where to say what it does, where to put what it finds."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from redis import Redis

from bench.findings import Failure, Findings
from bench.neighbours import Patience
from bench.progress import Progress
from bench.rounds import Rounds
from bench.servers import Server, quotad
from bench.world import World, opened_world


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How much is measured. Seconds are those of one run of one contender: many short rounds say more than few long ones where
    the machine is faster in one second than in the next.
    """

    rounds: int
    seconds: float
    latency_seconds: float
    """Where waits are looked at: in a shorter run those of 64 callers that all begin at once are more than one in a hundred."""
    warm_up: bool
    """Whether a round that is thrown away comes first."""
    tuning: int
    """How many runs may be spent on bringing a server to a wanted rate."""
    pages_s: float
    """Seconds of reading one page again and again."""
    starts: int
    """How often a start is timed."""
    crowding: float
    """How often callers press on once a limit is reached: share of the turns of the accuracy step that are taken."""
    sizes: Sequence[int]
    """Numbers of keys in the store."""
    stored_at_start: int
    """Keys in the store whose start is timed."""
    copies_for_memory: int
    soak_s: float
    patience_s: float
    """How long to wait for neighbours to pause before a round."""
    patience_in_all_s: float
    """How long the whole run may wait for them and repeat rounds that they disturbed (0: not at all)."""
    peers: bool
    shared: bool
    """Whether a step takes what runs already, though it says little about what it measures: a smoke run has no time for more."""
    only: frozenset[str] = frozenset()
    """Steps to take; empty: all."""
    scenarios: frozenset[str] = frozenset()
    """Scenarios whose throughput is measured; empty: all."""


FULL: Final = Options(
    rounds=7,
    # wrk counts whole seconds.
    seconds=1,
    latency_seconds=3,
    warm_up=True,
    tuning=3,
    pages_s=1,
    starts=3,
    crowding=1,
    sizes=(1_000, 100_000, 1_000_000),
    stored_at_start=100_000,
    copies_for_memory=50_000,
    soak_s=600,
    patience_s=10,
    patience_in_all_s=480,
    peers=True,
    shared=False,
)
SMOKE: Final = Options(
    rounds=1,
    # Under a second the load comes from Python, see load.py: wrk counts whole seconds.
    seconds=0.2,
    latency_seconds=0.2,
    warm_up=False,
    tuning=1,
    pages_s=0.1,
    starts=1,
    crowding=0.4,
    sizes=(100, 1_000),
    stored_at_start=1_000,
    copies_for_memory=1_000,
    soak_s=1,
    patience_s=0,
    patience_in_all_s=0,
    peers=False,
    shared=True,
)


@dataclass(frozen=True, slots=True)
class Context:
    options: Options
    progress: Progress
    rounds: Rounds
    world: World
    findings: Findings
    folder: Path
    """For files that live as long as the run."""
    patience: Patience
    kept: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)
    """Ends what steps share."""
    _two_workers: list[Server] = field(default_factory=list, repr=False)

    @contextlib.contextmanager
    def two_workers(self) -> Iterator[Server]:
        """quotad with two workers on the Redis of the world."""
        if not self.options.shared:
            with quotad(self.world.redis_url, workers=2) as server:
                yield server
            return
        if not self._two_workers:
            self._two_workers.append(self.kept.enter_context(quotad(self.world.redis_url, workers=2)))
        yield self._two_workers[0]

    @contextlib.contextmanager
    def world_of(self, count: int) -> Iterator[World]:
        """Another world, of so many keys."""
        if self.options.shared and count <= len(self.world.keys):
            yield self.world
            return
        with opened_world(count, used_up=0) as world:
            yield world

    @contextlib.contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """A failure inside ends only this part of the run: it is told, reported, and makes the run fail in the end."""
        try:
            yield
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            self.findings.failures.append(Failure(what, why))
            self.progress.tell(f"FAILED {what}: {why}")


def rounds_of(nodes: "Sequence[Redis]", options: Options, progress: Progress, findings: Findings, patience: Patience) -> Rounds:
    """On the Redis of these nodes."""
    return Rounds(
        nodes,
        progress,
        findings.runs,
        rounds=options.rounds,
        seconds=options.seconds,
        patience=patience,
        warm_up=options.warm_up,
    )
