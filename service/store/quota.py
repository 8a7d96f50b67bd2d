"""The hot read: a virtual key with its counters, many keys in one call, configurations kept by version."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from service.entities import Counters, Kind, VirtualKey
from service.errors import StoreUnavailable
from service.store import keys
from service.store.batch import Batch
from service.store.codec import decode_counters, decode_entity, pairs
from service.store.connection import Store
from service.store.keys import Ref

View = TypeVar("View")
"""What a caller derives from a configuration: made once, kept as long as the configuration."""


class KeyReading(NamedTuple, Generic[View]):
    """One key as of now."""

    now_ms: int
    version: str
    key: VirtualKey
    counters: Counters
    view: View


class _Kept(NamedTuple, Generic[View]):
    redis_keys: tuple[str, str]
    version: str
    key: VirtualKey
    view: View
    usage: list[bytes]
    """The counters as they were read last, field by field ..."""
    counters: Counters
    """... and what they say: decoding takes longer than seeing that nothing changed."""


class QuotaReader(Generic[View]):
    """Reads virtual keys by id; keeps the configurations of the `largest_cache` keys used last."""

    def __init__(self, store: Store, *, view: Callable[[VirtualKey], View], largest_cache: int) -> None:
        self._store = store
        self._view = view
        self._largest_cache = largest_cache
        self._known: OrderedDict[str, _Kept[View]] = OrderedDict()
        self._batch: Batch[str, KeyReading[View] | None] = Batch(self._read)

    async def read(self, key_id: str) -> KeyReading[View] | None:
        """None when there is no such key."""
        return await self._batch.call(key_id)

    async def _read(self, key_ids: Sequence[str]) -> list[KeyReading[View] | None]:
        # Many callers may hold the same key: it is read once for all of them.
        known = {key_id: self._known.get(key_id) for key_id in key_ids}
        readings: dict[str, KeyReading[View] | None] = {}
        groups = self._store.by_slot(known.items(), lambda item: keys.config(Ref(Kind.VIRTUAL_KEY, item[0])))
        replies = await self._store.scripts.run_each("read_quota", [self._script_call(group) for group in groups])
        for group, reply in zip(groups, replies, strict=True):
            if isinstance(reply, StoreUnavailable):
                raise reply
            now_ms, *answers = reply
            for (key_id, kept), answer in zip(group, answers, strict=True):
                readings[key_id] = self._reading(now_ms, key_id, kept, answer)
        return [readings[key_id] for key_id in key_ids]

    def _script_call(self, known: Sequence[tuple[str, _Kept[View] | None]]) -> tuple[list[str], list[str]]:
        redis_keys = [key for key_id, kept in known for key in (kept.redis_keys if kept else _redis_keys(key_id))]
        return redis_keys, [self._store.now_ms, *(kept.version if kept else "" for _, kept in known)]

    def _reading(self, now_ms: int, key_id: str, kept: _Kept[View] | None, answer: list[list[bytes]]) -> KeyReading[View] | None:
        if not answer:
            self._known.pop(key_id, None)
            return None
        usage = answer[0]
        if kept is None or len(answer) > 1:
            stored = pairs(usage)
            key = decode_entity(Kind.VIRTUAL_KEY, pairs(answer[1]))
            version = stored[b"v"].decode()
            kept = _Kept(_redis_keys(key_id), version, key, self._view(key), usage, decode_counters(stored))
        elif kept.usage != usage:
            kept = kept._replace(usage=usage, counters=decode_counters(pairs(usage)))
        self._known[key_id] = kept
        self._known.move_to_end(key_id)
        if len(self._known) > self._largest_cache:
            self._known.popitem(last=False)
        return KeyReading(now_ms, kept.version, kept.key, kept.counters, kept.view)


def _redis_keys(key_id: str) -> tuple[str, str]:
    ref = Ref(Kind.VIRTUAL_KEY, key_id)
    return keys.config(ref), keys.usage(ref)
