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
    """`share` of all processors that went to others, the hypervisor included; known when the block has ended."""

    share: float = 0.0

    @property
    def disturbed(self) -> bool:
        return self.share > DISTURBED


@contextlib.contextmanager
def watching_neighbours() -> Iterator[Neighbours]:
    seen = Neighbours()
    started, all_before, ours_before = time.monotonic(), _busy_s(), _our_s()
    yield seen
    others_s = (_busy_s() - all_before) - (_our_s() - ours_before)
    seen.share = max(0.0, others_s / ((time.monotonic() - started) * (psutil.cpu_count() or 1)))


def wait_for_quiet(patience_s: float) -> None:
    """Returns as soon as the neighbours pause, or when patience ends."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        with watching_neighbours() as seen:
            time.sleep(_GLANCE_S)
        if not seen.disturbed:
            return


def _busy_s() -> float:
    times = psutil.cpu_times()
    # guest is counted in user already.
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def _our_s() -> float:
    """Of this process and all it ever started, ended ones included."""
    total = 0.0
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total
