"""Runs the HTTP side: one socket, one or several uvicorn workers that share it, a graceful end."""

import contextlib
import gc
import importlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from errno import EADDRINUSE
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from types import FrameType

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.server import HANDLED_SIGNALS
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from service.logs import configure_logging
from service.protocol import Protocol
from service.settings import Settings, load_settings

STALL_S = 10
"""How long a worker may be silent before it is killed and replaced. One that only starts is silent until it has imported the
server, which takes longer than the 5 seconds of uvicorn where many start at once or the machine is busy."""
_SIGNALS_WAIT_S = 0.1
"""How long, at most, no signal is looked at while workers are asked whether they are there."""
GRACE_S = 10
"""How long requests in flight may take once we were asked to stop."""
OVERTIME_S = 5
"""How much longer a worker may take to end."""
KEEP_ALIVE_S = 75
"""Gateways keep connections open between requests; closing early would race with their next one."""

_FROM_TERMINAL = (signal.SIGINT, signal.SIGHUP)

# A full collection walks everything that is cached, and every request waits for it: up to a tenth of a second with the
# default of 700 new objects. What is hot makes no cycles, so little is missed by looking less often.
_GARBAGE_THRESHOLDS = (50_000, 20, 100)

log = logging.getLogger("quotad")


class CannotListen(Exception):
    """The address is taken, not ours or not allowed; the text is one sentence."""


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; nobody can connect before a worker listens on it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        reason = "the port is in use" if error.errno == EADDRINUSE else error.strerror or str(error)
        raise CannotListen(
            f"Cannot serve on {host} port {port}: {reason}. "
            "Choose another with --host and --port, or QUOTAD_HOST and QUOTAD_PORT."
        ) from None
    bound.set_inheritable(True)
    return bound


def url_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(settings: Settings, bound: socket.socket, on_listening: Callable[[], None]) -> int:
    """Serves until SIGINT or SIGTERM and answers the exit status. Workers read `settings` from the environment."""
    config = uvicorn.Config(
        "service.server:worker_app",
        factory=True,
        interface="asgi3",
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        workers=settings.workers,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        timeout_worker_healthcheck=STALL_S,
    )
    threading.Thread(target=_when_listening, args=(bound.dup(), on_listening), daemon=True).start()
    if settings.workers > 1:
        supervisor = _Supervisor(config, sockets=[bound])
        supervisor.run()
        return 1 if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes) else 0
    server = _Server(config)
    try:
        server.run(sockets=[bound])
    except SystemExit:  # it has logged why
        return 1
    return 0 if server.started else 1


class _Server(uvicorn.Server):
    """Ends gracefully on a signal, within GRACE_S; a second one neither hurries it nor is raised again afterwards."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """For good: one that comes while the event loop is closed would break that off."""
        for sig in HANDLED_SIGNALS:
            signal.signal(sig, self.handle_exit)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.should_exit = True


class _Supervisor(Multiprocess):
    """Closes its socket before its workers end: who connects then is refused, where nobody would answer in the backlog."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        on_hangup = signal.getsignal(signal.SIGHUP)
        super().__init__(config, sockets)
        # Else it would start all workers anew when the terminal is closed.
        signal.signal(signal.SIGHUP, on_hangup)

    def init_processes(self) -> None:
        with _unheard_by_workers():
            super().init_processes()

    def keep_subprocess_alive(self) -> None:
        before = list(self.processes)
        if not self.should_exit.is_set():
            self._kill_silent()
        if self.signal_queue:
            return
        with _unheard_by_workers():
            super().keep_subprocess_alive()
        for process in before:
            if process not in self.processes:
                log.warning("worker %s ended (%s) and was replaced", process.pid, process.exitcode)

    def _kill_silent(self) -> None:
        """uvicorn would wait for one after the other, and for no signal meanwhile."""
        silent = list(self.processes)
        for process in silent:
            process.parent_conn.send(b"ping")
        deadline = time.monotonic() + STALL_S
        while silent and not self.signal_queue:
            wait([sign for process in silent for sign in (process.parent_conn, process.process.sentinel)], _SIGNALS_WAIT_S)
            silent = [process for process in silent if process.process.is_alive() and not _has_answered(process)]
            if time.monotonic() > deadline:
                for process in silent:
                    process.kill()
                return

    def terminate_all(self) -> None:
        for bound in self.sockets:
            bound.close()
        super().terminate_all()

    def join_all(self) -> None:
        """A worker that hangs would keep us, and the embedded Redis, for ever."""
        deadline = time.monotonic() + GRACE_S + OVERTIME_S
        for process in self.processes:
            process.process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                log.error("worker %s did not end and was killed", process.pid)
                process.kill()
                process.join()


@contextlib.contextmanager
def _unheard_by_workers() -> Iterator[None]:
    """The terminal sends Ctrl-C, and its end, to all; a worker that starts inside ends when its supervisor says so."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_TERMINAL)
    # Started by the first worker otherwise, and unblocks SIGINT then.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, _FROM_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _has_answered(worker: Process) -> bool:
    if not worker.parent_conn.poll():
        return False
    worker.parent_conn.recv()
    return True


_not_imported: list[Exception] = []
"""What kept the application from being imported. A second attempt may fail with another error: parts are imported by then."""


def import_application() -> None:
    """Before it is needed, where there is time for it. What keeps it from being imported is told when it is needed."""
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    try:
        importlib.import_module("service.app")
    except Exception as error:
        _not_imported.append(error)


def worker_app() -> Callable[..., Awaitable[None]]:
    """What every worker runs, made from QUOTAD_* variables only."""
    configure_logging(load_settings())
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent,), name="end-with-parent", daemon=True).start()
    try:
        if _not_imported:
            raise _not_imported[0]
        from service.app import create_app_from_environment

        return create_app_from_environment()
    except Exception:
        log.exception("The application cannot be made")
        # The status that tells the supervisor not to try again for ever.
        sys.exit(STARTUP_FAILURE)


def _when_listening(bound: socket.socket, then: Callable[[], None]) -> None:
    with bound:
        while not bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            time.sleep(0.02)
    then()


def _end_with(parent: BaseProcess) -> None:
    """A worker whose supervisor was killed would keep the port and serve without Redis."""
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
