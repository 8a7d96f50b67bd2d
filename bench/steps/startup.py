"""From starting `quotad serve` on its own data directory to the first quota answer."""

import tempfile
import time
from pathlib import Path
from statistics import median

from redis import Redis

from bench.context import FULL, Context, Options
from bench.findings import Table
from bench.plain_http import ask
from bench.seed import Copier
from bench.servers import quotad, redis_server
from bench.traffic import QUOTA_PATH, get
from bench.world import seed_owners


def planned_s(options: Options) -> float:
    return 3 + options.starts + options.stored_at_start / 5_000


def measure(context: Context) -> None:
    count = context.options.stored_at_start
    context.progress.step(f"start with {count:,} keys stored")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        value = _seed(Path(folder), count)
        seconds = [_seconds_to_answer(Path(folder), value) for _ in range(context.options.starts)]
    context.findings.tables.append(
        Table(
            "Start on an embedded Redis",
            ("keys stored", "starts", "fastest s", "median s", "slowest s"),
            [[count, context.options.starts, round(min(seconds), 2), round(median(seconds), 2), round(max(seconds), 2)]],
            "From the start of the process to the answer of the first quota read, connections refused until then included.",
        )
    )
    context.findings.measured("start", median(seconds), "" if count == FULL.stored_at_start else f"{count:,} keys stored")


def _seed(folder: Path, count: int) -> str:
    with redis_server(folder) as url, Redis.from_url(url) as redis, quotad(url) as server:
        originals = seed_owners(server.url)
        return Copier(redis, originals).copy(count)[-1]


def _seconds_to_answer(folder: Path, value: str) -> float:
    request = get(QUOTA_PATH, {"x-bf-vk": value})
    started = time.monotonic()
    with quotad(None, data_dir=folder) as server:
        answer = ask(server.url, [request])[0]
        elapsed = time.monotonic() - started
        if answer.status != 200:
            raise RuntimeError(f"the first answer was {answer.status}: {answer.body.decode()}")
        return elapsed
