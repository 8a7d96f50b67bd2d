"""`quotad prices`: what an import or its removal did, as lines for a terminal."""

from collections.abc import Iterator

from service.admin import prices
from service.admin.prices import Imported
from service.pricing.sheet import BadSheet
from service.settings import Settings
from service.store.connection import with_store
from service.store.prices import remove_sheet

__all__ = ["BadSheet", "clear", "import_sheet"]

_MOST_UNITS = 8


def import_sheet(settings: Settings, name: str, text: bytes, *, skip_invalid: bool) -> Iterator[str]:
    """Raises BadSheet when nothing was imported."""
    return _report(with_store(settings, lambda store: prices.import_sheet(store, name, text, skip_invalid=skip_invalid)))


def clear(settings: Settings) -> str:
    removed = with_store(settings, remove_sheet)
    return "Imported prices are gone; those that come with the service remain." if removed else "No prices were imported."


def _report(imported: Imported) -> Iterator[str]:
    models = "1 model" if imported.models == 1 else f"{imported.models:,} models"
    providers = "1 provider" if imported.providers == 1 else f"{imported.providers} providers"
    yield f"Imported the prices of {models} of {providers}."
    if imported.without_price:
        yield f"Without a price: {imported.without_price:,}."
    if imported.problems:
        yield f"Left out, because they cannot be used: {len(imported.problems):,}."
        yield from (f"  {problem}" for problem in imported.problems)
    if imported.unknown_units:
        named = [f"{unit} ({count})" for unit, count in imported.unknown_units.most_common(_MOST_UNITS)]
        if len(imported.unknown_units) > _MOST_UNITS:
            named.append("...")
        yield f"Not used, because requests are not counted in them: {', '.join(named)}."
    yield f"They are version {imported.version} of all prices: every worker goes by them from its next decision on."
