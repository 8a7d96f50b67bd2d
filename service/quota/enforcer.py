"""What the calls of gateways share in one worker; and step 1 of docs/limits.md, whose quota it is."""

import asyncio
from dataclasses import dataclass
from typing import Final

from service.providers import known_providers
from service.quota.decision import KEY_NOT_FOUND, KEY_REQUIRED, Verdict
from service.quota.plan import Holder
from service.quota.plans import Plans
from service.reservation import Mode
from service.settings import Settings
from service.store.cluster_reservations import reservations_class
from service.store.connection import Store
from service.store.keys import virtual_key_id
from service.store.reservations import Reservations

ATTEMPTS: Final = 8
"""How often a decision starts again because an admin changed what it was based on."""

BATCHES_AT_ONCE: Final = 4
"""As many keep Redis busy. Of more, each operation would only wait longer, and so would all single calls behind them."""


@dataclass(frozen=True, slots=True)
class Enforcer:
    plans: Plans
    reservations: Reservations
    require_key: bool
    admits_without_store: bool
    charges_expired: bool
    admits_unpriced: bool
    batch_turns: asyncio.Semaphore


def open_enforcer(settings: Settings, store: Store) -> Enforcer:
    """Asks the store nothing yet."""
    charges_expired = settings.on_lease_expiry == "charge"
    return Enforcer(
        plans=Plans(
            store,
            mode=Mode(settings.enforcement),
            known_providers=known_providers(settings.providers),
            largest_holders=settings.cached_keys,
            largest_plans=settings.cached_plans,
        ),
        reservations=reservations_class(store)(
            store,
            retention_ms=settings.retention_ms,
            charge_expired=charges_expired,
            largest_cache=settings.cached_reservations,
            cached_plans=settings.cached_plans,
            largest_batch=settings.batch_size,
        ),
        require_key=settings.require_key,
        admits_without_store=settings.on_store_failure == "open",
        charges_expired=charges_expired,
        admits_unpriced=settings.unknown_price == "admit",
        batch_turns=asyncio.Semaphore(BATCHES_AT_ONCE),
    )


async def find_holder(enforcer: Enforcer, key_value: str | None) -> Holder | Verdict | None:
    """Who holds this virtual key, why there is nobody, or None where requests without a key are welcome."""
    if key_value is None:
        return KEY_REQUIRED if enforcer.require_key else None
    holder = await enforcer.plans.holder(virtual_key_id(key_value))
    return holder if holder is not None and holder.key.entity.has_value(key_value) else KEY_NOT_FOUND


def recall_holder(enforcer: Enforcer, key_value: str | None) -> Holder | None:
    """The same without asking the store, as far as it was read before."""
    if key_value is None:
        return None
    holder = enforcer.plans.recall_holder(virtual_key_id(key_value))
    return holder if holder is not None and holder.key.entity.has_value(key_value) else None
