"""A small load generator in Python, several processes of it, for machines without wrk.

It takes more of the processors than wrk does, so the servers beside it look slower than they are.
"""

import asyncio
import json
import multiprocessing
import os
import random
import sys
import time
from pathlib import Path

from bench.traffic import Traffic

Latencies = list[float]


class _Connection(asyncio.Protocol):
    """Sends one request after the other; expects answers with a content-length, or none at all."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if not self._transport.is_closing():
            self._sent_at = time.perf_counter()
            self._transport.write(self._run.next_request())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        _, named, rest = head.lower().partition(b"content-length:")
        if len(body) < (int(rest.split(b"\r\n", 1)[0]) if named else 0):
            return
        self._run.answered(int(head[9:12]), len(self._received), time.perf_counter() - self._sent_at)
        self._received = b""
        if self._run.pause_s:
            asyncio.get_running_loop().call_later(random.uniform(0, 2 * self._run.pause_s), self._send)
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost()


class _Run:
    """What one process sends and has seen. Process `place` of `processes` takes every `processes`-th number."""

    def __init__(self, traffic: Traffic, pause_s: float, place: int, processes: int) -> None:
        self._traffic = traffic
        self.pause_s = pause_s
        self._number = traffic.first + place - processes
        self._step = processes
        self._turn = 0
        self.stopping = False
        self.latencies: Latencies = []
        self.refused = self.broken = self.bytes = 0

    def next_request(self) -> bytes:
        requests = self._traffic.requests
        if self._turn % len(requests) == 0:
            self._number += self._step
        request = self._traffic.fill(requests[self._turn % len(requests)], self._number)
        self._turn += 1
        return request

    def answered(self, status: int, size: int, seconds: float) -> None:
        self.latencies.append(seconds)
        self.bytes += size
        self.refused += status >= 400

    def lost(self) -> None:
        self.broken += not self.stopping


async def _drive(run: _Run, host: str, port: int, connections: int, seconds: float) -> float:
    """The seconds that it took: on a busy machine one wakes late."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    made = [await loop.create_connection(lambda: _Connection(run), host, port) for _ in range(connections)]
    await asyncio.sleep(seconds)
    run.stopping = True
    took = time.perf_counter() - began
    for transport, _ in made:
        transport.abort()
    await asyncio.sleep(0)
    return took


def _process(arguments: tuple[Traffic, float, int, int, str, int, int, float]) -> tuple[Latencies, int, int, int, float]:
    traffic, pause_s, place, processes, host, port, connections, seconds = arguments
    run = _Run(traffic, pause_s, place, processes)
    took = asyncio.run(_drive(run, host, port, connections, seconds))
    return run.latencies, run.refused, run.broken, run.bytes, took


def main(arguments: list[str]) -> None:
    address, seconds, connections, requests, keys, first, lag, pause_ms = arguments
    host, _, port = address.partition(":")
    traffic = Traffic(
        tuple(Path(requests).read_bytes().split(b"\0")), Path(keys).read_text().splitlines(), first=int(first), lag=int(lag)
    )
    processes = min(os.cpu_count() or 1, int(connections))
    shares = [int(connections) // processes + (place < int(connections) % processes) for place in range(processes)]
    work = [
        (traffic, float(pause_ms) / 1000, place, processes, host, int(port), share, float(seconds))
        for place, share in enumerate(shares)
    ]
    if processes == 1:
        parts = [_process(work[0])]
    else:
        with multiprocessing.Pool(processes) as pool:
            parts = pool.map(_process, work)
    latencies = sorted(latency for part in parts for latency in part[0]) or [0.0]

    def percentile(share: float) -> float:
        return latencies[min(len(latencies) - 1, int(share * len(latencies)))] * 1e6

    told = {
        "requests": sum(len(part[0]) for part in parts),
        "duration_us": max(part[4] for part in parts) * 1e6,
        "bytes": sum(part[3] for part in parts),
        "refused": sum(part[1] for part in parts),
        "broken": sum(part[2] for part in parts),
        "p50": percentile(0.5),
        "p90": percentile(0.9),
        "p99": percentile(0.99),
        "p999": percentile(0.999),
        "max": latencies[-1] * 1e6,
    }
    print("BENCH", json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
