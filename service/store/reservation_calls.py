"""Several calls on reservations as one script call: keys and plans that they share are sent once."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any, Final, NamedTuple, Self

from service.errors import StoreUnavailable
from service.models.enforcement import LONGEST_TTL_MS
from service.store import keys
from service.store.connection import Store
from service.store.packed_integers import pack_integers
from service.store.packed_plan import OwnersOfPlan, PackedPlan
from service.store.plans import plan_ttl_ms

_STEPS_IN_LEASE: Final = 100
"""Leases end at round times, so that holds which run out together are counted together: at most this part later than asked."""


class Call(NamedTuple):
    """One call of a batch; `numbers` and `texts` are those that the header of its script names.

    `record` and `open_index` are keys, None where the call has none. `saves_plan`: the plan is saved when the call is granted,
    as `plan_text` says it; else it must be there by then ("unsaved" is answered where it is not).
    """

    packed: PackedPlan | OwnersOfPlan | None
    numbers: tuple[int, ...]
    texts: tuple[str | bytes, ...]
    record: str | None = None
    open_index: str | None = None
    extra_ms: int = 0
    saves_plan: bool = False
    plan_text: bytes = b""

    @classmethod
    def on(
        cls,
        request_id: str,
        packed: PackedPlan | OwnersOfPlan | None,
        numbers: tuple[int, ...] = (),
        *texts: str | bytes,
        saves_plan: bool = False,
        plan_text: bytes = b"",
    ) -> Self:
        """On a whole reservation; its id is the first of the texts."""
        record, open_index = keys.reservation(request_id), keys.open_index(request_id)
        return cls(packed, numbers, (request_id, *texts), record, open_index, 0, saves_plan, plan_text)

    @property
    def any_key(self) -> str:
        """On a cluster all keys of a call are in the slot of this one."""
        if self.record is not None:
            return self.record
        return self.packed.usage_keys[0] if self.packed is not None and self.packed.usage_keys else keys.versions()


class Answer(NamedTuple):
    """`word` says which of the documented answers this is, `rest` is what follows it."""

    now_ms: int
    word: str
    rest: list[Any]


async def run_calls(
    store: Store, script: str, calls: Sequence[Call], *, retention_ms: int
) -> Sequence[Answer | StoreUnavailable]:
    """One script call, on a cluster one for each slot; what one of them fails with stands in the place of its answers."""
    if not store.clustered:
        redis_keys, args = encode_calls(calls, retention_ms=retention_ms)
        return _answers(await store.scripts.run(script, redis_keys, [store.now_ms, *args]))
    groups = store.by_slot(enumerate(calls), lambda numbered: numbered[1].any_key)
    encoded = [encode_calls([call for _, call in group], retention_ms=retention_ms, with_versions=False) for group in groups]
    replies = await store.scripts.run_each(script, [(redis_keys, [store.now_ms, *args]) for redis_keys, args in encoded])
    answers: dict[int, Answer | StoreUnavailable] = {}
    for group, reply in zip(groups, replies, strict=True):
        failed = isinstance(reply, StoreUnavailable)
        of_group: Sequence[Answer | StoreUnavailable] = [reply] * len(group) if failed else _answers(reply)
        answers.update({number: answer for (number, _), answer in zip(group, of_group, strict=True)})
    return [answers[number] for number in range(len(calls))]


def _answers(reply: list[Any]) -> list[Answer]:
    now_ms = reply[0]
    return [Answer(now_ms, word.decode(), rest) for word, *rest in reply[1:]]


def encode_calls(calls: Sequence[Call], *, retention_ms: int, with_versions: bool = True) -> tuple[list[str], list[str | bytes]]:
    """KEYS, and ARGV after the time: lua/README.md describes them."""
    places: defaultdict[str, int] = defaultdict(count(1).__next__)
    place = places.__getitem__
    versions = place(keys.versions()) if with_versions else 0
    saved = {id(call.packed) for call in calls if call.saves_plan}
    texts = {id(call.packed): call.plan_text for call in calls if call.plan_text}
    shapes: dict[bytes, int] = {}
    numbers: dict[int, int] = {}
    plans: list[str | bytes] = []
    records: list[int] = []
    listed: list[str | bytes] = []
    for call in calls:
        packed, number = call.packed, 0
        if packed is not None:
            number = numbers.get(id(packed), 0)
            if not number:
                number = numbers[id(packed)] = len(numbers) + 1
                shape = shapes.setdefault(packed.shape, len(shapes) + 1)
                in_keys = pack_integers(
                    shape,
                    place(keys.plan(packed.digest)) if id(packed) in saved else 0,
                    *map(place, packed.usage_keys),
                )
                plans += (packed.digest, in_keys + packed.numbers, texts.get(id(packed), b""))
        record = place(call.record) if call.record else 0
        index = place(call.open_index) if call.open_index else 0
        if record:
            records.append(record)
        listed.append(pack_integers(number, record, index, call.extra_ms, *call.numbers))
        listed += call.texts
    head = pack_integers(
        versions, retention_ms, LONGEST_TTL_MS + retention_ms, plan_ttl_ms(retention_ms), len(shapes), len(numbers), len(calls)
    )
    return list(places), [head, pack_integers(*records), *shapes, *plans, *listed]


@lru_cache(maxsize=1024)
def granule_ms(lease_ms: int) -> int:
    """Leases of this length end at multiples of this: 1, 2 or 5 times a power of ten, at most a hundredth of the lease."""
    most = max(1, lease_ms // _STEPS_IN_LEASE)
    power: int = 10 ** (len(str(most)) - 1)
    return power * max(step for step in (1, 2, 5) if step * power <= most)
