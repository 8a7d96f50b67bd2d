"""What one worker knows of the configuration that concerns every key: read whole, and again only where its version moved."""

from dataclasses import dataclass, replace

from service.pricing.book import Prices, bundled_prices, load_prices
from service.quota.plan import SharedLimits
from service.routing.rules import NO_RULES, Rules
from service.store.connection import Store
from service.store.routing_rules import read_rules
from service.store.shared_limits import read_shared_limits
from service.store.versions import Versions, read_versions


@dataclass(frozen=True, slots=True)
class Shared:
    """`versions` may be older than the rest, never newer: the first decision by an older one reads again. `basis`: what scripts
    are to check of them; "" where they are not to.
    """

    versions: Versions
    limits: SharedLimits
    rules: Rules
    prices: Prices
    basis: str

    def as_read(self) -> "Shared":
        """To decide by, whatever admins have changed since it was read: for a call that had begun by then. Else nobody could be
        admitted while they change one thing after the other, be it for other models.
        """
        return replace(self, limits=replace(self.limits, version=None), basis="")


async def read_shared(store: Store, known: Shared | None) -> Shared:
    """`known` itself when nothing moved since, else with what did not move as it is."""
    versions = await read_versions(store)
    if known is None:
        return Shared(
            versions,
            await _read_limits(store, versions),
            await _read_rules(store, versions, NO_RULES),
            await _read_prices(store, versions, None),
            versions.basis,
        )
    if known.versions == versions:
        return known
    limits = known.limits if known.versions.limits == versions.limits else await _read_limits(store, versions)
    rules = known.rules if known.versions.routing == versions.routing else await _read_rules(store, versions, known.rules)
    prices = known.prices if known.versions.pricing == versions.pricing else await _read_prices(store, versions, known.prices)
    return Shared(versions, limits, rules, prices, versions.basis)


async def _read_limits(store: Store, versions: Versions) -> SharedLimits:
    providers, model_configs = await read_shared_limits(store)
    return SharedLimits(
        versions.limits,
        {stored.entity.id: stored for stored in providers},
        {(stored.entity.model_name, stored.entity.provider): stored for stored in model_configs},
    )


async def _read_rules(store: Store, versions: Versions, known: Rules) -> Rules:
    # Most have never had a rule, and need not ask for them.
    rules = await read_rules(store) if versions.routing else ()
    return Rules(rules, known) if rules else NO_RULES


async def _read_prices(store: Store, versions: Versions, known: Prices | None) -> Prices:
    return await load_prices(store, known) if versions.pricing else bundled_prices(store)
