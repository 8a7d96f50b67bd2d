"""Redis's own load generator, where it is installed (Debian: redis-tools): calls per second of one command."""

import os
import re
import shutil
import subprocess
from typing import Final
from urllib.parse import urlsplit

from redis import Redis

from bench.recording import Command

RANDOM: Final = b"__rand_int__"
"""Stands for twelve digits, another number in each call."""
NUMBERS: Final = 2_000_000_000
"""So many are drawn from, that hardly one comes twice."""
CLIENTS: Final = 64
_PROGRAMS: Final = ("redis-benchmark", "valkey-benchmark")
_PATIENCE_S: Final = 120
_LAST_ROW: Final = re.compile(r'","(?P<per_second>[\d.]+)"(,"[\d.]+"){6}\s*\Z')
"""Begins with the command itself, whatever stands in that, quotes and commas too."""


def program() -> str | None:
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


def can_send(command: Command) -> bool:
    return program() is not None and not any(b"\0" in part for part in command)


def rate(redis_url: str, command: Command, calls: int, *, pipelined: int = 1) -> float:
    """Calls per second by 64 clients; raises when Redis answered an error, which would be fast."""
    address = urlsplit(redis_url)
    options = ["-h", str(address.hostname), "-p", str(address.port), "-n", str(calls), "-c", str(CLIENTS)]
    options += ["-P", str(pipelined), "-r", str(NUMBERS), "--csv"]
    with Redis.from_url(redis_url) as redis:
        errors_before = _errors(redis)
        sent = [os.fsencode(part) for part in (str(program()), *options)] + command
        result = subprocess.run(sent, capture_output=True, check=False, timeout=_PATIENCE_S)
        errors = _errors(redis) - errors_before
    row = _LAST_ROW.search(result.stdout.decode(errors="replace"))
    if result.returncode or row is None or errors:
        said = result.stderr.decode(errors="replace")[-300:]
        raise RuntimeError(f"redis-benchmark: {errors} errors by Redis, status {result.returncode}: {said}")
    return float(row["per_second"])


def _errors(redis: "Redis") -> int:
    return sum(int(kind["count"]) for kind in redis.info("errorstats").values())
