"""Where a figure was taken: a number without commit, machine and caveats is not a number."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from bench.load import generator
from bench.peers import nginx
from bench.servers import ROOT
from service.store.redis_binary import find_redis_binary

_LIBRARIES = ("starlette", "uvicorn", "uvloop", "httptools", "redis", "hiredis", "granian", "limits", "throttled-py", "locust")


def described(seconds: float) -> dict[str, str]:
    redis = find_redis_binary()
    return {
        "taken at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _commit(),
        "processor": _processor(),
        "processors": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Redis": f"{redis.name} {'.'.join(map(str, redis.version))}, appendonly everysec, TCP on loopback",
        "load": _load_generator(seconds),
        "nginx": _nginx(),
        "libraries": ", ".join(f"{name} {version}" for name in _LIBRARIES if (version := _version(name))),
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        return result.stdout.strip()

    if shutil.which("git") is None or not git("rev-parse", "--short", "HEAD"):
        return "unknown"
    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no", "--", "service", "lua", "bench") else ""
    return git("rev-parse", "--short", "HEAD") + changed


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _load_generator(seconds: float) -> str:
    if generator(seconds) == "wrk":
        said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()
        return f"wrk {said[1]}, one thread, 64 connections"
    reason = "wrk is not installed" if shutil.which("wrk") is None else "wrk counts whole seconds"
    return f"processes of our own in Python ({reason}), 64 connections"


def _nginx() -> str:
    """The peer, where it can be one."""
    if not nginx.is_here():
        return "not here with its Lua module and a Lua client of Redis"
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr
    return said.rpartition("/")[2].strip()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
