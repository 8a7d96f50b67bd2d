"""Where several workers count: files of one directory, so that each worker can tell of all; see metrics.py."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from service.processes import is_alive
from service.settings import BadSettings

METRICS_DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Read by prometheus_client when it is imported, which the workers do."""
_PREFIX: Final = "quotad-metrics-"
_process_of: Final = re.compile(rf"{_PREFIX}([0-9]{{1,9}})-.*", re.DOTALL).fullmatch
"""Everybody may make a directory there, by whatever name."""
_SHARED_MEMORY: Final = "/dev/shm"
"""The files are memory of the workers: on a disk that is full, writing to it would end them."""


@contextlib.contextmanager
def metrics_of(workers: int) -> Iterator[None]:
    """Raises BadSettings where there is no place for it."""
    given = os.environ.get(METRICS_DIRECTORY)
    if given is not None and not Path(given).is_dir():
        raise BadSettings(f"{METRICS_DIRECTORY} is set to {given}, which is no directory: make it, or do not set it.")
    if workers == 1 or given is not None:
        yield
        return
    with _directory() as directory:
        os.environ[METRICS_DIRECTORY] = directory
        yield
        del os.environ[METRICS_DIRECTORY]


def _directory() -> "tempfile.TemporaryDirectory[str]":
    failure: OSError | None = None
    for parent in (_SHARED_MEMORY, None):
        try:
            _remove_left_over(Path(parent or tempfile.gettempdir()))
            return tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent, ignore_cleanup_errors=True)
        except OSError as error:
            failure = error
    raise BadSettings(f"No directory for the metrics of several workers can be made ({failure}): set TMPDIR.") from failure


def _remove_left_over(parent: Path) -> None:
    """By supervisors that were killed."""
    for directory in parent.glob(f"{_PREFIX}*-*"):
        named = _process_of(directory.name)
        if named and not is_alive(int(named[1])):
            shutil.rmtree(directory, ignore_errors=True)
