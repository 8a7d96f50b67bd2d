"""What quotad promises, in the order of the report. Steps measure; what a run did not measure is shown as such."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Kept when what is measured is at least, or at most, what was promised."""

    step: str
    what: str
    wanted: float
    at_least: bool = False
    unit: str = ""
    goal: float | None = None
    or_reason: bool = False
    """Where it is not kept, the measured reason must stand beside it."""

    @property
    def wanted_text(self) -> str:
        number = f">= {self.wanted:.2f}" if self.at_least else f"<= {self.wanted:g}{self.unit}"
        return number + (f" (goal {self.goal:.2f})" if self.goal else "") + (", or why not" if self.or_reason else "")

    def measured_text(self, measured: float) -> str:
        if self.wanted == 0:
            return f"{measured:,g}"
        digits = 2
        # Rounded to the other side it would belie the verdict.
        while digits < 6 and self.is_kept(round(measured, digits)) != self.is_kept(measured):
            digits += 1
        return f"{measured:.{digits}f}{self.unit}"

    def is_kept(self, measured: float) -> bool:
        return measured >= self.wanted if self.at_least else measured <= self.wanted


def _ratio_to_floor(what: str, wanted: float, goal: float | None = None) -> Promise:
    return Promise(step="throughput", what=f"{what}: ratio to F", wanted=wanted, at_least=True, goal=goal)


def _many_keys(scenario: str, in_use: str) -> Promise:
    what = f"{scenario} with 1,000,000 keys against 1,000, {in_use}"
    return Promise(step="sizes", what=what, wanted=0.95, at_least=True)


def _two_workers(scenario: str) -> Promise:
    return Promise(step="workers", what=f"{scenario}: two workers against one", wanted=1.6, at_least=True, or_reason=True)


def _flat(what: str) -> Promise:
    return Promise(step="soak", what=f"soak: {what}, second half of the warm run against the first", wanted=1.05)


PROMISES: Final[dict[str, Promise]] = {
    "quota_read": _ratio_to_floor("GET quota, 2 budgets, a rate limit, 2 provider configs", 0.80, 1.0),
    "reserve": _ratio_to_floor("POST reserve, 6 owners, 10 limits, full answer", 0.45, 0.60),
    "settle": _ratio_to_floor("POST settle", 0.50),
    "authorize": _ratio_to_floor("GET authorize", 0.70),
    "batch": Promise(
        step="throughput", what="batch of 50: operations per second against single calls", wanted=3.0, at_least=True
    ),
    "latency": Promise(step="latency", what="p99 of quota read at half its maximum throughput, times that of F", wanted=2.0),
    "sizes quota_read few": _many_keys("quota_read", "as many in use"),
    "sizes quota_read all": _many_keys("quota_read", "all in use"),
    "sizes reserve few": _many_keys("reserve", "as many in use"),
    "sizes reserve all": _many_keys("reserve", "all in use"),
    "memory": Promise(step="memory", what="Redis memory per key with one budget and one rate limit", wanted=2, unit=" KiB"),
    "round trips": Promise(step="scripts_alone", what="Redis round trips per decision", wanted=1),
    "workers quota_read": _two_workers("quota_read"),
    "workers reserve": _two_workers("reserve"),
    "refused": Promise(step="throughput", what="refused calls per second against admitted", wanted=1.0, at_least=True),
    "start": Promise(step="startup", what="start to first answer, embedded Redis, 100,000 keys stored", wanted=3.0, unit=" s"),
    "overspend": Promise(step="accuracy", what="overspend in strict mode", wanted=0),
    "paging": Promise(step="paging", what="25 rows of 100,000 keys against 25 of 100, slowest page", wanted=1.3),
    "soak keys": _flat("keys in Redis"),
    "soak Redis": _flat("memory of Redis"),
    "soak worker": _flat("memory of the worker"),
    "soak expiry": Promise(step="soak", what="soak: records of requests left when their time is over", wanted=0),
}
