"""Tells what is going on and how long the rest will take."""

import sys
import time
from dataclasses import dataclass
from typing import Final

_KNOWN_AFTER_S: Final = 10.0
"""Until so much is done, plans are taken as they are."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds that something is expected to take. `fixed_s` of them are slept through whatever the machine: a soak."""

    seconds: float
    fixed_s: float = 0.0


class Progress:
    """Steps are planned, then taken in that order; the estimate learns from how long they took.

    `step` announces a part of one with the clock in front, `tell` says what came out.
    """

    def __init__(self) -> None:
        self._left: list[Plan] = []
        self._done = Plan(0)
        self._lost_s = 0.0
        self._started = self._step_started = time.monotonic()

    def plan(self, plan: Plan) -> None:
        self._left.append(plan)

    def begin(self) -> None:
        """Of the next planned step."""
        self._step_started = time.monotonic()

    def end(self, lost_s: float = 0) -> float:
        """Of that step; the seconds it took. Those lost to neighbours say nothing about the steps to come."""
        plan = self._left.pop(0)
        self._lost_s += lost_s
        self._done = Plan(self._done.seconds + plan.seconds, self._done.fixed_s + plan.fixed_s)
        return time.monotonic() - self._step_started

    def left_s(self) -> float:
        """What is planned, less what this step has taken of it, longer by the share that steps took longer until now."""
        spent_s = time.monotonic() - self._started
        in_step_s = time.monotonic() - self._step_started
        quick_s = self._done.seconds - self._done.fixed_s
        pace = (spent_s - in_step_s - self._lost_s - self._done.fixed_s) / quick_s if quick_s > _KNOWN_AFTER_S else 1.0
        planned = [pace * (plan.seconds - plan.fixed_s) + plan.fixed_s for plan in self._left]
        current = [max(0.0, planned[0] - in_step_s)] if planned else []
        return sum(current + planned[1:])

    def step(self, text: str) -> None:
        spent_s = time.monotonic() - self._started
        print(f"[{_clock(spent_s)}, about {_clock(self.left_s())} left] {text}", file=sys.stderr, flush=True)

    def tell(self, text: str) -> None:
        print(f"    {text}", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
