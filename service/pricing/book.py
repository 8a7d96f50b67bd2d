"""The prices of one worker: the catalogue with the overrides of one version, asked without I/O.

Whoever decides by a price tells the script that decides which version it is of, and reads again when that is no longer in force.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Generic, TypeVar

import orjson

from service.entities import PricingOverride
from service.pricing.catalog import Catalog, Entry
from service.pricing.cost import can_price
from service.pricing.override import Overrides
from service.pricing.rates import Rates, rates_of
from service.store.connection import Store
from service.store.prices import StoredPrices, read_prices

OVERRIDE: Final = "override"
"""The source of a price that consists of an override alone."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True)
class Price:
    """What a unit costs and why. `provider` and `model` name the entry of the catalogue; None: only the override has a price."""

    source: str
    provider: str | None
    model: str | None
    override_id: str | None
    rates: Rates

    @cached_property
    def facts(self) -> dict[str, str | None]:
        """What answers say of it."""
        return {"source": self.source, "provider": self.provider, "model": self.model, "override_id": self.override_id}

    @cached_property
    def facts_json(self) -> bytes:
        return orjson.dumps(self.facts)


class Prices:
    """All prices of one version. Those of the `largest` models and keys that were asked for last are kept ready."""

    def __init__(self, stored: StoredPrices, clock: Callable[[], int], *, largest: int = 20_000) -> None:
        self.catalog = Catalog(stored.sheet)
        self.overrides = Overrides(stored.overrides)
        self.clock = clock
        self._entries: _Recent[tuple[str | None, str], Entry | None] = _Recent(largest)
        self._prices: _Recent[tuple[str, str | None, str, str | None, str | None], Price | None] = _Recent(largest)

    def price(
        self,
        model: str,
        provider: str | None,
        request_type: str,
        virtual_key_id: str | None = None,
        provider_key_id: str | None = None,
    ) -> Price | None:
        """None: nobody said what this costs, or only what requests of other types do."""
        if not model:
            return None
        now_ms = self.clock()
        # Keys without overrides of their own share what is made for one of them.
        if virtual_key_id not in self.overrides.virtual_keys:
            virtual_key_id = None
        if provider_key_id not in self.overrides.provider_keys:
            provider_key_id = None
        asked = (model, provider or None, request_type, virtual_key_id, provider_key_id)
        kept = self._prices.get(asked, now_ms)
        if kept is not None:
            return kept.value
        price, until_ms = self._make(*asked, now_ms)
        self._prices.put(asked, price, until_ms)
        return price

    def _make(
        self,
        model: str,
        provider: str | None,
        request_type: str,
        virtual_key_id: str | None,
        provider_key_id: str | None,
        now_ms: int,
    ) -> tuple[Price | None, int | None]:
        # "openai/gpt-4o" of openai is its gpt-4o: limits know it by that name, so its price must be known, too.
        own = model if provider is None else model.removeprefix(f"{provider}/") or model
        entry = self._entry(provider, model, own, now_ms)
        names = (own,) if provider is None else (own, f"{provider}/{own}")
        override = self.overrides.find(names, provider, request_type, virtual_key_id, provider_key_id)
        until_ms = entry.until_ms if entry is not None else None
        price = _merge(entry, override)
        return price if price is not None and can_price(price.rates, request_type) else None, until_ms

    def _entry(self, provider: str | None, model: str, own: str, now_ms: int) -> Entry | None:
        kept = self._entries.get((provider, model), now_ms)
        if kept is not None:
            return kept.value
        entry = self.catalog.find(provider, (model,) if own == model else (model, own), now_ms)
        self._entries.put((provider, model), entry, entry.until_ms if entry is not None else None)
        return entry


def bundled_prices(store: Store) -> Prices:
    """Where nobody has imported or overridden any."""
    return Prices(StoredPrices((), None), _clock_of(store))


async def load_prices(store: Store, known: Prices | None) -> Prices:
    """As they are now. `known`: what was read before, so that an imported sheet is read only once."""
    return Prices(await read_prices(store, known.catalog.sheet if known is not None else None), _clock_of(store))


def _merge(entry: Entry | None, override: PricingOverride | None) -> Price | None:
    if override is None:
        return Price(entry.source, entry.provider, entry.model, None, entry.rates) if entry is not None else None
    patch = rates_of(override.patch)
    if entry is None:
        return Price(OVERRIDE, None, None, override.id, patch) if patch.prices else None
    return Price(entry.source, entry.provider, entry.model, override.id, entry.rates.merged(patch))


def _clock_of(store: Store) -> Callable[[], int]:
    return (lambda: int(store.now_ms)) if store.now_ms else _now_ms


def _now_ms() -> int:
    """The worker's own clock will do for the day on which a price begins; no counter depends on it."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class _Kept(Generic[V]):
    value: V
    until_ms: int | None


class _Recent(Generic[K, V]):
    """Values used last, `largest` of them, each until its time has come."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._kept: OrderedDict[K, _Kept[V]] = OrderedDict()

    def get(self, key: K, now_ms: int) -> _Kept[V] | None:
        kept = self._kept.get(key)
        if kept is None or (kept.until_ms is not None and kept.until_ms <= now_ms):
            return None
        self._kept.move_to_end(key)
        return kept

    def put(self, key: K, value: V, until_ms: int | None) -> None:
        self._kept[key] = _Kept(value, until_ms)
        if len(self._kept) > self._largest:
            self._kept.popitem(last=False)
