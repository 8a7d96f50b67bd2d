"""How much of the machine others used meanwhile: a round that they disturbed is measured again."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import psutil

DISTURBED: Final = 0.08
"""Share of all processors above which a round says more about the neighbours than about us."""
_GLANCE_S: Final = 0.25


@dataclass(slots=True)
class Neighbours:
    """Shares of all processors, known when the block has ended: of others, the hypervisor included, and of everybody."""

    share: float = 0.0
    busy: float = 0.0

    @property
    def disturbed(self) -> bool:
        return self.share > DISTURBED


@dataclass(slots=True)
class Patience:
    """Seconds that neighbours may cost: before each round, and in the whole run, repeated rounds included."""

    each_s: float
    left_s: float

    @property
    def is_left(self) -> bool:
        return self.left_s > 0

    def wait_for_quiet(self) -> None:
        """Returns as soon as the neighbours pause, or when patience ends."""
        with self.spending():
            until = time.monotonic() + min(self.each_s, self.left_s)
            while time.monotonic() < until:
                with watching_neighbours() as seen:
                    time.sleep(_GLANCE_S)
                if not seen.disturbed:
                    return

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.left_s -= time.monotonic() - started


@contextlib.contextmanager
def watching_neighbours() -> Iterator[Neighbours]:
    seen = Neighbours()
    started, all_before, ours_before = time.monotonic(), _busy_s(), ours_s()
    yield seen
    in_all, by_us = _busy_s() - all_before, ours_s() - ours_before
    there_were_s = (time.monotonic() - started) * (psutil.cpu_count() or 1)
    seen.share, seen.busy = max(0.0, in_all - by_us) / there_were_s, in_all / there_were_s


def _busy_s() -> float:
    times = psutil.cpu_times()
    # guest is counted in user already.
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def ours_s() -> float:
    """Of this process and all it ever started, ended ones included."""
    total = 0.0
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total
