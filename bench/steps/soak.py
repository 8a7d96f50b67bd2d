"""A long run at a moderate rate: keys in Redis, memory of Redis and of the worker must stay flat once they are warm."""

import threading
import time
from dataclasses import dataclass
from statistics import mean
from typing import Final

from bench.context import Context, Options
from bench.findings import Cell, Plot, Series, Table
from bench.load import drive
from bench.scenarios.proxies import AUTHORIZE
from bench.scenarios.quota_read import QUOTA_READ
from bench.scenarios.reserve_settle import RESERVE_SETTLE
from bench.servers import Server
from bench.traffic import Traffic
from bench.world import World, opened_world

_KEYS: Final = 20_000
_CACHED: Final = 2_000
"""Far fewer than there are keys, plans and reservations, so that whatever is kept is also thrown away."""
_RETENTION_S: Final = 5
_LEASE: Final = b"&ttl=5s"
"""Of what is authorized and never settled."""
_PAUSE_MS: Final = 30
_CONNECTIONS: Final = 32
_SAMPLES: Final = 40
_WARM_UP: Final = 0.3
"""Share of the run in which things may still grow."""
_GROWTH: Final = 1.05


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    keys: int
    redis_bytes: int
    worker_bytes: int


def planned_s(options: Options) -> float:
    return options.soak_s + 10


def measure(context: Context) -> None:
    soak_s = context.options.soak_s
    context.progress.step(f"soak of {soak_s:.0f} s", planned_s(context.options))
    settings = {
        "retention": f"{_RETENTION_S}s",
        "cached_keys": _CACHED,
        "cached_plans": _CACHED,
        "cached_reservations": _CACHED,
    }
    with opened_world(min(_KEYS, max(context.options.sizes)), used_up=0, **settings) as world:
        samples, requests = _run(world, soak_s)
    warm = [sample for sample in samples if sample.at_s >= _WARM_UP * soak_s] or samples
    half = len(warm) // 2
    rows: list[list[Cell]] = []
    for what, values in (
        ("keys in Redis", [sample.keys for sample in warm]),
        ("memory of Redis, MiB", [round(sample.redis_bytes / 2**20, 1) for sample in warm]),
        ("memory of the worker, MiB", [round(sample.worker_bytes / 2**20, 1) for sample in warm]),
    ):
        growth = mean(values[half:]) / mean(values[: max(1, half)])
        rows.append([what, values[0], max(values), values[-1], round(growth, 3)])
        # A few seconds say nothing: things expire later than that.
        if soak_s >= 60:
            context.findings.at_most(f"soak: {what}, second half of the warm run against the first", growth, _GROWTH)
    columns = ("what", "warm", "highest", "at the end", "second half / first half")
    note = (
        f"{requests:,} requests in {soak_s:.0f} s: reserve, settle, authorize and quota reads over {len(world.keys):,} keys; "
        f"records and leases that nobody settles last {_RETENTION_S} s, caches hold {_CACHED:,} entries each."
    )
    context.findings.tables.append(Table("Soak", columns, rows, note))
    axis = [round(sample.at_s) for sample in samples]
    series = [
        Series("keys in Redis", [sample.keys / samples[-1].keys for sample in samples]),
        Series("memory of Redis", [sample.redis_bytes / samples[-1].redis_bytes for sample in samples]),
        Series("memory of the worker", [sample.worker_bytes / samples[-1].worker_bytes for sample in samples]),
    ]
    context.findings.plots.append(Plot("soak.png", "Soak: relative to the end", "lines", "s", "share of the end", axis, series))


def _run(world: World, soak_s: float) -> tuple[list[_Sample], int]:
    requests = (
        *RESERVE_SETTLE.traffic(world, 0).requests,
        *(request.replace(b" HTTP/1.1", _LEASE + b" HTTP/1.1", 1) for request in AUTHORIZE.traffic(world, 0).requests),
        *QUOTA_READ.traffic(world, 0).requests,
    )
    traffic = Traffic(requests, world.keys, first=1_000, lag=1_000)
    assert RESERVE_SETTLE.before is not None
    RESERVE_SETTLE.before(world, 1_000, 0)
    answered: list[int] = []

    def load() -> None:
        run = drive(world.quotad.url, traffic, seconds=soak_s, connections=_CONNECTIONS, pause_ms=_PAUSE_MS)
        if run.broken or run.refused > 0.001 * run.requests:
            raise RuntimeError(f"of {run.requests} answers {run.refused} were refusals and {run.broken} broken")
        answered.append(run.requests)

    thread = threading.Thread(target=load)
    thread.start()
    started = time.monotonic()
    samples = []
    while thread.is_alive():
        samples.append(_sample(world, world.quotad, time.monotonic() - started))
        thread.join(soak_s / _SAMPLES)
    if not answered:
        raise RuntimeError("the load of the soak failed")
    return samples[:-1], answered[0]


def _sample(world: World, server: Server, at_s: float) -> _Sample:
    return _Sample(at_s, int(world.redis.dbsize()), int(world.redis.info("memory")["used_memory"]), server.rss_bytes())
