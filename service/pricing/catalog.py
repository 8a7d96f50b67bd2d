"""Base prices of models: those an operator imported, then those that come with the service. A model in neither has no price.

Which entry is a model's: first the one with its provider and its very name; then what a catalogue says is the same model (the
imported sheet by its own keys, genai-prices by its aliases). A request without a provider is looked up by the model alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

from service.pricing import bundled
from service.pricing.rates import Rates, rates_of
from service.store.prices import ImportedPrice, ImportedSheet

IMPORTED: Final = "imported"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model by the name that its catalogue has for it. `until_ms`: its prices are these until then; None: always."""

    source: str
    provider: str
    model: str
    rates: Rates
    until_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the listing; `rates` of a time, in ms, are made when they are looked at."""

    source: str
    provider: str
    model: str
    rates: Callable[[int], Rates]


class Catalog:
    def __init__(self, sheet: ImportedSheet | None) -> None:
        self.sheet = sheet

    def find(self, provider: str | None, names: tuple[str, ...], now_ms: int) -> Entry | None:
        """Of a model by any of its names: those of the operator's sheet all come before what genai-prices makes of one."""
        imported = next((one for name in names if (one := self._find_imported(provider, name)) is not None), None)
        if imported is not None:
            return Entry(IMPORTED, imported.provider, imported.model, rates_of(imported.prices))
        found = next((priced for name in names if (priced := bundled.find(provider, name, now_ms)) is not None), None)
        return Entry(bundled.SOURCE, found.provider, found.model, found.rates, found.until_ms) if found is not None else None

    @cached_property
    def listed(self) -> tuple[Listed, ...]:
        """Every model with a price, once, by provider and model."""
        imported = [Listed(IMPORTED, *name, partial(_rates_of, one)) for name, one in self._by_name.items()]
        others = [Listed(bundled.SOURCE, *row) for row in bundled.listed() if row[:2] not in self._by_name]
        return tuple(sorted((*imported, *others), key=lambda row: (row.provider, row.model)))

    def _find_imported(self, provider: str | None, model: str) -> ImportedPrice | None:
        if provider is None:
            return self._by_key.get(model)
        by_name = self._by_name.get((provider, model)) or self._by_key.get(f"{provider}/{model}")
        if by_name is not None:
            return by_name
        by_key = self._by_key.get(model)
        return by_key if by_key is not None and by_key.provider == provider else None

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], ImportedPrice]:
        return {(one.provider, one.model): one for one in self._imported}

    @cached_property
    def _by_key(self) -> dict[str, ImportedPrice]:
        return {one.key: one for one in self._imported}

    @property
    def _imported(self) -> tuple[ImportedPrice, ...]:
        return self.sheet.prices if self.sheet is not None else ()


def _rates_of(imported: ImportedPrice, now_ms: int) -> Rates:
    """The same at any time."""
    return rates_of(imported.prices)
