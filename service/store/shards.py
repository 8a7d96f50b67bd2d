"""A plan in parts, one for each hash slot of a cluster that its owners live in, and the parts' answers put together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from redis.crc import key_slot

from service.entities import Counter
from service.reservation import LimitKind, Plan
from service.store import keys
from service.store.keys import Ref
from service.store.packed_integers import pack_states, unpack_integers, unpack_states
from service.store.packed_plan import UNCHECKED, PackedPlan, pack_with
from service.store.reservation_answers import hold_by_hold
from service.store.reservation_calls import Answer

_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """What is decided in one slot. `places` are those of its limits in the whole plan."""

    packed: PackedPlan
    places: tuple[int, ...]

    def record(self, request_id: str) -> str:
        owner = self.packed.plan.owners[0]
        return keys.reservation_part(Ref(owner.kind, owner.id), request_id)


@lru_cache(maxsize=_KEPT)
def shards_of(packed: PackedPlan) -> tuple[Shard, ...]:
    slots: dict[int, list[int]] = {}
    for place, key in enumerate(packed.usage_keys):
        slots.setdefault(key_slot(key.encode()), []).append(place)
    return tuple(_shard(packed, owners) for owners in slots.values())


@lru_cache(maxsize=_KEPT)
def head_of(packed: PackedPlan) -> PackedPlan:
    """The plan without owners, for the record that says whose the request id is."""
    return pack_with(_without_gate(packed.plan, [], []), packed.digest, UNCHECKED, (), {})


def _shard(packed: PackedPlan, owners: Sequence[int]) -> Shard:
    plan = packed.plan
    places = tuple(place for place, limit in enumerate(plan.limits) if limit.owner in owners)
    part = _without_gate(plan, owners, places)
    windows = {(owners.index(owner), slot): window for (owner, slot), window in packed.windows.items() if owner in owners}
    versions = [packed.versions[owner] for owner in owners]
    return Shard(pack_with(part, packed.digest, UNCHECKED, versions, windows), places)


def _without_gate(plan: Plan, owners: Sequence[int], places: Iterable[int]) -> Plan:
    """What a part says is put in order with what the others say, so a part has no gate and no block of its own."""
    limits = [replace(plan.limits[place], owner=owners.index(plan.limits[place].owner)) for place in places]
    return replace(
        plan,
        owners=tuple(plan.owners[owner] for owner in owners),
        limits=tuple(limits),
        gate=0,
        blocked=None,
        expires_at_ms=None,
    )


def decide(plan: Plan, over: Sequence[int], now_ms: int) -> tuple[str, list[int]]:
    """The same as lua/includes/decide.lua: the word, and the limits that refuse. Limits are numbered from 1."""
    before = [number for number in over if number <= plan.gate]
    if before:
        return "refused", before
    if plan.has_expired(now_ms):
        return "expired", []
    if plan.blocked is not None:
        return "blocked", []
    return ("refused", list(over)) if over else ("granted", [])


def taken_of(plan: Plan, tokens: int, cost_nanousd: int, packed: bytes) -> Sequence[int]:
    """The same as lua/includes/read_taken.lua: of each limit, what a part took that reserved this much."""
    if packed:
        return unpack_integers(packed)
    reserved = {LimitKind.REQUESTS: 1, LimitKind.TOKENS: tokens, LimitKind.BUDGET: cost_nanousd}
    return [reserved[limit.kind] if limit.kind is LimitKind.REQUESTS or limit.limit is not None else 0 for limit in plan.limits]


class Merged:
    """Counters, limits that would refuse and holds of all parts, by their numbers in the whole plan."""

    def __init__(self, plan: Plan) -> None:
        self._states = [Counter(0, -1, 0)] * len(plan.limits)
        self.over: list[int] = []
        self.holds: list[int] = []

    @property
    def counters(self) -> bytes:
        return pack_states(self._states)

    def add_counters(self, shard: Shard, counters: bytes, taken: Sequence[int] | None = None) -> None:
        """`taken`: what the part took, of each of its limits, and goes back."""
        for at, (place, state) in enumerate(zip(shard.places, unpack_states(counters), strict=True)):
            if taken is None:
                self._states[place] = state
            elif shard.packed.plan.limits[at].kind is LimitKind.REQUESTS:
                self._states[place] = state._replace(usage=state.usage - taken[at])
            else:
                self._states[place] = state._replace(held=state.held - taken[at])

    def add_refusal(self, shard: Shard, over: Sequence[int], holds: Sequence[int]) -> None:
        self.over = sorted([*self.over, *(shard.places[number - 1] + 1 for number in over)])
        for number, *rest in hold_by_hold(holds):
            self.holds += [shard.places[number - 1] + 1, *rest]

    def refusal(self, plan: Plan, now_ms: int) -> Answer:
        """As reserve answers it on one node."""
        word, violated = decide(plan, self.over, now_ms)
        if word == "refused":
            return Answer(now_ms, word, [violated, self.over, self.counters, self.holds])
        return Answer(now_ms, word, [self.counters])
