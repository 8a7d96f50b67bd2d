"""Starts what is measured and what it is measured against, each in a process of its own, and ends exactly those."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.traffic import ADMIN_TOKEN, GATEWAY_TOKEN
from service.store.embedded import embedded_redis

ROOT: Final = Path(__file__).parents[1]
_PATIENCE_S: Final = 60.0
_LEFT_BEHIND_S: Final = 5.0
_GLANCE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, its workers included."""

    name: str
    url: str
    process: psutil.Process

    def cpu_s(self) -> float:
        """Seconds of processor time so far."""
        return sum(float(used.user + used.system) for used in (process.cpu_times() for process in self._family()))

    def wait_until_idle(self) -> None:
        """For what callers left behind that went away before they were answered: it would slow down whoever is measured next."""
        until = time.monotonic() + _LEFT_BEHIND_S
        used_s = _GLANCE_S
        while used_s > _GLANCE_S / 2 and time.monotonic() < until:
            before_s = self.cpu_s()
            time.sleep(_GLANCE_S)
            used_s = self.cpu_s() - before_s

    def rss_bytes(self) -> int:
        return sum(int(process.memory_info().rss) for process in self._family())

    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def end_as_by_ctrl_c() -> None:
    """Servers that were started are ended on the way out, however one is asked to go, by the end of a terminal too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        # nohup ignores it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The Redis that `quotad serve` would start, appendonly and all, but on a TCP port as in production."""
    with embedded_redis(folder, logging.getLogger("bench.redis"), port=free_port()) as url:
        yield url


@contextlib.contextmanager
def quotad(redis_url: str | None, **settings: object) -> Iterator[Server]:
    """`settings` are those of the service, by name."""
    port = free_port()
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    with running("quotad", command, port, quotad_environment(redis_url, **settings)) as server:
        yield server


def quotad_environment(redis_url: str | None, **settings: object) -> dict[str, str]:
    variables = {
        "admin_token": ADMIN_TOKEN,
        "gateway_token": GATEWAY_TOKEN,
        "log_level": "error",
        # A measured machine is a busy one: a call that waited is slow, not failed.
        "redis_timeout_ms": 5_000,
        "redis_admin_timeout_ms": 30_000,
        **({} if redis_url is None else {"redis_url": redis_url}),
        **settings,
    }
    return {f"QUOTAD_{name.upper()}": str(value) for name, value in variables.items()}


@contextlib.contextmanager
def uvicorn(app: str, environment: Mapping[str, str], *, http: str = "httptools", workers: int = 1) -> Iterator[Server]:
    """What an application factory makes, as its user would serve it: uvloop, httptools, no access log."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", app, "--port", str(port), "--loop", "uvloop", "--http", http]
    command += ["--no-access-log", "--log-level", "error", "--lifespan", "on", "--no-server-header", "--workers", str(workers)]
    with running("uvicorn", command, port, environment) as server:
        yield server


@contextlib.contextmanager
def granian(app: str, environment: Mapping[str, str]) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", app, "--port", str(port), "--loop", "uvloop"]
    command += ["--workers", "1", "--log-level", "error"]
    with running("granian", command, port, environment) as server:
        yield server


@contextlib.contextmanager
def running(name: str, command: Sequence[str], port: int, environment: Mapping[str, str]) -> Iterator[Server]:
    """A process that listens on `port`, until the context ends."""
    inherited = {variable: value for variable, value in os.environ.items() if not variable.startswith("QUOTAD_")}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": str(ROOT)} | dict(environment),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            _wait_until_listening(name, process, port)
            yield Server(name, f"http://127.0.0.1:{port}", psutil.Process(process.pid))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_listening(name: str, process: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with status {process.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{name} did not listen within {_PATIENCE_S:.0f} s")
