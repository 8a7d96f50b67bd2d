"""Runs a redis-server of our own: starts it on a data directory, keeps it alive, stops it so that nothing is lost."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from logging import Logger
from pathlib import Path

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.store.data_directory import RUNTIME_PREFIX, EmbeddedRedisError, locked, write_owner
from service.store.redis_binary import RedisBinary, RedisBinaryMissing, find_redis_binary

SILENCE_S = 15.0
"""How long a starting server may not answer at all."""
LOADING_S = 1800.0
"""How long it may answer that it is loading its data."""
PROGRESS_S = 5.0
"""Between two lines of the log about how far it is."""
STOP_S = 30.0
"""How long it may take to write what it holds, and end, before it is killed."""
REWRITE_S = 5.0
"""How long a rewrite of the log that is under way may delay the end."""
STEADY_S = 60.0
"""After running this long, a server that dies is started again without a long pause."""
RESTART_PAUSE_S = (0.1, 0.5, 1.0, 2.0, 5.0)
LOG_NAME = "redis.log"
PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def embedded_redis(
    data_dir: Path | None, log: Logger, *, port: int | None = None, meanwhile: Callable[[], None] | None = None
) -> Iterator[str]:
    """URL of a private server that lives as long as the context. `data_dir` None: nothing is kept (tests).

    It listens on a Unix socket only this user can reach, or on a loopback `port` when one is given. It takes a while to load
    its data: time for what can be done `meanwhile`.
    """
    try:
        binary = find_redis_binary()
    except RedisBinaryMissing as missing:
        raise EmbeddedRedisError(str(missing)) from None
    with contextlib.ExitStack() as stack:
        runtime_dir = Path(stack.enter_context(_private_directory()))
        lock_fd = stack.enter_context(locked(data_dir.resolve(), binary)) if data_dir is not None else None
        server = _Server(binary, runtime_dir, data_dir.resolve() if data_dir is not None else None, lock_fd, port, log)
        server.start(meanwhile)
        stack.callback(server.stop)
        if lock_fd is not None:
            write_owner(lock_fd, server.url)
        yield server.url


class _Server:
    """One redis-server process at a time, started again by a thread of ours when it dies."""

    def __init__(
        self, binary: RedisBinary, runtime_dir: Path, data_dir: Path | None, lock_fd: int | None, port: int | None, log: Logger
    ) -> None:
        self._lock_fd = lock_fd
        self._log = log
        self._socket = runtime_dir / "redis.sock"
        self._log_file = (data_dir or runtime_dir) / LOG_NAME
        self._command = [str(binary.path), *_options(binary, data_dir or runtime_dir, data_dir is not None, self._socket, port)]
        self.url = f"unix://{self._socket}" if port is None else f"redis://127.0.0.1:{port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._launching = threading.Lock()  # no process may start after stop() has looked for one
        self._supervisor = threading.Thread(target=self._supervise, name="embedded-redis", daemon=True)

    def start(self, meanwhile: Callable[[], None] | None = None) -> None:
        self._log_file.unlink(missing_ok=True)
        try:
            self._launch(meanwhile)
        except BaseException:  # Ctrl-C while it loads included
            self._terminate()
            raise
        self._supervisor.start()

    def stop(self) -> None:
        with self._launching:
            self._stopping.set()
        self._finish_rewrite()
        self._terminate()
        self._supervisor.join()

    def _launch(self, meanwhile: Callable[[], None] | None = None) -> None:
        with self._launching, open(self._log_file, "ab", opener=_for_us_alone) as output:
            if self._stopping.is_set():
                return
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Its own session: the terminal's Ctrl-C is for quotad, which stops Redis after the last request.
                start_new_session=True,
                preexec_fn=_end_with_parent(),
                # Inherited, so the data directory stays locked until Redis itself is gone.
                pass_fds=() if self._lock_fd is None else (self._lock_fd,),
                # Its files hold virtual keys in clear, whoever may read the directory that was given.
                umask=0o077,
            )
        if meanwhile is not None:
            meanwhile()
        self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        silent_since = started = reported = time.monotonic()
        with self._client() as client:
            while not self._stopping.is_set():
                if process.poll() is not None:
                    raise EmbeddedRedisError(f"The embedded Redis ended at start ({_ending(process)}): {self._last_words()}")
                now = time.monotonic()
                try:
                    info = client.info()
                except RedisError:
                    if now - silent_since > SILENCE_S:
                        raise EmbeddedRedisError(f"The embedded Redis gave no answer within {SILENCE_S:.0f} s.") from None
                else:
                    silent_since = now
                    if info["process_id"] != process.pid:
                        raise EmbeddedRedisError(f"Another Redis already listens on {self.url}.")
                    if not info["loading"]:
                        return
                    if now - started > LOADING_S:
                        raise EmbeddedRedisError(f"The embedded Redis did not load its data within {LOADING_S:.0f} s.")
                    if now - reported > PROGRESS_S:
                        reported = now
                        self._log.info("The embedded Redis is loading its data: %s %% done", info.get("loading_loaded_perc", "?"))
                time.sleep(0.01)

    def _supervise(self) -> None:
        pauses = iter(RESTART_PAUSE_S)
        while True:
            assert self._process is not None
            running_since = time.monotonic()
            self._process.wait()
            if self._stopping.is_set():
                return
            self._log.error("The embedded Redis ended by itself (%s): %s", _ending(self._process), self._last_words())
            if time.monotonic() - running_since > STEADY_S:
                pauses = iter(RESTART_PAUSE_S)
            if self._stopping.wait(next(pauses, RESTART_PAUSE_S[-1])):
                return
            try:
                self._launch()
            except (EmbeddedRedisError, OSError) as error:
                self._log.error("%s", error)
                self._terminate()
                continue
            if not self._stopping.is_set():
                self._log.warning("The embedded Redis runs again, process %d", self._process.pid)

    def _client(self) -> "Redis":
        """Says soon that there is no answer."""
        return Redis.from_url(self.url, socket_timeout=1.0, retry=Retry(NoBackoff(), 0))

    def _finish_rewrite(self) -> None:
        """Redis drops a rewrite of its log when it ends, and loads the log as it was at the next start: that takes three times as
        long as loading what was rewritten.
        """
        deadline = time.monotonic() + REWRITE_S
        with contextlib.suppress(RedisError), self._client() as client:
            while client.info("persistence")["aof_rewrite_in_progress"] and time.monotonic() < deadline:
                time.sleep(0.02)

    def _terminate(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()  # SIGTERM: Redis writes what it holds and ends
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._log.error("The embedded Redis did not end within %.0f s of SIGTERM and was killed", STOP_S)
            process.kill()
            process.wait()

    def _last_words(self) -> str:
        """The end of what it logged, in one line."""
        try:
            lines = self._log_file.read_text(errors="replace").splitlines()
        except OSError:
            return "no log"
        return " | ".join(line.strip() for line in lines[-3:] if line.strip()) or f"nothing in {self._log_file}"


def _options(binary: RedisBinary, folder: Path, durable: bool, socket: Path, port: int | None) -> list[str]:
    packed = "listpack" if binary.version >= (7, 0, 0) else "ziplist"
    options = {
        "port": str(port or 0),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "loglevel": "warning",
        "save": "",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        # An entity is one hash of JSON texts; longer ones than the default 64 bytes stay in the compact encoding.
        f"hash-max-{packed}-value": "1024",
        # Open reservations come and go: a compact index is searched from its start each time, which costs more than a long one.
        f"zset-max-{packed}-entries": "16",
        # Records run out all the time, and Redis deletes them for up to a quarter of each turn: short turns keep nobody waiting.
        "hz": "100",
    }
    if port is None:
        options |= {"unixsocket": str(socket), "unixsocketperm": "700"}
    return [word for name, value in options.items() for word in (f"--{name}", value)]


@contextlib.contextmanager
def _private_directory() -> Iterator[str]:
    """A directory only we can enter; its path is short because that of a Unix socket may have 107 bytes."""
    try:
        path = tempfile.mkdtemp(prefix=RUNTIME_PREFIX)
    except OSError as error:
        raise EmbeddedRedisError(
            f"No directory for the socket of the embedded Redis can be made ({error}): set TMPDIR."
        ) from error
    if len(os.fsencode(path)) > 90:
        Path(path).rmdir()
        path = tempfile.mkdtemp(prefix=RUNTIME_PREFIX, dir="/tmp")
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _for_us_alone(path: str, flags: int) -> int:
    """A Redis that crashes logs what it was asked last, virtual keys included."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _ending(process: "subprocess.Popen[bytes]") -> str:
    status = process.returncode
    return f"signal {-status}" if status is not None and status < 0 else f"status {status}"


def _end_with_parent() -> Callable[[], None] | None:
    """Asks Linux to send the child SIGTERM when we are killed, so that Redis never outlives us."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # looked up before the fork, where loading a library could hang
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask
