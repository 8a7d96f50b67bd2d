"""A long run at a moderate rate: keys in Redis, memory of Redis and of the worker must stay flat once they are warm."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from statistics import mean
from typing import Final, cast

from bench.context import Context, Options
from bench.findings import Cell, Plot, Series, Table
from bench.load import Measured, drive
from bench.scenarios.proxies import AUTHORIZE
from bench.scenarios.quota_read import QUOTA_READ
from bench.scenarios.reserve_settle import RESERVE_SETTLE
from bench.scenarios.scenario import GATEWAY_WITH_KEY, reserve_body
from bench.servers import Server
from bench.traffic import GATEWAY_PATH, Traffic, post
from bench.world import World, opened_world
from service.store.keys import LAYOUT, all_open_indexes

_KEYS: Final = 20_000
_CACHED: Final = 2_000
"""Far fewer than there are keys, plans and reservations, so that whatever is kept is also thrown away."""
_RETENTION_S: Final = 5
_LEASE: Final = b"&ttl=5s"
"""Of what is authorized and never settled."""
_LEASE_S: Final = 30
"""Of what is reserved: settled long before, but for what the end of the run cuts off."""
_LONG_S: Final = 60
"""A shorter run says nothing: things expire later than that."""
_PATIENCE_S: Final = _LEASE_S + _RETENTION_S + 25
_PAUSE_MS: Final = 30
_CONNECTIONS: Final = 32
_SAMPLES: Final = 40
_WARM_UP: Final = 0.3
"""Share of the run in which things may still grow."""


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    keys: int
    redis_bytes: int
    worker_bytes: int


def planned_s(options: Options) -> float:
    return options.soak_s + 4 + (_LEASE_S + _RETENTION_S if options.soak_s >= _LONG_S else 0)


def measure(context: Context) -> None:
    soak_s = context.options.soak_s
    context.progress.step(f"soak of {soak_s:.0f} s")
    settings = {
        "retention": f"{_RETENTION_S}s",
        "cached_keys": _CACHED,
        "cached_plans": _CACHED,
        "cached_reservations": _CACHED,
    }
    with opened_world(min(_KEYS, max(context.options.sizes)), used_up=0, **settings) as world:
        before, samples, requests = _records(world), list[_Sample](), 0
        try:
            requests = _run(world, soak_s, samples)
            if soak_s >= _LONG_S:
                left, seconds = _records_left(world, before)
                note = f"{seconds:.0f} s after the last request; a lease lasts {_LEASE_S} s, a record {_RETENTION_S} s longer"
                context.findings.measured("soak expiry", left, note)
        finally:
            # Also of a run that is stopped.
            if samples:
                _report(context, samples, requests, len(world.keys))


def _report(context: Context, samples: Sequence[_Sample], requests: int, keys: int) -> None:
    """`requests` 0: the soak did not come to its end, so it keeps no promise, and nobody counted them."""
    soak_s = context.options.soak_s
    warm = [sample for sample in samples if sample.at_s >= _WARM_UP * soak_s] or samples
    half = len(warm) // 2
    rows: list[list[Cell]] = []
    for promise, what, values in (
        ("soak keys", "keys in Redis", [sample.keys for sample in warm]),
        ("soak Redis", "memory of Redis, MiB", [round(sample.redis_bytes / 2**20, 1) for sample in warm]),
        ("soak worker", "memory of the worker, MiB", [round(sample.worker_bytes / 2**20, 1) for sample in warm]),
    ):
        growth = mean(values[half:]) / mean(values[: max(1, half)])
        rows.append([what, values[0], max(values), values[-1], round(growth, 3)])
        if requests and soak_s >= _LONG_S:
            context.findings.measured(promise, growth, f"{values[0]:,} when warm, {values[-1]:,} at the end of {soak_s:.0f} s")
    columns = ("what", "warm", "highest", "at the end", "second half / first half")
    length = f"{requests:,} requests in {soak_s:.0f} s" if requests else f"Ended after {samples[-1].at_s:.0f} s"
    note = (
        f"{length}: reserve, settle, authorize and quota reads over {keys:,} keys; "
        f"records and leases that nobody settles last {_RETENTION_S} s, caches hold {_CACHED:,} entries each."
    )
    context.findings.tables.append(Table("Soak", columns, rows, note))
    axis = [round(sample.at_s, 1) for sample in samples]
    series = [
        Series("keys in Redis", [sample.keys / samples[-1].keys for sample in samples]),
        Series("memory of Redis", [sample.redis_bytes / samples[-1].redis_bytes for sample in samples]),
        Series("memory of the worker", [sample.worker_bytes / samples[-1].worker_bytes for sample in samples]),
    ]
    context.findings.plots.append(Plot("soak.png", "Soak: relative to the end", "lines", "s", "share of the end", axis, series))


def _run(world: World, soak_s: float, samples: list[_Sample]) -> int:
    """Adds to `samples`; how many requests were answered."""
    requests = (
        post(f"{GATEWAY_PATH}/reserve", GATEWAY_WITH_KEY, {**reserve_body(), "ttl": f"{_LEASE_S}s"}),
        RESERVE_SETTLE.traffic(world, 0).requests[-1],
        *(request.replace(b" HTTP/1.1", _LEASE + b" HTTP/1.1", 1) for request in AUTHORIZE.traffic(world, 0).requests),
        *QUOTA_READ.traffic(world, 0).requests,
    )
    traffic = Traffic(requests, world.keys, first=1_000, lag=1_000)
    assert RESERVE_SETTLE.before is not None
    RESERVE_SETTLE.before(world, 1_000, 0)
    outcome: Future[Measured] = Future()

    def load() -> None:
        try:
            outcome.set_result(drive(world.quotad.url, traffic, seconds=soak_s, connections=_CONNECTIONS, pause_ms=_PAUSE_MS))
        except Exception as error:
            outcome.set_exception(error)

    # A daemon: whoever stops the run need not wait for its end.
    threading.Thread(target=load, daemon=True).start()
    started = time.monotonic()
    while not outcome.done():
        samples.append(_sample(world, world.quotad, time.monotonic() - started))
        wait([outcome], soak_s / _SAMPLES)
    # Taken as the load ended, or behind it.
    del samples[-1:]
    run = outcome.result()
    if run.broken or run.refused > 0.001 * run.requests:
        raise RuntimeError(f"of {run.requests} answers {run.refused} were refusals and {run.broken} broken")
    return run.requests


def _sample(world: World, server: Server, at_s: float) -> _Sample:
    return _Sample(at_s, int(world.redis.dbsize()), int(world.redis.info("memory")["used_memory"]), server.rss_bytes())


def _records_left(world: World, before: set[bytes]) -> tuple[int, float]:
    """How many there are once there are none or patience ends; and when that was."""
    started = time.monotonic()
    while True:
        left = len(_records(world) - before)
        waited = time.monotonic() - started
        if left == 0 or waited > _PATIENCE_S:
            return left, waited
        time.sleep(1)


def _records(world: World) -> set[bytes]:
    """Records of requests, and what the lists of open ones name."""
    named = [cast("list[bytes]", world.redis.zrange(name, 0, -1)) for name in all_open_indexes()]
    return {*world.redis.scan_iter(match=f"{LAYOUT}:{{r*}}:id:*", count=1_000), *(name for names in named for name in names)}
