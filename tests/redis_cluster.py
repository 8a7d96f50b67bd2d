"""A real Redis Cluster on loopback: primaries that share the slots, no replicas, gone with the context."""

import contextlib
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from redis import Redis, RedisCluster

from tests.redis_servers import PATIENCE_S, redis_server
from tests.store.stored_counters import UNDECODED

NODES = 3
SLOTS = 16_384


@contextlib.contextmanager
def redis_cluster(binary: Path, *, nodes: int = NODES) -> Iterator[list[str]]:
    """URLs of the nodes."""
    with contextlib.ExitStack() as stack:
        urls = [
            stack.enter_context(
                redis_server(binary, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000", "--appendonly", "no")
            )
            for _ in range(nodes)
        ]
        clients = [stack.enter_context(Redis.from_url(url, decode_responses=True, encoding_errors=UNDECODED)) for url in urls]
        bounds = [SLOTS * number // nodes for number in range(nodes + 1)]
        for node, (first, end) in zip(clients, pairwise(bounds), strict=True):
            node.execute_command("CLUSTER", "ADDSLOTS", *range(first, end))
            host, port = _address(node)
            for other in clients:
                if other is not node:
                    other.execute_command("CLUSTER", "MEET", host, port)
        deadline = time.monotonic() + 3 * PATIENCE_S
        while not all(_is_whole(node, nodes) for node in clients):
            assert time.monotonic() < deadline, "the nodes do not become a cluster"
            time.sleep(0.05)
        yield urls


def _address(node: Redis) -> tuple[str, int]:
    options: dict[str, Any] = node.connection_pool.connection_kwargs
    return options["host"], options["port"]


def _is_whole(node: Redis, nodes: int) -> bool:
    state = str(node.execute_command("CLUSTER", "INFO"))
    return "cluster_state:ok" in state and f"cluster_known_nodes:{nodes}" in state and f"cluster_slots_ok:{SLOTS}" in state


@contextlib.contextmanager
def cluster_client(url: str) -> Iterator[Redis]:
    """A client of the whole cluster, with the commands of one of a single node: strings in, strings out."""
    client = RedisCluster.from_url(url, decode_responses=True, encoding_errors=UNDECODED)
    try:
        yield cast("Redis", client)
    finally:
        # Closing it alone would leave connections to the garbage collector, the first one among them.
        for node in {*client.nodes_manager.startup_nodes.values(), *client.get_nodes()}:
            if node.redis_connection is not None:
                node.redis_connection.connection_pool.disconnect()
        client.close()
