"""Prices in Redis: the imported price sheet as one compact value, and reading it together with all pricing overrides."""

import zlib
from dataclasses import dataclass
from typing import Final, cast

import orjson

from service.entities import Kind, PricingOverride
from service.errors import StoreUnavailable
from service.store import directory, keys
from service.store.connection import Store
from service.store.failures import store_errors
from service.store.keys import Ref
from service.store.snapshot import read
from service.store.versions import read_versions

_FORMAT: Final = 1
"""Of the stored sheet. A worker that does not know a format says so instead of pricing without the sheet."""
_VERSION: Final = "pricing"
"""The field of keys.versions() that every change of prices raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPrice:
    """One entry of a price sheet: `key` is its name there, `prices` dollars by unit."""

    key: str
    provider: str
    model: str
    prices: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedSheet:
    """`stamp` names one import: the same stamp, the same prices."""

    name: str
    imported_at_ms: int
    stamp: str
    prices: tuple[ImportedPrice, ...]


@dataclass(frozen=True, slots=True)
class StoredPrices:
    overrides: tuple[PricingOverride, ...]
    sheet: ImportedSheet | None


async def read_prices(store: Store, known: ImportedSheet | None) -> StoredPrices:
    """`known`: the sheet as last read; it is not read again unless another one was imported."""
    listed = [
        Ref(Kind.PRICING_OVERRIDE, found)
        async for _, found in directory.scan(store, keys.index(Kind.PRICING_OVERRIDE, "created"))
    ]
    snapshot = await read(store, listed)
    overrides = (snapshot.pricing_override(ref.id) for ref in listed)
    return StoredPrices(tuple(one.entity for one in overrides if one is not None), await _read_sheet(store, known))


async def replace_sheet(store: Store, sheet: ImportedSheet) -> int:
    """From now on these are the imported prices, whatever was imported before. The version they are part of."""
    packed = zlib.compress(orjson.dumps([[one.key, one.provider, one.model, one.prices] for one in sheet.prices]))
    step = await _step_to_new_version(store)
    with store_errors("importing prices"):
        async with store.redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.price_sheet())
            pipe.hset(
                keys.price_sheet(),
                mapping={
                    "format": _FORMAT,
                    "stamp": sheet.stamp,
                    "name": sheet.name,
                    "imported_at_ms": sheet.imported_at_ms,
                    "prices": packed,
                },
            )
            pipe.hincrby(keys.versions(), _VERSION, step)
            return int((await pipe.execute())[-1])


async def remove_sheet(store: Store) -> bool:
    """False when nothing was imported."""
    step = await _step_to_new_version(store)
    with store_errors("removing imported prices"):
        async with store.redis.pipeline(transaction=True) as pipe:
            pipe.unlink(keys.price_sheet())
            pipe.hincrby(keys.versions(), _VERSION, step)
            removed, _ = await pipe.execute()
    return bool(removed)


async def _step_to_new_version(store: Store) -> int:
    """To one that there never was, even if Redis has lost its last second: as `raise` of lua/commit.lua."""
    version = (await read_versions(store)).pricing
    return max(1, await store.read_now_ms() - version)


async def _read_sheet(store: Store, known: ImportedSheet | None) -> ImportedSheet | None:
    with store_errors("reading imported prices"):
        stamp = cast("bytes | None", await store.redis.hget(keys.price_sheet(), "stamp"))
        if stamp is None:
            return None
        if known is not None and known.stamp == stamp.decode():
            return known
        stored = cast("dict[bytes, bytes]", await store.redis.hgetall(keys.price_sheet()))
    if not stored:
        return None
    if int(stored[b"format"]) != _FORMAT:
        raise StoreUnavailable("the imported prices were written by another version of quotad: import them again")
    return ImportedSheet(
        name=stored[b"name"].decode(),
        imported_at_ms=int(stored[b"imported_at_ms"]),
        stamp=stored[b"stamp"].decode(),
        prices=tuple(
            ImportedPrice(key=key, provider=provider, model=model, prices=prices)
            for key, provider, model, prices in orjson.loads(zlib.decompress(stored[b"prices"]))
        ),
    )
