"""Base prices: importing a price sheet, and finding the models that a listing shows."""

from collections import Counter
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from service.admin.listing import Page
from service.pricing.book import Prices
from service.pricing.catalog import Listed
from service.pricing.sheet import BadSheet, read_sheet
from service.store.connection import Store
from service.store.prices import ImportedSheet, replace_sheet
from service.store.snapshot import read

_MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did; `unknown_units` are prices that no request can be charged by, counted."""

    models: int
    providers: int
    without_price: int
    problems: tuple[str, ...]
    unknown_units: Counter[str]
    version: int


@dataclass(frozen=True, slots=True)
class FoundPrices:
    rows: list[Listed]
    total: int
    models_by_source: Counter[str]


async def import_sheet(store: Store, name: str, text: bytes, *, skip_invalid: bool) -> Imported:
    """Replaces what was imported before, or with an entry that cannot be used (BadSheet) changes nothing."""
    sheet = read_sheet(text)
    if sheet.problems and not skip_invalid:
        raise BadSheet(_sentence(sheet.problems))
    if not sheet.prices:
        raise BadSheet("it holds no price")
    now_ms = (await read(store, [])).now_ms
    imported = ImportedSheet(name=name, imported_at_ms=now_ms, stamp=str(uuid4()), prices=sheet.prices)
    version = await replace_sheet(store, imported)
    models = {(price.provider, price.model) for price in sheet.prices}
    providers = {provider for provider, _ in models}
    return Imported(len(models), len(providers), sheet.without_price, sheet.problems, sheet.unknown_units, version)


def find_prices(prices: Prices, page: Page, *, model: str, provider: str) -> FoundPrices:
    """By provider and model. `model` is part of a name, letter case aside; `provider` a whole name; both may be blank."""
    listed = prices.catalog.listed
    needle = model.casefold()
    rows = [row for row in listed if provider in ("", row.provider) and needle in row.model.casefold()]
    return FoundPrices(rows[page.offset : page.offset + page.limit], len(rows), Counter(row.source for row in listed))


def _sentence(problems: tuple[str, ...]) -> str:
    entries = "1 entry" if len(problems) == 1 else f"{len(problems)} entries"
    shown = [f"  {problem}" for problem in problems[:_MOST_SHOWN]]
    if len(problems) > _MOST_SHOWN:
        shown.append(f"  and {len(problems) - _MOST_SHOWN} more")
    return "\n".join((f"{entries} cannot be used, so nothing was imported:", *shown))
