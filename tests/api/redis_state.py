"""What tests see and set in Redis behind the API's back: all contents, counters, and what a call costs there."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

import service.entities
from service.entities import Kind
from service.store import keys
from service.store.keys import Ref
from tests.store.stored_counters import store_counter, stored_counters


def contents(redis: Redis) -> dict[str, object]:
    """Every key with its value and its time to live: equal before and after means that nothing was written.

    Not DUMP: a read may go on with the rehashing of a hash, and then its fields are dumped in another order.
    """
    names = sorted(redis.scan_iter(count=1_000))
    with redis.pipeline(transaction=True) as pipe:
        for name in names:
            pipe.type(name)
        types = pipe.execute()
        for name, kind in zip(names, types, strict=True):
            pipe.pttl(name)
            match kind:
                case "hash":
                    pipe.hgetall(name)
                case "zset":
                    pipe.zrange(name, 0, -1, withscores=True)
                case "string":
                    pipe.get(name)
                case _:
                    raise AssertionError(f"{name} is a {kind}")
        answers = iter(pipe.execute())
    return dict(zip(names, zip(answers, answers, strict=True), strict=True))


def virtual_key(entity: dict[str, Any]) -> Ref:
    return Ref(Kind.VIRTUAL_KEY, entity["id"])


def set_counter(
    redis: Redis, owner: Ref, limit_id: str, *, usage: int, slot: str = "slot", last_reset_ms: int | None = None, held: int = 0
) -> None:
    """As if requests had been charged: `slot` of a rate limit is token_slot or request_slot; of a budget, nano-dollars."""
    config: dict[str, str] = redis.hgetall(keys.config(owner))  # type: ignore[assignment]
    numbers = [found[slot] for text in config.values() for found in _objects(json.loads(text)) if found.get("id") == limit_id]
    assert len(numbers) == 1, f"{owner} has no {slot} of {limit_id}"
    if last_reset_ms is None:
        last_reset_ms = stored_counters(redis, keys.usage(owner))[numbers[0]].last_reset_ms
    store_counter(redis, keys.usage(owner), numbers[0], service.entities.Counter(usage, last_reset_ms, held))


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _objects(inner)


@dataclass
class Traffic:
    """`commands` counts those inside scripts too; a script, a pipeline and a lone command are one `round_trips` each."""

    commands: Counter[str] = field(default_factory=Counter)
    round_trips: int = 0


@contextmanager
def traffic(redis: Redis) -> Iterator[Traffic]:
    """What is sent to Redis inside the block. Connections must be open and scripts loaded before."""
    seen = Traffic()
    commands, reads = _statistics(redis)
    yield seen
    commands_after, reads_after = _statistics(redis)
    seen.commands = commands_after - commands
    # The question itself was read twice from the network after the first count, once each for its two parts.
    seen.round_trips = reads_after - reads - 2


def _statistics(redis: Redis) -> tuple[Counter[str], int]:
    reads = redis.info("stats")["total_reads_processed"]
    stats: dict[str, dict[str, int]] = redis.info("commandstats")
    calls = Counter({name.removeprefix("cmdstat_"): stat["calls"] for name, stat in stats.items()})
    del calls["info"]
    return calls, int(reads)
