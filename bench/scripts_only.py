"""How fast Redis runs our scripts, without HTTP and without our coordinator: calls per second, beside PING and a plain script.

    python -m bench.scripts_only [--redis-url URL] [--calls 20000] [--batch 1 8 32] [--open 0] [--index-entries 16]

Starts a Redis of its own unless --redis-url is given (it is flushed!). Six owners, ten limits, clamp; `shared` means that all
calls name the same plan, `spread` that they name fifty keys in five teams of two customers. "us in Redis" is the processor
time of Redis per decision (INFO commandstats), which does not depend on how fast this client is. `--open` reservations are
there beforehand; an index of them that has more than `--index-entries` is not kept compact.
"""

import argparse
import contextlib
import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from typing import Any

from redis import Redis

from bench.servers import end_as_by_ctrl_c
from service.entities import Counter, Kind
from service.reservation import LimitKind, Mode, Plan, PlannedLimit, PlannedOwner
from service.store import keys
from service.store.embedded import embedded_redis
from service.store.keys import Ref
from service.store.packed_plan import PackedPlan, pack
from service.store.reservation_calls import Call, encode_calls, granule_ms
from service.store.scripts import compose, with_flags
from service.windows import Window
from tests.store.stored_counters import encode_counters

LEASE_MS = 600_000
RETENTION_MS = 600_000
PIPELINE = 32
MINUTE, DAY = Window(60_000, ""), Window(86_400_000, "d")
PLENTY = 2**52

# What a rate limiter with five windows needs at least: read five counters, compare, add to all.
FIVE_LIMITS = """
local used = {}
for i = 1, 5 do
  used[i] = tonumber(redis.call('HGET', KEYS[i], 'u') or 0)
  if used[i] + 1 > tonumber(ARGV[i]) then return {'denied', i} end
end
for i = 1, 5 do redis.call('HINCRBY', KEYS[i], 'u', 1) end
return {'granted'}
"""


def plan(number: int) -> Plan:
    owners = [
        (Kind.PROVIDER, "openai"),
        (Kind.MODEL_CONFIG, "gpt-4o"),
        (Kind.MODEL_CONFIG, "any"),
        (Kind.VIRTUAL_KEY, f"key-{number}"),
        (Kind.TEAM, f"team-{number % 5}"),
        (Kind.CUSTOMER, f"customer-{number % 2}"),
    ]
    counted = [
        (0, LimitKind.TOKENS, MINUTE),
        (0, LimitKind.REQUESTS, MINUTE),
        (1, LimitKind.BUDGET, DAY),
        (2, LimitKind.BUDGET, DAY),
        (3, LimitKind.TOKENS, MINUTE),
        (3, LimitKind.REQUESTS, MINUTE),
        (3, LimitKind.BUDGET, DAY),
        (3, LimitKind.BUDGET, DAY),
        (4, LimitKind.BUDGET, DAY),
        (5, LimitKind.BUDGET, DAY),
    ]
    limits = tuple(
        PlannedLimit(
            scope="bench",
            owner_id="bench",
            limit_id="bench",
            kind=kind,
            limit=PLENTY,
            reset_duration="",
            window=window,
            owner=owner,
            slot=slot,
        )
        for slot, (owner, kind, window) in enumerate(counted, start=1)
    )
    return Plan(
        owners=tuple(PlannedOwner(kind=kind, id=owner_id, version=1) for kind, owner_id in owners),
        limits=limits,
        gate=0,
        blocked=None,
        expires_at_ms=None,
        mode=Mode.CLAMP,
        global_version=0,
        key_id=None,
        key_name=None,
        team_id=None,
        customer_id=None,
        provider="openai",
        model="gpt-4o",
        key_ids=("*",),
    )


def reserve_call(packed: PackedPlan, number: int) -> Call:
    detail = b'{"key_ids":["*"],"fallbacks":[],"priced":true}'
    return Call.on(f"request-{number}", packed, (1500, 12_345_678, LEASE_MS, granule_ms(LEASE_MS), 0), detail, "f" * 32, "", "")


