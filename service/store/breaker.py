"""A circuit breaker: while Redis is away, callers are told so at once instead of each waiting for a timeout.

A Redis that is out of memory, or a replica, refuses what writes and answers what reads: then only writes are told so.
"""

import logging
from time import monotonic
from typing import Final

from service.errors import StoreUnavailable
from service.metrics import DEGRADED

FAILURES_TO_OPEN: Final = 3
"""In a row: a lone timeout says something about one call, several say that Redis is away."""
PAUSE_S: Final = 0.25
"""How long nobody asks Redis after it failed; then one call may try, the others are still told at once."""

_log = logging.getLogger(__name__)


class Breaker:
    def __init__(self) -> None:
        self._failures = 0
        """In a row."""
        self._failures_ever = 0
        self._next_try_at = 0.0
        self._refuses_writes_only = False
        self._reason = ""
        DEGRADED.set(0)

    @property
    def is_open(self) -> bool:
        return self._failures >= FAILURES_TO_OPEN

    def admit(self, *, writes: bool) -> int:
        """Raises StoreUnavailable instead of letting a call go that would most likely fail. Answers how many failures there were
        before it, for `failed`.
        """
        if self._failures < FAILURES_TO_OPEN or (self._refuses_writes_only and not writes):
            return self._failures_ever
        now = monotonic()
        if now < self._next_try_at:
            raise StoreUnavailable("the store does not answer at the moment; try again", reason=self._reason)
        # This call is the probe. Should it never come back, the next one is due after the same pause.
        self._next_try_at = now + PAUSE_S
        return self._failures_ever

    def succeeded(self, *, writes: bool) -> None:
        if self._failures and (writes or not self._refuses_writes_only):
            if self.is_open:
                DEGRADED.set(0)
                _log.warning("Redis works again")
            self._failures = 0

    def failed(self, reason: str, sent_after: int, *, refuses_writes_only: bool = False) -> None:
        """`sent_after`: what `admit` answered. `refuses_writes_only`: Redis has answered, and may answer what reads."""
        was_open = self.is_open
        # Calls share a connection: those that are under way together fail together, which says no more than one of them.
        if sent_after == self._failures_ever:
            self._failures_ever += 1
            self._failures += 1
        self._refuses_writes_only, self._reason = refuses_writes_only, reason
        if self.is_open:
            self._next_try_at = monotonic() + PAUSE_S
            DEGRADED.set(1)
            if not was_open:
                _log.warning("Redis is away, calls are answered without it: %s", reason)
