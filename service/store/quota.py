"""The hot read: a virtual key with its counters, many keys in one call, configurations kept by version."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

from service.entities import Counters, Kind, VirtualKey
from service.store import keys
from service.store.batch import Batch
from service.store.codec import decode_counters, decode_entity, pairs
from service.store.connection import Store
from service.store.keys import Ref


class KeyReading(NamedTuple):
    """`version` names the configuration: what is derived from it may be kept as long as it stays."""

    now_ms: int
    version: str
    key: VirtualKey
    counters: Counters


class _Kept(NamedTuple):
    version: str
    key: VirtualKey


class QuotaReader:
    """Reads virtual keys by id; keeps the configurations of the `largest_cache` keys used last."""

    def __init__(self, store: Store, *, largest_cache: int) -> None:
        self._store = store
        self._largest_cache = largest_cache
        self._known: OrderedDict[str, _Kept] = OrderedDict()
        self._batch: Batch[str, KeyReading | None] = Batch(self._read)

    async def read(self, key_id: str) -> KeyReading | None:
        """None when there is no such key."""
        return await self._batch.call(key_id)

    async def _read(self, key_ids: Sequence[str]) -> list[KeyReading | None]:
        # Many callers may hold the same key: it is read once for all of them.
        known = {key_id: self._known.get(key_id) for key_id in key_ids}
        refs = [Ref(Kind.VIRTUAL_KEY, key_id) for key_id in known]
        redis_keys = [key for ref in refs for key in (keys.config(ref), keys.usage(ref))]
        versions = [kept.version if kept else "" for kept in known.values()]
        now_ms, *answers = await self._store.scripts.run("read_quota", redis_keys, [self._store.now_ms, *versions])
        readings = {
            key_id: self._reading(now_ms, key_id, kept, answer)
            for (key_id, kept), answer in zip(known.items(), answers, strict=True)
        }
        return [readings[key_id] for key_id in key_ids]

    def _reading(self, now_ms: int, key_id: str, kept: _Kept | None, answer: list[list[bytes]]) -> KeyReading | None:
        if not answer:
            self._known.pop(key_id, None)
            return None
        usage = pairs(answer[0])
        if kept is None or len(answer) > 1:
            kept = _Kept(usage[b"v"].decode(), decode_entity(Kind.VIRTUAL_KEY, pairs(answer[1])))
        self._known[key_id] = kept
        self._known.move_to_end(key_id)
        if len(self._known) > self._largest_cache:
            self._known.popitem(last=False)
        return KeyReading(now_ms, kept.version, kept.key, decode_counters(usage))
