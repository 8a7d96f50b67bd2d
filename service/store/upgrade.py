"""Counters as an earlier version kept them become what this one reads; once for each store, before anything is served."""

from collections.abc import Sequence
from typing import Final

from service.errors import StoreUnavailable
from service.store import keys
from service.store.connection import Store
from service.store.failures import store_errors

_FORMAT: Final = b"3"
"""1: a counter was three fields of text; 2: one packed field; 3: eight counters share one (codec.locate)."""
_AT_ONCE: Final = 500


async def upgrade_counters(store: Store) -> int:
    """How many owners had counters of an earlier version. No worker of that version may run meanwhile. May be repeated."""
    with store_errors("reading the format of counters"):
        known = await store.redis.get(keys.counters_format())
    if known == _FORMAT:
        return 0
    await _upgrade(store, "upgrade_reservations", keys.any_reservation())
    upgraded = await _upgrade(store, "upgrade", keys.any_usage())
    with store_errors("writing the format of counters"):
        await store.redis.set(keys.counters_format(), _FORMAT)
    return upgraded


async def _upgrade(store: Store, script: str, pattern: str) -> int:
    """How many of the keys that are like the pattern were of an earlier version."""
    with store_errors("looking for what an earlier version kept"):
        found = [str(key, "utf-8") async for key in store.redis.scan_iter(match=pattern, count=_AT_ONCE)]
    upgraded = 0
    for start in range(0, len(found), _AT_ONCE):
        upgraded += await _upgrade_keys(store, script, found[start : start + _AT_ONCE])
    return upgraded


async def _upgrade_keys(store: Store, script: str, found: Sequence[str]) -> int:
    upgraded = 0
    for answer in await store.scripts.run_each(script, [(group, []) for group in store.by_slot(found, lambda key: key)]):
        if isinstance(answer, StoreUnavailable):
            raise answer
        upgraded += answer[1]
    return upgraded
