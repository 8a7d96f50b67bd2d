"""Counters as an earlier version kept them become what this one reads; once for each store, before anything is served."""

from typing import Final

from service.errors import StoreUnavailable
from service.store import keys
from service.store.connection import Store
from service.store.scripts import store_errors

_FORMAT: Final = b"2"
"""1: a counter was three fields of text."""
_AT_ONCE: Final = 500


async def upgrade_counters(store: Store) -> int:
    """How many owners had counters of an earlier version. No worker of that version may run meanwhile. May be repeated."""
    with store_errors("reading the format of counters"):
        known = await store.redis.get(keys.counters_format())
    if known == _FORMAT:
        return 0
    upgraded = 0
    with store_errors("looking for counters"):
        found = [str(key, "utf-8") async for key in store.redis.scan_iter(match=keys.any_usage(), count=_AT_ONCE)]
    for start in range(0, len(found), _AT_ONCE):
        groups = store.by_slot(found[start : start + _AT_ONCE], lambda key: key)
        for answer in await store.scripts.run_each("upgrade", [(group, []) for group in groups]):
            if isinstance(answer, StoreUnavailable):
                raise answer
            upgraded += answer[1]
    with store_errors("writing the format of counters"):
        await store.redis.set(keys.counters_format(), _FORMAT)
    return upgraded
