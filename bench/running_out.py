"""What leases that nobody settles cost: how many pile up, and how long others wait while they run out.

    python -m bench.running_out [--seconds 20] [--ttl 10] [--keys 1000]

First quota is read at a steady rate, at which the worker is not at its limit. Then there are reserves at full speed, never
settled: `open` is the size of the index of open reservations, `due` how many of them have run out and were not swept yet. At
last quota is read at the first rate again, until all have run out. The rate of the sweep grows with how late it is, so `due`
must come to rest. p99 of the reads beside the first line is what a caller waits for because of it.
"""

import argparse
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.load import Measured, drive
from bench.redis_cost import measured_cost
from bench.scenarios import QUOTA_READ
from bench.scenarios.scenario import GATEWAY_WITH_KEY, reserve_body
from bench.servers import end_as_by_ctrl_c
from bench.traffic import GATEWAY_PATH, Traffic, post
from bench.world import World, opened_world
from service.store import keys

RUN_S = 3
PAUSE_MS = 20
WATCHED_EVERY_S = 5.0


def open_and_due(world: World) -> tuple[int, int]:
    seconds, _ = world.redis.time()
    indexes = keys.all_open_indexes()
    is_open = sum(int(world.redis.zcard(index)) for index in indexes)
    return is_open, sum(int(world.redis.zcount(index, "-inf", seconds * 1000)) for index in indexes)


def read_quota(world: World) -> Measured:
    return drive(world.quotad.url, QUOTA_READ.traffic(world, 0), seconds=RUN_S, pause_ms=PAUSE_MS)


def tell_reads(name: str, world: World) -> None:
    started, worker_s, (was_open, _) = time.monotonic(), world.quotad.cpu_s(), open_and_due(world)
    with measured_cost(world.redis) as cost:
        measured = read_quota(world)
    took_s = time.monotonic() - started
    worker, redis = (world.quotad.cpu_s() - worker_s) / took_s, cost[0].cpu_s / took_s
    swept = max(0, was_open - open_and_due(world)[0]) / took_s
    waits = f"p50 {measured.p50_us / 1000:5.2f} ms  p99 {measured.p99_us / 1000:5.2f} ms"
    used = f"worker {worker:4.0%}  Redis {redis:4.0%}"
    print(f"{name:<14}{measured.per_second:>8,.0f} reads/s  {waits}  {used}  swept {swept:,.0f}/s", flush=True)


@contextmanager
def watched(world: World) -> Iterator[None]:
    done, started = threading.Event(), time.monotonic()

    def watch() -> None:
        while not done.wait(WATCHED_EVERY_S):
            is_open, due = open_and_due(world)
            print(f"{time.monotonic() - started:8.0f} s  open {is_open:>8,}  due {due:>8,}", flush=True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def measure(world: World, seconds: int, ttl_s: int) -> None:
    read_quota(world)
    tell_reads("before", world)
    at_first, _ = open_and_due(world)
    body = {**reserve_body(), "ttl": f"{ttl_s}s"}
    unsettled = Traffic((post(f"{GATEWAY_PATH}/reserve", GATEWAY_WITH_KEY, body),), world.keys, 1)
    print(f"\nreserves that nobody settles, ttl {ttl_s} s:")
    with watched(world):
        measured = drive(world.quotad.url, unsettled, seconds=seconds)
    print(f"{measured.per_second:,.0f}/s, {measured.refused + measured.broken} not admitted\n")
    while open_and_due(world)[0] > at_first:
        tell_reads("running out", world)
    tell_reads("after", world)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="of reserves (20)")
    parser.add_argument("--ttl", type=int, default=10, help="of each, in seconds (10)")
    parser.add_argument("--keys", type=int, default=1000, help="how many virtual keys there are (1000)")
    options = parser.parse_args()
    end_as_by_ctrl_c()
    with opened_world(options.keys) as world:
        measure(world, options.seconds, options.ttl)


if __name__ == "__main__":
    main()
