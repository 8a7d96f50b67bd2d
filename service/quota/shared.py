"""What one worker knows of the configuration that concerns every key: read whole, and again only where its version moved."""

from dataclasses import dataclass

from service.pricing.book import Prices, bundled_prices, load_prices
from service.quota.plan import SharedLimits
from service.routing.rules import NO_RULES, Rules
from service.store.connection import Store
from service.store.routing_rules import read_rules
from service.store.shared_limits import read_shared_limits
from service.store.versions import Versions, read_versions


@dataclass(frozen=True, slots=True)
class Shared:
    """`versions` may be older than the rest, never newer: the first decision by an older one reads again."""

    versions: Versions
    limits: SharedLimits
    rules: Rules
    prices: Prices


async def read_shared(store: Store, known: Shared | None) -> Shared:
    """`known` itself when nothing moved since, else with what did not move as it is."""
    versions = await read_versions(store)
    if known is None:
        return Shared(
            versions,
            await _read_limits(store, versions),
            await _read_rules(store, versions, NO_RULES),
            await _read_prices(store, versions, None),
        )
    if known.versions == versions:
        return known
    limits = known.limits if known.versions.limits == versions.limits else await _read_limits(store, versions)
    rules = known.rules if known.versions.routing == versions.routing else await _read_rules(store, versions, known.rules)
    prices = known.prices if known.versions.pricing == versions.pricing else await _read_prices(store, versions, known.prices)
    return Shared(versions, limits, rules, prices)


async def _read_limits(store: Store, versions: Versions) -> SharedLimits:
    providers, model_configs = await read_shared_limits(store)
    return SharedLimits(
        versions.limits,
        {provider.id: provider for provider in providers},
        {(config.model_name, config.provider): config for config in model_configs},
    )


async def _read_rules(store: Store, versions: Versions, known: Rules) -> Rules:
    # Most have never had a rule, and need not ask for them.
    rules = await read_rules(store) if versions.routing else ()
    return Rules(rules, known) if rules else NO_RULES


async def _read_prices(store: Store, versions: Versions, known: Prices | None) -> Prices:
    return await load_prices(store, known) if versions.pricing else bundled_prices(store)
