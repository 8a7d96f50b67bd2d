"""Runs `quotad` in a process of its own, as a user does."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
FROM_CHECKOUT = (sys.executable, "-m", "service")


def quotad(*arguments: str) -> list[str]:
    return [*FROM_CHECKOUT, *arguments]


def environment_with(**variables: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)} | variables


class Served:
    """A `quotad serve` that listens: its process, its URL, and what it said before."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.said = ""
        assert process.stdout is not None
        for line in process.stdout:
            self.said += line
            listening = re.match(r"Serving on (\S+) with ", line)
            if listening:
                self.url = listening[1]
                # Read on: a server whose log nobody reads would stop at a full pipe.
                self._rest: list[str] = []
                self._reader = threading.Thread(target=self._rest.extend, args=(process.stdout,), daemon=True)
                self._reader.start()
                return
        pytest.fail(f"quotad ended with {process.wait()} before it served: {self.said}")

    def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return httpx.get(self.url + path, headers=headers, timeout=10)

    def wait_for_last_words(self) -> str:
        self._reader.join()
        return "".join(self._rest)

    def stop(self, how: signal.Signals) -> tuple[int, str]:
        """Exit status and last words. The signal goes to the whole group, as the terminal's Ctrl-C does."""
        os.killpg(self.process.pid, how)
        rest = self.wait_for_last_words()
        return self.process.wait(30), rest


@contextlib.contextmanager
def serve(*arguments: str, cwd: Path, program: Sequence[str] = FROM_CHECKOUT, **variables: str) -> Iterator[Served]:
    """On a free port, until the context ends."""
    with subprocess.Popen(
        [*program, "serve", "--port", "0", *arguments],
        cwd=cwd,
        env=environment_with(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        served = None
        try:
            served = Served(process)
            yield served
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if served is not None:
                served.wait_for_last_words()


def run(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        quotad(*arguments), cwd=cwd, env=environment_with(**environment), capture_output=True, text=True, timeout=300, check=False
    )


def processes_in(folder: Path) -> set[int]:
    """Ids of the processes that work in the folder or below: quotad's and, in its data directory, Redis."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            if link.readlink().is_relative_to(folder):
                found.add(int(link.parent.name))
    return found


def eventually(condition: Callable[[], bool], within_s: float = 60) -> bool:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()
