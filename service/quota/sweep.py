"""The periodic sweep of one worker: gives back what expired reservations still hold. Safe to run in every worker at once."""

import asyncio
import logging
import random
import time
from typing import Final

from service import metrics
from service.errors import StoreUnavailable
from service.quota.enforcer import Enforcer

PAUSE_S: Final = 1.0
"""Nobody waits for a sweep: whoever is about to be refused by an expired hold returns it himself."""
_PER_SECOND: Final = 2_000
"""Reservations, about: however many leases end together, the calls of gateways have most of the time."""

_log = logging.getLogger(__name__)


async def sweep_forever(enforcer: Enforcer) -> None:
    """Until cancelled. A mistake in one sweep must not end all later ones."""
    while True:
        # Workers that started together need not sweep together.
        await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1.5))
        try:
            # Without traffic nobody else would notice that Redis is back.
            await enforcer.reservations.store.ping()
            await sweep(enforcer)
        except StoreUnavailable:
            continue  # reported by the calls of gateways, if there are any
        except Exception:
            _log.exception("the sweep of expired reservations failed")


async def sweep(enforcer: Enforcer) -> None:
    started = time.monotonic()
    async for expired in enforcer.reservations.sweep():
        if expired:
            _count(enforcer, expired)
        await asyncio.sleep(max(0, expired / _PER_SECOND - (time.monotonic() - started)))
        started = time.monotonic()


def _count(enforcer: Enforcer, expired: int) -> None:
    metrics.EXPIRED.inc(expired)
    metrics.settlements("expired").inc(expired)
    if not enforcer.charges_expired:
        metrics.uncharged("expired").inc(expired)
