"""A plan as scripts take it: packed, with all that they would else have to find out each time. lua/README.md has the format."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import accumulate
from typing import Final, NamedTuple

from service.remembered import remembered
from service.reservation import LimitKind, Mode, Plan, PlannedOwner
from service.store import keys
from service.store.codec import encode_plan, locate
from service.store.keys import Ref
from service.store.packed_integers import pack_integers
from service.windows import Window

UNCHECKED: Final = -1
"""In place of a version: whatever it is."""
_UNLIMITED: Final = -1
"""In place of a maximum: counted only."""
_NO_SLOT: Final = 0
"""Stands for a limit that was removed: slots count from 1, so no hash has such a counter."""

_MODES: Final = (Mode.POSTPAID, Mode.CLAMP, Mode.STRICT)
_KINDS: Final = (LimitKind.REQUESTS, LimitKind.TOKENS, LimitKind.BUDGET)
"""As lua/includes/decode_shape.lua counts them."""

plan_text: Final = remembered(largest=2_000)(encode_plan)
"""Wanted for the digest, then again when it is saved; and what is refused is not saved, so that it may be wanted once more."""

Windows = Mapping[tuple[int, int], Window]
"""By place of the owner and slot: the counters that exist, and in which windows they count."""


@dataclass(frozen=True, slots=True, eq=False)
class PackedPlan:
    """A plan and what scripts are told of it. `digest` names what reservations were made by, also when that changed since.

    Compared by identity: comparing two plans costs more than packing one of them again.
    """

    plan: Plan
    digest: str
    global_version: int
    versions: tuple[int, ...]
    windows: Windows
    usage_keys: tuple[str, ...]
    numbers: bytes
    """Packed: global_version, 1 when blocked, when the key expires (0: never), version of each owner, what each limit admits."""
    shape: bytes
    """Packed, the same for many plans: which limits of which owners are counted in which windows, and how enforced."""


class OwnersOfPlan(NamedTuple):
    """A plan without its limits, as far as scripts are told of it: what has run out is given back by what its owners keep."""

    digest: str
    usage_keys: tuple[str, ...]
    numbers: bytes
    shape: bytes


@lru_cache(maxsize=8192)
def owners_of(digest: str, usage_keys: tuple[str, ...]) -> OwnersOfPlan:
    """The same object for the same plan: calls that share it send it once."""
    count = len(usage_keys)
    numbers = pack_integers(UNCHECKED, 0, 0, *[UNCHECKED] * count)
    return OwnersOfPlan(digest, usage_keys, numbers, _shape(Mode.POSTPAID, 0, count, ()))


def pack(plan: Plan, digest: str | None = None) -> PackedPlan:
    """`digest`: the one that the plan was found by, where it was loaded."""
    digest = digest or sha256(plan_text(plan)).hexdigest()[:32]
    windows = {(limit.owner, limit.slot): limit.window for limit in plan.limits}
    # A counter listed twice would be sold twice.
    assert len(windows) == len(plan.limits), "a plan lists each counter once"
    versions = [UNCHECKED if owner.version is None else owner.version for owner in plan.owners]
    global_version = UNCHECKED if plan.global_version is None else plan.global_version
    return pack_with(plan, digest, global_version, versions, windows)


def pack_with(plan: Plan, digest: str, global_version: int, versions: Sequence[int], windows: Windows) -> PackedPlan:
    """`windows` has the counters that exist; limits without one are gone."""
    counted = [
        _Counted(limit.owner, limit.slot, limit.kind, window)
        if (window := windows.get((limit.owner, limit.slot)))
        else _Counted(limit.owner, _NO_SLOT, limit.kind, limit.window)
        for limit in plan.limits
    ]
    shape = _shape(plan.mode, plan.gate, len(plan.owners), tuple(counted))
    maxima = [_UNLIMITED if limit.limit is None else limit.limit for limit in plan.limits]
    numbers = pack_integers(global_version, plan.blocked is not None, plan.expires_at_ms or 0, *versions, *maxima)
    return PackedPlan(plan, digest, global_version, tuple(versions), windows, usage_keys_of(plan.owners), numbers, shape)


def usage_keys_of(owners: Iterable[PlannedOwner]) -> tuple[str, ...]:
    return tuple(keys.usage(Ref(owner.kind, owner.id)) for owner in owners)


class _Counted(NamedTuple):
    """A limit, as a shape knows it."""

    owner: int
    slot: int
    kind: LimitKind
    window: Window


@lru_cache(maxsize=4096)
def _shape(mode: Mode, gate: int, owner_count: int, limits: tuple[_Counted, ...]) -> bytes:
    """By columns, as lua/README.md describes them, with all that a script would else have to find out each time."""
    owners = [limit.owner for limit in limits]
    located = [locate(limit.slot) for limit in limits]
    # Of each owner one after the other.
    states = sorted({(owner, state) for owner, (state, _) in zip(owners, located, strict=True)})
    state_owners = [owner for owner, _ in states]
    by_owner = sorted(range(len(owners)), key=owners.__getitem__)
    return pack_integers(
        _MODES.index(mode) + 1,
        gate,
        owner_count,
        len(limits),
        len(states),
        *(limit.owner + 1 for limit in limits),
        *(limit.slot for limit in limits),
        *(_KINDS.index(limit.kind) + 1 for limit in limits),
        *(limit.window.length_ms for limit in limits),
        *(ord(limit.window.align) if limit.window.align else 0 for limit in limits),
        *(states.index((owner, state)) + 1 for owner, (state, _) in zip(owners, located, strict=True)),
        *(2 + 3 * place for _, place in located),
        *_hold_places(limits),
        *(place + 1 for place in by_owner),
        *accumulate(owners.count(owner) for owner in range(owner_count)),
        *(owner + 1 for owner in state_owners),
        *(state for _, state in states),
        *accumulate(state_owners.count(owner) for owner in range(owner_count)),
    )


def _hold_places(limits: Sequence[_Counted]) -> list[int]:
    """Where among the holds of its owner those of a limit are, if only requests of this plan hold anything there."""
    held: Counter[int] = Counter()
    places = []
    for limit in limits:
        places.append(3 + 2 * held[limit.owner])
        held[limit.owner] += limit.kind is not LimitKind.REQUESTS
    return places


def unchecked(packed: PackedPlan) -> PackedPlan:
    """The same, whatever the versions are by now: for what must not wait until admins are done."""
    return pack_with(packed.plan, packed.digest, UNCHECKED, [UNCHECKED] * len(packed.versions), packed.windows)


def is_checked(packed: PackedPlan) -> bool:
    """Whether it has the version of every owner that counts anything."""
    return all(packed.versions[owner] != UNCHECKED for owner, _ in packed.windows)


def as_planned(packed: PackedPlan) -> PackedPlan:
    """With the versions that the plan was made of, where it has any: stale where its key, team or customer has changed since."""
    planned = [
        now if owner.version is None else owner.version for owner, now in zip(packed.plan.owners, packed.versions, strict=True)
    ]
    if tuple(planned) == packed.versions:
        return packed
    return pack_with(packed.plan, packed.digest, packed.global_version, planned, packed.windows)
