"""The hot read: a virtual key with its counters, many keys in one call, configurations kept by version."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

import orjson

from service.counters import windows_of_counters
from service.entities import Counters, Kind, VirtualKey
from service.errors import StoreUnavailable
from service.store import keys
from service.store.batch import Batch
from service.store.codec import decode_counters, decode_entity, pairs, state_field
from service.store.connection import Store
from service.store.keys import Ref

View = TypeVar("View")
"""What a caller derives from a configuration: made once, kept as long as the configuration."""

_MOST_FIELDS: Final = 3_000
"""Lua passes no more than 8,000 arguments to a command. A key with more counters is read whole every time."""


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
    fields: tuple[str, ...]
    """Of the usage hash: the version, then what has the counters of the key."""
    values: list[bytes | None]
    """Of these fields, as they were read last ..."""
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

    def _script_call(self, known: Sequence[tuple[str, _Kept[View] | None]]) -> tuple[list[str], list[str | bytes]]:
        redis_keys: list[str] = []
        # Many keys have the same few counters: what they need is sent once.
        wanted: dict[tuple[str, ...], int] = {}
        versions: list[str | bytes] = []
        for key_id, kept in known:
            if kept is None:
                redis_keys += _redis_keys(key_id)
                versions += ("", "0")
            else:
                redis_keys += kept.redis_keys
                versions += (kept.version, str(wanted.setdefault(kept.fields, len(wanted) + 1)))
        return redis_keys, [self._store.now_ms, orjson.dumps(list(wanted)), *versions]

    def _reading(self, now_ms: int, key_id: str, kept: _Kept[View] | None, answer: list[list[Any]]) -> KeyReading[View] | None:
        if not answer:
            self._known.pop(key_id, None)
            return None
        if len(answer) > 1:
            kept = self._decoded(key_id, *map(pairs, answer))
        elif kept is not None and kept.values != answer[0]:
            kept = kept._replace(values=answer[0], counters=_counters(kept.fields, answer[0]))
        assert kept is not None
        if len(kept.fields) > _MOST_FIELDS:
            self._known.pop(key_id, None)
        else:
            self._known[key_id] = kept
            self._known.move_to_end(key_id)
        if len(self._known) > self._largest_cache:
            self._known.popitem(last=False)
        return KeyReading(now_ms, kept.version, kept.key, kept.counters, kept.view)

    def _decoded(self, key_id: str, usage: dict[bytes, bytes], config: dict[bytes, bytes]) -> _Kept[View]:
        key = decode_entity(Kind.VIRTUAL_KEY, config)
        fields = ("v", *sorted({state_field(slot) for slot, _ in windows_of_counters(key)}))
        values = [usage.get(field.encode()) for field in fields]
        version = usage[b"v"].decode()
        return _Kept(_redis_keys(key_id), version, key, self._view(key), fields, values, _counters(fields, values))


def _counters(fields: Sequence[str], values: Sequence[bytes | None]) -> Counters:
    return decode_counters({field.encode(): value for field, value in zip(fields, values, strict=True)})


def _redis_keys(key_id: str) -> tuple[str, str]:
    ref = Ref(Kind.VIRTUAL_KEY, key_id)
    return keys.config(ref), keys.usage(ref)
