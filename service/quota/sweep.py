"""The periodic sweep of one worker: gives back what expired reservations still hold. Safe to run in every worker at once."""

import asyncio
import logging
import random
import time
from typing import Final

from service import metrics
from service.errors import StoreUnavailable
from service.quota.enforcer import Enforcer
from service.store.sweep import Swept

PAUSE_S: Final = 1.0
"""Nobody waits for a sweep: a call that an expired hold would refuse returns that hold itself."""
_PER_SECOND: Final = 500
"""About how many reservations are swept, so that calls of gateways keep most of the time of Redis."""
_LATE_MS: Final = 5_000
"""The rate grows by _PER_SECOND for every so many ms that the sweep is late, so that a backlog shrinks."""
_REST_AFTER_LOOK_S: Final = 0.02
"""Looking up what is due takes the worker a millisecond or two, and there are many looks in a row where much is due."""
_SMALLEST_PART: Final = 8
"""A call has to wait for no longer than that takes."""
_LARGEST_PART: Final = 256
"""A busy worker gets few turns, and needs large parts to keep up."""

_log = logging.getLogger(__name__)


async def sweep_forever(enforcer: Enforcer) -> None:
    """Until cancelled. A mistake in one sweep must not end all later ones."""
    while True:
        # Workers that started together need not sweep together.
        await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1.5))
        try:
            # Without traffic nobody else would notice that Redis is back.
            await enforcer.reservations.store.ping()
            await enforcer.reservations.store.look_at_writes()
            await sweep(enforcer)
        except StoreUnavailable:
            continue  # reported by the calls of gateways, if there are any
        except Exception:
            _log.exception("the sweep of expired reservations failed")


async def sweep(enforcer: Enforcer) -> None:
    pace = _Pace()
    started = time.monotonic()
    async for part in enforcer.reservations.sweep(lambda: pace.size_of_part):
        if part.expired:
            _count(enforcer, part.expired)
        await asyncio.sleep(pace.rest_s(part, time.monotonic() - started))
        started, before = time.monotonic(), started
        pace.keep_up(part, started - before)


class _Pace:
    """How many reservations the next part has, and how long to rest after one."""

    def __init__(self) -> None:
        self.size_of_part = _SMALLEST_PART

    def rest_s(self, part: Swept, took_s: float) -> float:
        """After this part."""
        return max(0.0, part.asked / _per_second(part) - took_s) if part.asked else _REST_AFTER_LOOK_S

    def keep_up(self, part: Swept, round_s: float) -> None:
        """From the start of this part to that of the next it took so long: a busy worker rests longer than it means to."""
        if part.asked:
            self.size_of_part = min(max(int(_per_second(part) * round_s), _SMALLEST_PART), _LARGEST_PART)


def _per_second(part: Swept) -> float:
    return _PER_SECOND * (1 + part.late_ms / _LATE_MS)


def _count(enforcer: Enforcer, expired: int) -> None:
    metrics.EXPIRED.inc(expired)
    metrics.settlements("expired").inc(expired)
    if not enforcer.charges_expired:
        metrics.uncharged("expired").inc(expired)
