"""Real traffic again: requests of a recorded trace, or drawn like them, handed out when they are due."""

import csv
import random
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from traffic_quantiles import Trace, drawn

LATE_SECONDS: Final = 0.1
"""A request that begins later than this after it was due counts as late."""


class Arrival(NamedTuple):
    """A request that is due so many seconds after the first one, at speed 1."""

    due: float
    context_tokens: int
    generated_tokens: int


def replayed(path: Path) -> Iterator[Arrival]:
    """What stands in the file, again and again. Raises ValueError or OSError at once where it is no such file."""
    if not sum(1 for _ in _arrivals(path)):
        raise ValueError(f"{path} holds no requests")
    return _endlessly(path)


def _endlessly(path: Path) -> Iterator[Arrival]:
    start = 0.0
    while True:
        due = start
        for arrival in _arrivals(path):
            due = start + arrival.due
            yield arrival._replace(due=due)
        start = due


def _arrivals(path: Path) -> Iterator[Arrival]:
    first: datetime | None = None
    with path.open(newline="") as lines:
        rows = csv.DictReader(lines)
        for row in rows:
            try:
                at = datetime.fromisoformat(row["TIMESTAMP"])
                due = (at - (first or at)).total_seconds()
                context_tokens, generated_tokens = int(row["ContextTokens"]), int(row["GeneratedTokens"])
            except (KeyError, TypeError, ValueError) as error:
                wanted = "TIMESTAMP,ContextTokens,GeneratedTokens"
                raise ValueError(f"{path}, line {rows.line_num} is no line of {wanted}: {error!r}") from error
            first = first or at
            yield Arrival(due, context_tokens, generated_tokens)


def drawn_arrivals(trace: Trace, chance: random.Random) -> Iterator[Arrival]:
    due = 0.0
    while True:
        due += drawn(trace.gaps, chance) / 1_000
        yield Arrival(due, round(drawn(trace.context_tokens, chance)), round(drawn(trace.generated_tokens, chance)))


class Replay:
    """Hands arrivals to whichever user is free; with too few users some start late, which is counted."""

    def __init__(self, arrivals: Iterator[Arrival], speed: float) -> None:
        self.speed = speed
        self.begun = self.late = 0
        self.latest = 0.0
        self._arrivals = arrivals
        self._start: float | None = None

    def next(self) -> tuple[Arrival, float]:
        """And the time by the monotonic clock at which it is due."""
        self._start = self._start or time.monotonic()
        arrival = next(self._arrivals)
        return arrival, self._start + arrival.due / self.speed

    def begin(self, due: float) -> None:
        behind = time.monotonic() - due
        self.begun += 1
        self.late += behind > LATE_SECONDS
        self.latest = max(self.latest, behind)
