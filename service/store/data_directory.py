"""Guards the data directory of the embedded Redis: one server at a time, and none that cannot read what lies there."""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from service.processes import is_alive
from service.store.redis_binary import RedisBinary

TAKEOVER_S = 10.0
"""How long we wait for the server of a killed quotad to end."""
LOCK_NAME = "quotad.lock"
RUNTIME_PREFIX = "quotad-"
"""How the names of the directories with our sockets begin."""


class EmbeddedRedisError(Exception):
    """The embedded Redis cannot run; the text is for the operator."""


@contextlib.contextmanager
def locked(data_dir: Path, binary: RedisBinary) -> Iterator[int]:
    """An exclusive lock on the data directory: two servers that append to one file would destroy it."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_fd = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise EmbeddedRedisError(f"Cannot use the data directory {data_dir}: {error.strerror}.") from None
    try:
        _acquire(lock_fd, data_dir)
        _tidy_after(lock_fd)
        write_owner(lock_fd, url="")
        if binary.version < (7, 0, 0) and (data_dir / "appendonlydir").exists():
            # 6.2 would not see the files of 7 and start empty.
            raise EmbeddedRedisError(f"{data_dir} was written by Redis 7 or newer and cannot be read by {binary}.")
        yield lock_fd
        os.ftruncate(lock_fd, 0)
    finally:
        os.close(lock_fd)


def write_owner(lock_fd: int, url: str) -> None:
    os.ftruncate(lock_fd, 0)
    try:
        os.pwrite(lock_fd, f"{os.getpid()} {url}\n".encode(), 0)
    except OSError as error:
        raise EmbeddedRedisError(f"Cannot write to the data directory: {error.strerror}.") from None


def holds_data(data_dir: Path) -> bool:
    """Whether a quotad ever ran on this directory."""
    return (data_dir / LOCK_NAME).exists()


def running_embedded_redis(data_dir: Path) -> str | None:
    """URL of the server that another quotad runs on this directory now; None when nobody does."""
    try:
        lock_fd = os.open(data_dir / LOCK_NAME, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        _, url = _owner(lock_fd)
        return url or None
    finally:
        os.close(lock_fd)
    return None


def _acquire(lock_fd: int, data_dir: Path) -> None:
    deadline = time.monotonic() + TAKEOVER_S
    while True:
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner, _ = _owner(lock_fd)
            # The Redis of a quotad that was killed holds the lock until it has written its data.
            if (owner.isdigit() and is_alive(int(owner))) or time.monotonic() > deadline:
                raise EmbeddedRedisError(
                    f"The data directory {data_dir} is in use by another quotad (process {owner or 'unknown'}): "
                    "stop it, or choose another directory with --data-dir."
                ) from None
            time.sleep(0.05)
        else:
            return


def _tidy_after(lock_fd: int) -> None:
    """Removes the socket directory of a quotad that was killed; one that ended by itself has left no URL."""
    _, url = _owner(lock_fd)
    left_over = Path(url.removeprefix("unix://")).parent
    if left_over.name.startswith(RUNTIME_PREFIX):
        shutil.rmtree(left_over, ignore_errors=True)


def _owner(lock_fd: int) -> tuple[str, str]:
    """Process id and URL that the holder of the lock wrote."""
    pid, _, url = os.pread(lock_fd, 4096, 0).decode(errors="replace").strip().partition(" ")
    return pid, url
