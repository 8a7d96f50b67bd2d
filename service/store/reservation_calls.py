"""Several calls on reservations as one script call: keys and plans that they share are sent once."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from service.store import keys
from service.store.connection import Store
from service.store.plans import LONGEST_LEASE_MS, PackedPlan

_STEPS_IN_LEASE: Final = 500
"""Leases end at round times, so that holds which run out together are counted together: at most this part later than asked."""


class Call(NamedTuple):
    """One call of a batch. `fields` are members of its JSON object beside plan, record, index and id."""

    packed: PackedPlan | None
    request_id: str | None
    fields: Mapping[str, object]
    detail: bytes | None = None


class Answer(NamedTuple):
    """`word` says which of the documented answers this is, `rest` is what follows it."""

    now_ms: int
    word: str
    rest: list[Any]


async def run_calls(store: Store, script: str, calls: Sequence[Call], *, retention_ms: int) -> list[Answer]:
    redis_keys, args = encode_calls(calls, retention_ms=retention_ms)
    now_ms, *answers = await store.scripts.run(script, redis_keys, [store.now_ms, *args])
    return [Answer(now_ms, word.decode(), rest) for word, *rest in answers]


def encode_calls(calls: Sequence[Call], *, retention_ms: int) -> tuple[list[str], list[bytes]]:
    """KEYS, and ARGV after the time."""
    places: dict[str, int] = {}

    def place(key: str) -> int:
        return places.setdefault(key, len(places) + 1)

    versions = place(keys.versions())
    numbers: dict[int, int] = {}
    plans: list[orjson.Fragment] = []
    listed: list[dict[str, object]] = []
    for call in calls:
        number = 0
        if call.packed is not None:
            number = numbers.setdefault(id(call.packed), len(plans) + 1)
            if number > len(plans):
                usage_places = [place(key) for key in call.packed.usage_keys]
                plans.append(orjson.Fragment(b'{"keys":%b,%b' % (orjson.dumps(usage_places), call.packed.spec[1:])))
        if call.request_id is None:
            listed.append({"plan": number, **call.fields})
        else:
            record, index = place(keys.reservation(call.request_id)), place(keys.open_reservations(call.request_id))
            listed.append({"plan": number, "record": record, "index": index, "id": call.request_id, **call.fields})
    batch = {
        "versions": versions,
        "retention_ms": retention_ms,
        "index_ttl_ms": LONGEST_LEASE_MS + retention_ms,
        "plans": plans,
        "calls": listed,
    }
    details = [call.detail for call in calls if call.detail is not None]
    return list(places), [orjson.dumps(batch), *details]


def granule_ms(lease_ms: int) -> int:
    """Leases of this length end at multiples of this: 1, 2 or 5 times a power of ten, at most a 500th of the lease."""
    most = max(1, lease_ms // _STEPS_IN_LEASE)
    power: int = 10 ** (len(str(most)) - 1)
    return power * max(step for step in (1, 2, 5) if step * power <= most)
