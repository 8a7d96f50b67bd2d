"""Gateways in processes of their own: many calls at once, repeated with the same id until somebody answers.

They speak HTTP/1.1 themselves, so that on a small machine most of the time is the server's.
"""

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import orjson

PROCESSES: Final = 4
AT_ONCE: Final = 250
"""Connections of one process in a storm."""
GIVE_UP_S: Final = 60.0

Job = dict[str, Any]
Made = TypeVar("Made")


@dataclass
class Answered:
    status: int
    body: dict[str, Any]
    retry_after: str | None = None


@dataclass
class Report:
    """What one client saw. `slowest_s`: of answers that were no success, for which nobody may have to wait."""

    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    slowest_s: float = 0.0
    charged: Counter[str] = field(default_factory=Counter)
    """Nano-dollars by virtual key, of all settlements that were answered in the end."""

    def add(self, other: "Report") -> None:
        self.statuses += other.statuses
        self.charged += other.charged
        self.unanswered += other.unanswered
        self.slowest_s = max(self.slowest_s, other.slowest_s)


class Connection:
    """One keep-alive connection; ConnectionError when the server went away, before it answered or in the midst of it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname, parts.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, operation: str, job: Job) -> Answered:
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(self._host, self._port)
            return await self._exchange(*self._streams, operation, job)
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise ConnectionError from error

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, operation: str, job: Job) -> Answered:
        body = orjson.dumps(job)
        head = f"POST /api/governance/quota/{operation} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        answer = await reader.readexactly(int(headers["content-length"]))
        if headers.get("connection") == "close":
            self.close()
        return Answered(int(status.split()[1]), orjson.loads(answer), headers.get("retry-after"))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def storm(url: str, operation: str, jobs: Sequence[Job]) -> list[Answered]:
    """The part of one process, as many at once as it has connections."""
    return asyncio.run(_storm(url, operation, jobs))


async def _storm(url: str, operation: str, jobs: Sequence[Job]) -> list[Answered]:
    waiting = iter(jobs)

    async def send() -> list[Answered]:
        connection = Connection(url)
        answers = [await connection.post(operation, job) for job in waiting]
        connection.close()
        return answers

    return [answer for answers in await asyncio.gather(*(send() for _ in range(AT_ONCE))) for answer in answers]


def live(url: str, keys: Sequence[str], name: str, *, requests: int, concurrent: int = 8) -> Report:
    """A gateway that reserves and settles, and repeats what was not answered, or answered 503, until it is done."""
    return asyncio.run(_live(url, keys, name, requests, concurrent))


async def _live(url: str, keys: Sequence[str], name: str, requests: int, concurrent: int) -> Report:
    report = Report()
    chance = random.Random(name)
    numbers = iter(range(requests))

    async def serve_requests() -> None:
        connection = Connection(url)
        for number in numbers:
            key, nanousd, tokens = chance.choice(keys), chance.randrange(1, 10**7), chance.randrange(1, 2000)
            asked = {"provider": "openai", "model": "gpt-4o", "virtual_key": key, "tokens": tokens, "cost": nanousd / 10**9}
            used = {"reservation_id": f"{name}-{number}", "input_tokens": tokens, "cost": nanousd / 10**9}
            await _insist(connection, report, "reserve", {**asked, "request_id": f"{name}-{number}"})
            await _insist(connection, report, "settle", used)
            report.charged[key] += nanousd
        connection.close()

    await asyncio.gather(*(serve_requests() for _ in range(concurrent)))
    return report


async def _insist(connection: Connection, report: Report, operation: str, job: Job) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while time.monotonic() < give_up:
        started = time.monotonic()
        try:
            answer = await connection.post(operation, job)
        except ConnectionError:
            report.unanswered += 1
            await asyncio.sleep(0.05)
            continue
        report.statuses[answer.status] += 1
        if answer.status == 200:
            return
        report.slowest_s = max(report.slowest_s, time.monotonic() - started)
        assert answer.status == 503, answer
        assert int(answer.retry_after or 0) >= 1
        await asyncio.sleep(0.05)
    raise AssertionError(f"{operation} of {job} was never done")


class Gateways:
    """Four processes, started once for many tests."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn"))
        for future in [self._pool.submit(time.sleep, 0.2) for _ in range(PROCESSES)]:
            future.result()

    def storm(self, url: str, operation: str, jobs: Sequence[Job]) -> list[Answered]:
        """The jobs shared out among the processes, all at once."""
        futures = self._start(storm, ((url, operation, jobs[number::PROCESSES]) for number in range(PROCESSES)))
        return [answer for future in futures for answer in future.result()]

    def live(self, url: str, keys: Sequence[str], *, requests: int) -> "list[Future[Report]]":
        return self._start(live, ((url, keys, f"gateway {number}") for number in range(PROCESSES)), requests=requests)

    def close(self) -> None:
        self._pool.shutdown()

    def _start(self, call: Callable[..., Made], each: Iterable[tuple[Any, ...]], **options: Any) -> "list[Future[Made]]":
        return [self._pool.submit(call, *arguments, **options) for arguments in each]
