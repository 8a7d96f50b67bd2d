"""What a stored key costs Redis in memory."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from redis import Redis

from bench.context import Context, Options
from bench.findings import Cell, Table
from bench.seed import Copier, check_copies, create_key
from bench.servers import quotad, redis_server
from bench.world import PROVIDER, budget, key_with_ten_limits, rate_limit


def planned_s(options: Options) -> float:
    return 2 * (2 + options.copies_for_memory / 8_000)


def measure(context: Context) -> None:
    provider = {"provider": PROVIDER, "weight": 1.0, "allowed_models": ["*"], "key_ids": ["*"]}
    plain = {"name": "bench-plain", "budgets": [budget("1M")], "rate_limit": rate_limit("1h"), "provider_configs": [provider]}
    full = {name: value for name, value in key_with_ten_limits("bench-full", "").items() if name != "team_id"}
    rows: list[list[Cell]] = []
    for what, content in (("one budget, one rate limit", plain), ("three budgets, one rate limit, two provider configs", full)):
        context.progress.step(f"memory of a key with {what}")
        each, keys = _bytes_per_key(context, content)
        rows.append([what, round(each), keys])
        if content is plain:
            context.findings.measured("memory", each / 1024, f"over {keys:,} keys")
    columns = ("virtual key with", "bytes in Redis", "measured over keys")
    note = "All of it: configuration, counters, and its places in the listings."
    context.findings.tables.append(Table("Memory of a stored key", columns, rows, note))


def _bytes_per_key(context: Context, content: dict[str, Any]) -> tuple[float, int]:
    count = context.options.copies_for_memory
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        url = stack.enter_context(redis_server(folder))
        redis = stack.enter_context(Redis.from_url(url))
        server = stack.enter_context(quotad(url))
        original = create_key(server.url, content)
        copier = Copier(redis, [original])
        before = _used(redis)
        check_copies(server.url, original, copier.copy(count))
        return (_used(redis) - before) / count, count


def _used(redis: "Redis") -> int:
    return int(redis.info("memory")["used_memory"])
