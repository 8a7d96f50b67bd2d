"""A circuit breaker: while Redis is away, callers are told so at once instead of each waiting for a timeout."""

from time import monotonic
from typing import Final

from service.errors import StoreUnavailable
from service.metrics import DEGRADED

FAILURES: Final = 3
"""In a row: a lone timeout says something about one call, several say that Redis is away."""
PAUSE_S: Final = 0.25
"""How long nobody asks Redis after it failed; then one call may try, the others are still told at once."""


class Breaker:
    def __init__(self) -> None:
        self._failures = 0
        self._next_try_at = 0.0
        DEGRADED.set(0)

    @property
    def is_open(self) -> bool:
        return self._failures >= FAILURES

    def admit(self) -> None:
        """Raises StoreUnavailable instead of letting a call go that would most likely fail."""
        if self._failures < FAILURES:
            return
        now = monotonic()
        if now < self._next_try_at:
            raise StoreUnavailable("the store does not answer at the moment; try again")
        # This call is the probe. Should it never come back, the next one is due after the same pause.
        self._next_try_at = now + PAUSE_S

    def succeeded(self) -> None:
        if self._failures:
            if self.is_open:
                DEGRADED.set(0)
            self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self.is_open:
            self._next_try_at = monotonic() + PAUSE_S
            DEGRADED.set(1)
