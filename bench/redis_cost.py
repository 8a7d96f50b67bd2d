"""What decisions cost Redis: processor time, commands, bytes on the wire."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

from redis import Redis


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisCost:
    """Differences of INFO between two moments. `commands` counts those inside scripts, too."""

    cpu_s: float
    scripts: int
    script_us: float
    commands: int
    bytes_in: int
    bytes_out: int

    def __sub__(self, earlier: Self) -> "RedisCost":
        return RedisCost(**{field.name: getattr(self, field.name) - getattr(earlier, field.name) for field in fields(self)})


@contextlib.contextmanager
def measured_cost(*nodes: "Redis") -> Iterator[list[RedisCost]]:
    """Of all nodes together. The list has its one element when the block has ended."""
    spent: list[RedisCost] = []
    before = _so_far(nodes)
    yield spent
    spent.append(_so_far(nodes) - before)


def _so_far(nodes: "Sequence[Redis]") -> RedisCost:
    costs = [_of_node(node) for node in nodes]
    return RedisCost(**{field.name: sum(getattr(cost, field.name) for cost in costs) for field in fields(RedisCost)})


def _of_node(redis: "Redis") -> RedisCost:
    told: dict[str, Any] = {**redis.info("stats"), **redis.info("cpu"), **redis.info("commandstats")}
    evalsha = told.get("cmdstat_evalsha", {"calls": 0, "usec": 0})
    return RedisCost(
        cpu_s=float(told["used_cpu_user"]) + float(told["used_cpu_sys"]),
        scripts=int(evalsha["calls"]),
        script_us=float(evalsha["usec"]),
        commands=int(told["total_commands_processed"]),
        bytes_in=int(told["total_net_input_bytes"]),
        bytes_out=int(told["total_net_output_bytes"]),
    )
