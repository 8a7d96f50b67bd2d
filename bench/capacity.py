"""How many Redis nodes and workers for how many decisions: `python -m bench.capacity --results DIR` prints bench/capacity.md.

DIR is the folder of a run of the bench with the steps throughput and cluster, or holds such folders: then the latest counts.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any, Final

from bench.findings import Cell, Table
from bench.floor_servers import QUOTAD
from bench.raw import raw_of
from bench.report import markdown_table
from bench.steps.cluster import CLUSTER

_BUSY: Final = 0.6
"""Share of a processor that is planned for: above it waiting times grow, and a burst or the loss of a node has no room."""
_RATES: Final = (1_000, 10_000, 100_000, 1_000_000)
_LEAST_NODES: Final = 3
_PARTS: Final = 6
"""On a cluster: the slots of provider, model, key, team and customer, and that of the record of the request."""
_CALLS_OF_A_DECISION: Final = 2
"""reserve and settle."""
_SCENARIO: Final = "reserve_settle"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one decision: a reserve and the settle that follows it."""

    worker_us: float
    redis_us: float
    scripts: float
    bytes: float


def cost_of(runs: Sequence[dict[str, Any]], subject: str, contender: str, calls: int) -> Cost:
    """`calls`: how many operations make a decision."""
    own = [run for run in runs if run["subject"] == subject and run["contender"] == contender]
    if not own:
        raise SystemExit(f"The run has no '{subject}' of '{contender}': take the steps throughput and cluster.")
    quiet = [run for run in own if not run["disturbed"]] or own
    decisions = sum(run["measured"]["requests"] * run["operations"] for run in quiet) / calls
    return Cost(
        worker_us=1e6 * sum(run["server_cpu_s"] for run in quiet) / decisions,
        redis_us=1e6 * sum(run["redis"]["cpu_s"] for run in quiet) / decisions,
        scripts=sum(run["redis"]["scripts"] for run in quiet) / decisions,
        bytes=sum(run["redis"]["bytes_in"] + run["redis"]["bytes_out"] for run in quiet) / decisions,
    )


def bearable(us: float) -> int:
    """How many a second one processor bears that spends so long on each."""
    return int(_BUSY * 1e6 / us)


def plan(rate: int, single: Cost, cluster: Cost) -> list[Cell]:
    """One row of the table: Redises of their own for parts of the traffic, or a cluster for all of it."""
    row: list[Cell] = [f"{rate:,}"]
    for cost, least in ((single, 1), (cluster, _LEAST_NODES)):
        redis, workers = (ceil(rate * us / 1e6 / _BUSY) for us in (cost.redis_us, cost.worker_us))
        row += [max(least, redis), workers, round(8 * rate * cost.bytes / 1e6)]
    return row


def page(raw: dict[str, Any]) -> str:
    runs, machine = raw["runs"], raw["machine"]
    single = cost_of(runs, _SCENARIO, QUOTAD, _CALLS_OF_A_DECISION)
    cluster = cost_of(runs, f"{_SCENARIO} on a cluster", CLUSTER, _CALLS_OF_A_DECISION)
    read = cost_of(runs, "quota_read", QUOTAD, 1)
    read_on_cluster = cost_of(runs, "quota_read on a cluster", CLUSTER, 1)
    costs = Table(
        "",
        ("what", "where", "worker CPU us", "Redis CPU us", "script calls", "bytes to and from Redis"),
        [
            _row("decision: reserve and settle", "one Redis", single),
            _row("decision: reserve and settle", "cluster", cluster),
            _row("quota read", "one Redis", read),
            _row("quota read", "cluster", read_on_cluster),
        ],
    )
    columns = ("decisions/s", "single Redises", "workers", "Mbit/s", "primaries of a cluster", "workers there", "Mbit/s there")
    plans = Table("", columns, [plan(rate, single, cluster) for rate in _RATES])
    return _PAGE.format(
        machine="\n".join(f"- {name}: {value}" for name, value in machine.items() if name not in ("libraries", "nginx")),
        neighbours=f"{max(run['neighbours'] for run in runs):.0%}",
        costs="\n".join(markdown_table(costs)),
        plans="\n".join(markdown_table(plans)),
        busy=f"{_BUSY:.0%}",
        one=f"{bearable(single.redis_us):,}",
        worker=f"{bearable(single.worker_us):,}",
        more=f"{cluster.redis_us / single.redis_us:.1f}",
        parts=_PARTS,
        scripts=f"{cluster.scripts:.1f}",
        merged=f"{_CALLS_OF_A_DECISION / single.scripts:.0f}",
        three=f"{_LEAST_NODES * bearable(cluster.redis_us):,}",
        owner=f"{bearable(cluster.redis_us / _PARTS):,}",
    )


def _row(what: str, where: str, cost: Cost) -> list[Cell]:
    return [what, where, round(cost.worker_us), round(cost.redis_us), round(cost.scripts, 2), round(cost.bytes)]


_PAGE: Final = """\
# Capacity

How many Redis nodes and workers a load needs, computed from what a decision was measured to cost. Written by
`python -m bench.capacity --results DIR > bench/capacity.md` from a run of `python -m bench`; do not edit it.

{machine}
- neighbours: other processes used up to {neighbours} of the machine meanwhile

## What a decision costs

A decision is one `reserve` and the `settle` that follows it, for a key with 6 owners and 10 limits.

{costs}

Processor time of all workers, and of all Redis nodes. Fewer script calls than calls: those of one event-loop tick share one,
{merged} of them in this run on one Redis. Workers that are less busy merge less, and then a decision costs Redis more.

## How many

{plans}

    primaries = decisions/s x Redis CPU us / 1,000,000 / {busy}
    workers   = decisions/s x worker CPU us / 1,000,000 / {busy}
    network   = decisions/s x bytes x 8

Redis runs scripts on one processor, a worker on another: each is planned to be {busy} busy, so that bursts have room. One
Redis bears {one} decisions/s, one worker {worker}. More than one single Redis means more than one quotad: each has customers,
teams and keys of its own, and limits of providers and models divided among them. The cluster keeps everything together and
pays for it. Replicas, which take the same writes, and what else shares the machines come on top.

## What a cluster changes

- All keys of an owner live in one slot, those of different owners in different ones. A decision over six owners is a script
  call for each slot that they live in and one for the record of the request, {parts} in all, at the same time; settle writes
  the record first, then the parts. After merging that is {scripts} script calls for a decision, and {more} times the Redis
  CPU. How many nodes share the slots makes no difference to that, only to who pays.
- An owner never spreads over nodes: one that every request counts against (a provider, a model, one customer) costs its node
  a part of each reserve and each settle, about 1/{parts} of what a decision costs Redis: with nothing else on that node about
  {owner} decisions/s. A row above that assumes traffic whose owners differ; a limit of one provider that must hold beyond it
  is to be divided, each share with a Redis of its own. Limits of keys and teams need no such thing.
- The nodes that were measured wrote no append-only file; the single Redis did, every second.
- Three nodes of a cluster bear {three} decisions/s where owners lie evenly, one Redis alone {one}: the first step gains
  little or nothing but its replicas. A faster processor for the one Redis and batches (`POST .../quota/batch`) come first.
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), help="folder of a run, or of runs")
    sys.stdout.write(page(raw_of(parser.parse_args(arguments).results)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
