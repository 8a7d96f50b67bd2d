"""Runs the calls on reservations: merges those of one event-loop tick, one script call for all of them."""

from service.reservation import (
    Explain,
    ExplainOutcome,
    Release,
    ReleaseOutcome,
    Renew,
    RenewOutcome,
    Reserve,
    ReserveOutcome,
    Settle,
    SettleOutcome,
)
from service.store.connection import Store


class Reservations:
    """Every call may be repeated with the same request_id. StoreUnavailable: whether it was applied is not known."""

    def __init__(
        self,
        store: Store,
        *,
        retention_ms: int,
        charge_expired: bool = False,
        largest_cache: int = 100_000,
        largest_batch: int = 64,
    ) -> None:
        self._store = store

    async def reserve(self, call: Reserve) -> ReserveOutcome:
        raise NotImplementedError

    async def settle(self, call: Settle) -> SettleOutcome:
        raise NotImplementedError

    async def release(self, call: Release) -> ReleaseOutcome:
        raise NotImplementedError

    async def renew(self, call: Renew) -> RenewOutcome:
        raise NotImplementedError

    async def explain(self, call: Explain) -> ExplainOutcome:
        raise NotImplementedError

    async def sweep(self) -> int:
        """Returns what expired leases still hold; answers how many reservations expired. Safe to run in every worker at once."""
        raise NotImplementedError

    async def count_open(self) -> int:
        """Reservations whose lease runs, of all workers."""
        raise NotImplementedError