def settle_call(packed: PackedPlan, number: int) -> Call:
    return Call.on(f"request-{number}", packed, (1200, 10_000_000, 1, 0), b'{"priced":true}', "")


def explain_call(packed: PackedPlan, _number: int) -> Call:
    return Call(packed, (1500, 12_345_678), ("",))


def configure(redis: Redis, plans: Sequence[Plan], already_open: int) -> None:
    redis.flushall()
    began_ms = int(time.time() * 1000)
    with redis.pipeline(transaction=False) as pipe:
        for request_id in (f"earlier-{number}" for number in range(already_open)):
            pipe.zadd(keys.open_index(request_id), {request_id: began_ms + LEASE_MS})
        pipe.execute()
    for one in plans:
        for place, owner in enumerate(one.owners):
            counters = {limit.slot: Counter(0, began_ms) for limit in one.limits if limit.owner == place}
            fields: dict[Any, Any] = {"v": 1, **encode_counters(counters)}
            redis.hset(keys.usage(Ref(owner.kind, owner.id)), mapping=fields)


def chunks(calls: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (calls[start : start + size] for start in range(0, len(calls), size))


def run(redis: Redis, name: str, commands: Sequence[tuple[Any, ...]], calls: int) -> None:
    redis.config_resetstat()
    started = time.perf_counter()
    for chunk in chunks(commands, PIPELINE):
        with redis.pipeline(transaction=False) as pipe:
            for command in chunk:
                pipe.execute_command(*command)
            pipe.execute()
    elapsed = time.perf_counter() - started
    stats = redis.info("commandstats")
    busy_us = sum(stats[f"cmdstat_{verb}"]["usec"] for verb in ("ping", "evalsha") if f"cmdstat_{verb}" in stats)
    print(f"{name:34} {calls / elapsed:12,.0f} calls/s {busy_us / calls:10.1f} us in Redis")


def measure(redis: Redis, shas: dict[str, str], calls: int, batches: Sequence[int], already_open: int) -> None:
    run(redis, "PING", [("PING",)] * calls, calls)
    five = redis.script_load(FIVE_LIMITS)
    window_keys = [f"{{five}}:{number}" for number in range(5)]
    run(redis, "plain five-limit script", [("EVALSHA", five, 5, *window_keys, *[PLENTY] * 5)] * calls, calls)
    for layout, plans in (("shared", [plan(0)]), ("spread", [plan(number) for number in range(50)])):
        packed = [pack(one) for one in plans]
        for size in batches:
            configure(redis, plans, already_open)
            for script, make in (("reserve", reserve_call), ("explain", explain_call), ("settle", settle_call)):
                made = [make(one, number) for number, one in zip(range(calls), itertools.cycle(packed), strict=False)]
                commands = []
                for chunk in chunks(made, size):
                    redis_keys, args = encode_calls(chunk, retention_ms=RETENTION_MS)
                    commands.append(("EVALSHA", shas[script], len(redis_keys), *redis_keys, "", *args))
                run(redis, f"{script}, {layout}, {size} a script call", commands, calls)


def load(redis: Redis) -> dict[str, str]:
    major = int(redis.info("server")["redis_version"].split(".")[0])
    return {name: redis.script_load(with_flags(compose(name), major)) for name in ("reserve", "explain", "settle")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis-url")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--open", type=int, default=0)
    parser.add_argument("--index-entries", type=int)
    options = parser.parse_args()
    end_as_by_ctrl_c()
    with contextlib.ExitStack() as stack:
        url = options.redis_url or stack.enter_context(embedded_redis(None, logging.getLogger("bench")))
        redis = stack.enter_context(Redis.from_url(url))
        if options.index_entries is not None:
            # Redis 7 still knows the name that Redis 6 had.
            redis.config_set("zset-max-ziplist-entries", options.index_entries)
        print(f"Redis {redis.info('server')['redis_version']}, {options.calls} calls each, {options.open} reservations open")
        measure(redis, load(redis), options.calls, options.batch, options.open)


if __name__ == "__main__":
    main()
