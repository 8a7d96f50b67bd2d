"""Tells what is going on and how long the rest will take."""

import sys
import time


class Progress:
    """Steps are announced with the seconds they are expected to take; the estimate learns from how long they took."""

    def __init__(self) -> None:
        self._planned_s = 0.0
        self._done_s = 0.0
        self._started = time.monotonic()
        self._step_s = 0.0

    def plan(self, seconds: float) -> None:
        self._planned_s += seconds

    def step(self, text: str, seconds: float) -> None:
        """Begins a step that was planned to take so long."""
        self._done_s += self._step_s
        self._step_s = seconds
        spent = time.monotonic() - self._started
        # Steps take longer than planned by about the same share, once some are done.
        pace = spent / self._done_s if self._done_s > 10 else 1.0
        left = max(0.0, self._planned_s - self._done_s) * pace
        print(f"[{_clock(spent)}, about {_clock(left)} left] {text}", file=sys.stderr, flush=True)

    def tell(self, text: str) -> None:
        print(f"    {text}", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
