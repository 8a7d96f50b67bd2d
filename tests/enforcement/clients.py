"""Gateways in processes of their own, which reserve and settle as fast as they can against one Redis."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

from service.reservation import Charge, Granted, Plan, Refused, Reserve, Settle, Settled
from service.settings import Settings
from service.store.cluster_reservations import reservations_class
from service.store.connection import open_store
from tests.store.plans import MINUTE, NOW

CLIENTS = 4
AT_ONCE = 100
"""Reservations that one client has on their way."""


@dataclass(frozen=True)
class Job:
    """What one client does: so many requests, each by one of the plans; `usage` is (tokens, cost), at most."""

    url: str
    name: str
    plans: tuple[Plan, ...]
    requests: int
    estimate: tuple[int, int]
    usage: tuple[int, int]
    settles: bool
    uses_all: bool = False
    """Every request uses the most it may."""
    clustered: bool = False


@dataclass
class Ledger:
    """What a client was told."""

    admitted: list[str] = field(default_factory=list)
    refused: int = 0
    tokens: int = 0
    cost_nanousd: int = 0
    violated: set[str] = field(default_factory=set)

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(
            self.admitted + other.admitted,
            self.refused + other.refused,
            self.tokens + other.tokens,
            self.cost_nanousd + other.cost_nanousd,
            self.violated | other.violated,
        )


def run_job(job: Job) -> Ledger:
    return asyncio.run(_run(job))


async def _run(job: Job) -> Ledger:
    store = open_store(Settings(redis_cluster=job.clustered), job.url, timeout_ms=60_000, now_ms=str(NOW))
    reservations = reservations_class(store)(store, retention_ms=10 * MINUTE)
    ledger, chance, places = Ledger(), random.Random(job.name), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with places:
            request_id = f"{job.name} {number}"
            tokens, cost = job.estimate
            outcome = await reservations.reserve(
                Reserve(
                    plan=job.plans[number % len(job.plans)],
                    request_id=request_id,
                    fingerprint=b"same",
                    tokens=tokens,
                    cost_nanousd=cost,
                    lease_ms=10 * MINUTE,
                    detail=b"{}",
                )
            )
            if isinstance(outcome, Refused):
                ledger.refused += 1
                ledger.violated |= {job.plans[0].limits[place].scope for place in outcome.violations}
                return
            assert isinstance(outcome, Granted), outcome
            ledger.admitted.append(request_id)
            if job.settles:
                used = [amount if job.uses_all else chance.randint(0, amount) for amount in job.usage]
                charge = Charge(cost_nanousd=used[1], detail=b"{}")
                settled = await reservations.settle(
                    Settle(request_id=request_id, tokens=used[0], success=True, charge_by=lambda _: charge)
                )
                assert isinstance(settled, Settled)
                ledger.tokens += used[0]
                ledger.cost_nanousd += used[1]

    await asyncio.gather(*(one(number) for number in range(job.requests)))
    await store.close()
    return ledger


class Clients:
    """Processes that take jobs, each its share at the same time."""

    def __init__(self) -> None:
        self._pool = ProcessPoolExecutor(CLIENTS, mp_context=get_context("spawn"))

    def run(self, job: Callable[[int], Job]) -> Ledger:
        """The sum of what all were told."""
        return sum(self._pool.map(run_job, [job(number) for number in range(CLIENTS)]), Ledger())

    def close(self) -> None:
        self._pool.shutdown()
