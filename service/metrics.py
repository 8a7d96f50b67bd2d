"""Every metric: its name, its help, its labels. No label holds a key or anything else without bounds.

With several workers each writes to a file of its own in PROMETHEUS_MULTIPROC_DIR (set by the command line before this module is
imported), and whoever is asked adds them up. A lone worker adds up in memory what calls count and hands it to the client
when it is asked: the client takes a lock for every number.
"""

import contextlib
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from service.processes import is_alive

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_SEVERAL_WORKERS: Final = bool(values.ValueClass._multiprocess)
"""Then numbers go to the client at once, as another worker may be asked for them the next moment."""

_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)

_DECISIONS: Final = Counter(
    "quotad_decisions",
    "Answers to reserve and authorize. result: allow, refuse, degraded; scope: the level of the limit that refused.",
    ("result", "reason", "scope"),
)
_CALL_SECONDS: Final = Histogram(
    "quotad_decision_duration_seconds", "Time to answer a call of a gateway.", ("call",), buckets=_BUCKETS_S
)
_SCRIPT_SECONDS: Final = Histogram(
    "quotad_script_duration_seconds", "Time until Redis has answered a script.", ("script",), buckets=_BUCKETS_S
)
_STORE_ERRORS: Final = Counter("quotad_store_errors", "Scripts that Redis failed to answer, or not in time.", ("script",))
_SETTLEMENTS: Final = Counter(
    "quotad_settlements",
    "Ends of reservations. outcome: commit, cancel (released), expired, duplicate (ended so before), unreserved (settled only).",
    ("outcome",),
)
_UNCHARGED: Final = Counter(
    "quotad_uncharged",
    "Requests that may have cost something and were charged nothing. "
    "reason: no_price, no_usage, unknown_reservation, expired, degraded.",
    ("reason",),
)
EXPIRED: Final = Counter("quotad_reservations_expired", "Reservations whose lease ran out before they were settled or released.")
DEGRADED: Final = Gauge(
    "quotad_degraded", "1 while Redis is away and callers are answered without it.", multiprocess_mode="livemax"
)

_USAGE: Final = {
    name: Counter(f"bifrost_{name}", help_text, ("provider", "model"))
    for name, help_text in (
        ("cost", "US dollars charged."),
        ("input_tokens", "Tokens charged, of prompts."),
        ("output_tokens", "Tokens charged, generated."),
        ("cache_read_input_tokens", "Those of the prompts that were read from a cache."),
    )
}
"""Under the names that dashboards of Bifrost read."""


class Count:
    """What was counted under one combination of labels since it was last written."""

    __slots__ = ("_unwritten", "_written")

    def __init__(self, written: Counter) -> None:
        self._written = written
        self._unwritten = 0.0

    def inc(self, amount: float = 1) -> None:
        self._unwritten += amount

    def write(self) -> None:
        if self._unwritten:
            self._written.inc(self._unwritten)
            self._unwritten = 0.0


class Times:
    """The same of durations, by the buckets that they fall into."""

    __slots__ = ("_bounds", "_buckets", "_total_s", "_written")

    def __init__(self, written: Histogram) -> None:
        self._written = written
        self._bounds = written._upper_bounds
        self._buckets = [0] * len(self._bounds)
        self._total_s = 0.0

    def observe(self, seconds: float) -> None:
        self._buckets[bisect_left(self._bounds, seconds)] += 1
        self._total_s += seconds

    def write(self) -> None:
        for place, count in enumerate(self._buckets):
            if count:
                self._written._buckets[place].inc(count)
                self._buckets[place] = 0
        self._written._sum.inc(self._total_s)
        self._total_s = 0.0


_MOST_MODELS: Final = 500
"""Callers name models as they like: those that come when there are this many count as "other"."""
_OTHER: Final = ("other", "other")
_models: dict[tuple[str, str], tuple[Count | Counter, ...]] = {}

_counted: Final[list[Count | Times]] = []
"""All but those of models."""


def _write() -> None:
    for one in chain(_counted, *_models.values()):
        if isinstance(one, Count | Times):
            one.write()


def _count(counter: Counter, *labels: str) -> Count | Counter:
    written = counter.labels(*labels)
    if _SEVERAL_WORKERS:
        return written
    counted = Count(written)
    _counted.append(counted)
    return counted


def _times(histogram: Histogram, label: str) -> Times | Histogram:
    written = histogram.labels(label)
    if _SEVERAL_WORKERS:
        return written
    counted = Times(written)
    _counted.append(counted)
    return counted


@cache
def decisions(result: str, reason: str, scope: str) -> Count | Counter:
    return _count(_DECISIONS, result, reason, scope)


@cache
def call_seconds(call: str) -> Times | Histogram:
    return _times(_CALL_SECONDS, call)


@cache
def script_seconds(script: str) -> Times | Histogram:
    return _times(_SCRIPT_SECONDS, script)


@cache
def store_errors(script: str) -> Count | Counter:
    return _count(_STORE_ERRORS, script)


@cache
def settlements(outcome: str) -> Count | Counter:
    return _count(_SETTLEMENTS, outcome)


@cache
def uncharged(reason: str) -> Count | Counter:
    return _count(_UNCHARGED, reason)


# An alarm on the first increase needs a series to begin with.
for _reason in ("no_price", "no_usage", "unknown_reservation", "expired", "degraded"):
    uncharged(_reason)


def _of_model(counter: Counter, *named: str) -> Count | Counter:
    return counter.labels(*named) if _SEVERAL_WORKERS else Count(counter.labels(*named))


def count_usage(provider: str, model: str, cost: float, input_tokens: int, output_tokens: int, cached_tokens: int) -> None:
    counters = _models.get((provider, model))
    if counters is None:
        named = (provider, model) if len(_models) < _MOST_MODELS else _OTHER
        counters = _models.get(named) or tuple(_of_model(counter, *named) for counter in _USAGE.values())
        _models[named] = counters
    for counter, amount in zip(counters, (cost, input_tokens, output_tokens, cached_tokens), strict=True):
        if amount:
            counter.inc(amount)


def exposition(open_reservations: int | None) -> bytes:
    """Everything there is to scrape. Open reservations are counted in the store for all workers; None: it could not say."""
    _write()
    text = generate_latest(_registry())
    if open_reservations is not None:
        text += b"# HELP quotad_reservations_open Reservations whose lease runs.\n# TYPE quotad_reservations_open gauge\n"
        text += b"quotad_reservations_open %d\n" % open_reservations
    return text


def _registry() -> CollectorRegistry:
    if not _SEVERAL_WORKERS:
        return REGISTRY
    registry = CollectorRegistry()
    collector = _OfAllWorkers(registry)  # type: ignore[no-untyped-call]
    for file in Path(collector._path).glob("gauge_live*_*.db"):
        worker = int(file.stem.rpartition("_")[2])
        if not is_alive(worker):
            mark_process_dead(worker)  # type: ignore[no-untyped-call]
    return registry


class _OfAllWorkers(MultiProcessCollector):
    def collect(self) -> Iterable[Metric]:
        """But for files that a worker has only just made: they are empty for a moment, which the collector cannot read."""
        files = []
        for file in Path(self._path).glob("*.db"):
            with contextlib.suppress(FileNotFoundError):
                if file.stat().st_size:
                    files.append(str(file))
        merged: Iterable[Metric] = self.merge(files, accumulate=True)  # type: ignore[no-untyped-call]
        return merged
