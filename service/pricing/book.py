"""The prices of one worker: catalogue and overrides as last read, asked without I/O, read again when their version has moved.

Whoever decides by a price passes `Prices.version` to the script that decides; when that says "stale": `PriceBook.refresh`.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from service.entities import PricingOverride
from service.pricing.catalog import Catalog, Entry
from service.pricing.cost import is_priced_type
from service.pricing.override import Overrides
from service.pricing.rates import Rates, rates_of
from service.store.batch import Batch
from service.store.connection import Store
from service.store.prices import StoredPrices, pricing_version, read_prices

OVERRIDE: Final = "override"
"""The source of a price that consists of an override alone."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Price:
    """What a unit costs and why. `provider` and `model` name the entry of the catalogue; None: only the override has a price."""

    source: str
    provider: str | None
    model: str | None
    override_id: str | None
    rates: Rates


class Prices:
    """All prices of one version."""

    def __init__(self, stored: StoredPrices, clock: Callable[[], int], *, largest: int) -> None:
        self.version = stored.version
        self.catalog = Catalog(stored.sheet)
        self.overrides = Overrides(stored.overrides)
        self._clock = clock
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
        """None: nobody said what this costs."""
        now_ms = self._clock()
        asked = (model, provider or None, request_type, virtual_key_id, provider_key_id)
        kept = self._prices.get(asked, now_ms)
        if kept is not None:
            return kept.value
        price, until_ms = self._make(*asked, now_ms) if is_priced_type(request_type) else (None, None)
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
        entry = self._entry(provider, model, now_ms)
        override = self.overrides.find(model, provider, request_type, virtual_key_id, provider_key_id)
        until_ms = entry.until_ms if entry is not None else None
        return _merge(entry, override), until_ms

    def _entry(self, provider: str | None, model: str, now_ms: int) -> Entry | None:
        kept = self._entries.get((provider, model), now_ms)
        if kept is not None:
            return kept.value
        entry = self.catalog.find(provider, model, now_ms)
        self._entries.put((provider, model), entry, entry.until_ms if entry is not None else None)
        return entry


def _merge(entry: Entry | None, override: PricingOverride | None) -> Price | None:
    if override is None:
        return Price(entry.source, entry.provider, entry.model, None, entry.rates) if entry is not None else None
    patch = rates_of(override.patch)
    if entry is None:
        return Price(OVERRIDE, None, None, override.id, patch) if patch.prices else None
    return Price(entry.source, entry.provider, entry.model, override.id, entry.rates.merged(patch))


class PriceBook:
    """Holds the prices that the next decision uses."""

    def __init__(self, store: Store, *, largest: int) -> None:
        self._store = store
        self._largest = largest
        self._clock = (lambda: int(store.now_ms)) if store.now_ms else _now_ms
        self._prices: Prices | None = None
        # However many wait, one reads for all of them.
        self._reads: Batch[None, Prices] = Batch(self._read, largest=1_000_000, concurrent=1)

    @property
    def loaded(self) -> Prices | None:
        """As last read; None before the first time."""
        return self._prices

    async def current(self) -> Prices:
        """As last read; the script that decides says whether they still hold."""
        return self._prices or await self._reads.call(None)

    async def refresh(self, stale: Prices) -> Prices:
        """Newer ones than these, unless another call has read them before."""
        if self._prices is not None and self._prices is not stale:
            return self._prices
        return await self._reads.call(None)

    async def latest(self) -> Prices:
        """As they are now, for answers that no script checks: one round trip."""
        return await self._reads.call(None)

    async def _read(self, callers: Sequence[None]) -> list[Prices]:
        """All of it, but only when its version moved."""
        known = self._prices
        if known is None or known.version != await pricing_version(self._store):
            stored = await read_prices(self._store, known.catalog.sheet if known is not None else None)
            self._prices = Prices(stored, self._clock, largest=self._largest)
        assert self._prices is not None
        return [self._prices] * len(callers)


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
