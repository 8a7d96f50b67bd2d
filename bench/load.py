"""Drives load at a server with wrk, or with processes of our own where wrk is absent, and says which it was.

wrk counts whole seconds: shorter runs are left to our own processes.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.traffic import Traffic

CONNECTIONS: Final = 64
_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_TO_START_AND_END_S: Final = 120
"""A million keys take a while to read, and so does the sum of millions of answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run. `refused` are answers with a status of 400 and above, `broken` what never was a whole answer."""

    generator: str
    seconds: float
    requests: int
    refused: int
    broken: int
    bytes: int
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def generator(seconds: float) -> str:
    return "python" if seconds < 1 or shutil.which("wrk") is None else "wrk"


def drive(url: str, traffic: Traffic, *, seconds: float, connections: int = CONNECTIONS, pause_ms: int = 0) -> Measured:
    """Closed loop: each connection sends its next request when it has its answer, `pause_ms` later on average."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        requests, keys = Path(folder, "requests"), Path(folder, "keys")
        requests.write_bytes(b"\0".join(traffic.requests))
        keys.write_text("\n".join(traffic.keys))
        files = [str(requests), str(keys), str(traffic.first), str(traffic.lag), str(pause_ms)]
        if generator(seconds) == "wrk":
            return _wrk(url, files, seconds, connections)
        return _python(url, files, seconds, connections)


def _wrk(url: str, files: list[str], seconds: float, connections: int) -> Measured:
    command = ["wrk", "-t1", f"-c{connections}", f"-d{round(seconds)}s", "--timeout", "10s"]
    return _measured("wrk", _output([*command, "-s", str(_SCRIPT), url, "--", *files], seconds))


def _python(url: str, files: list[str], seconds: float, connections: int) -> Measured:
    address = urlsplit(url)
    command = [sys.executable, "-m", "bench.generator", f"{address.hostname}:{address.port}", str(seconds), str(connections)]
    return _measured("python", _output([*command, *files], seconds))


def _output(command: list[str], seconds: float) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + _TO_START_AND_END_S)
    if result.returncode:
        raise RuntimeError(f"{command[0]} failed: {result.stdout}{result.stderr}")
    return result.stdout


def _measured(name: str, output: str) -> Measured:
    told = json.loads(next(line for line in output.splitlines() if line.startswith("BENCH ")).removeprefix("BENCH "))
    return Measured(
        generator=name,
        seconds=told["duration_us"] / 1e6,
        requests=told["requests"],
        refused=told["refused"],
        broken=told["broken"],
        bytes=told["bytes"],
        p50_us=told["p50"],
        p90_us=told["p90"],
        p99_us=told["p99"],
        p999_us=told["p999"],
        max_us=told["max"],
    )
