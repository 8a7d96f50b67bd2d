"""The imported price sheet in Redis, and what is read with it."""

from dataclasses import replace

import pytest
from redis import Redis

from service.errors import StoreUnavailable
from service.store import keys
from service.store.connection import Store
from service.store.prices import ImportedPrice, ImportedSheet, StoredPrices, read_prices, remove_sheet, replace_sheet
from service.store.versions import read_versions

SHEET = ImportedSheet(
    name="prices.json",
    imported_at_ms=1_900_000_000_000,
    stamp="first",
    prices=(
        ImportedPrice(key="openai/ä", provider="openai", model="ä", prices={"input_cost_per_token": 1e-07}),
        ImportedPrice(key="b", provider="mine", model="b", prices={"output_cost_per_image": 0.1, "input_cost_per_token": 0}),
    ),
)


async def test_what_is_written_is_read(redis: Redis, store: Store):
    assert await read_prices(store, None) == StoredPrices((), None)
    first = await replace_sheet(store, SHEET)
    assert await read_prices(store, None) == StoredPrices((), SHEET)
    assert (await read_versions(store)).pricing == first

    other = replace(SHEET, stamp="second", prices=SHEET.prices[:1])
    assert await replace_sheet(store, other) == first + 1
    assert await read_prices(store, SHEET) == StoredPrices((), other)

    assert await remove_sheet(store) is True
    assert await read_prices(store, other) == StoredPrices((), None)
    assert (await read_versions(store)).pricing == first + 2
    assert await remove_sheet(store) is False


async def test_a_version_never_comes_back(redis: Redis, store: Store):
    """Not even where Redis has lost its last second: who read the prices of it must read again."""
    seen = await replace_sheet(store, SHEET)
    redis.delete(keys.versions())
    later = replace(store, now_ms=str(int(store.now_ms) + 1_000))
    assert await replace_sheet(later, replace(SHEET, stamp="second")) > seen
    seen = (await read_versions(later)).pricing
    redis.delete(keys.versions())
    even_later = replace(store, now_ms=str(int(store.now_ms) + 2_000))
    assert await remove_sheet(even_later)
    assert (await read_versions(even_later)).pricing > seen


async def test_a_sheet_that_is_known_is_not_read_again(redis: Redis, store: Store):
    await replace_sheet(store, SHEET)
    known = (await read_prices(store, None)).sheet
    assert (await read_prices(store, known)).sheet is known
    assert (await read_prices(store, None)).sheet is not known


async def test_another_format_is_no_price(redis: Redis, store: Store):
    await replace_sheet(store, SHEET)
    redis.hset(keys.price_sheet(), "format", 2)
    with pytest.raises(StoreUnavailable, match="import them again"):
        await read_prices(store, None)


async def test_thousands_of_models_are_small(redis: Redis, store: Store):
    many = tuple(
        ImportedPrice(
            key=f"provider/model-{number}",
            provider="provider",
            model=f"model-{number}",
            prices={"input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6, "cache_read_input_token_cost": 1e-7},
        )
        for number in range(3_000)
    )
    await replace_sheet(store, replace(SHEET, prices=many))
    assert (redis.memory_usage(keys.price_sheet()) or 0) < 100_000
    assert len((await read_prices(store, None)).sheet.prices) == 3_000  # type: ignore[union-attr]
