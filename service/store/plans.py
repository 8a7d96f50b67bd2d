"""Plans as the scripts take them, and as Redis keeps them for replays and for workers that did not make them."""

import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import accumulate
from typing import Final, NamedTuple

from service.counters import windows_of_counters
from service.entities import Kind, LimitOwner
from service.errors import StoreUnavailable
from service.remembered import remembered
from service.reservation import LimitKind, Mode, Plan, PlannedOwner
from service.store import keys
from service.store.batch import Batch
from service.store.codec import decode_owners, decode_plan, encode_plan, locate
from service.store.connection import Store
from service.store.failures import store_errors
from service.store.keys import Ref
from service.store.packed_integers import pack_integers
from service.store.scripts import Arg
from service.store.snapshot import Snapshot, Stored, read
from service.store.versions import read_versions
from service.windows import Window

_SAVED_FOR_S: Final = 3_600.0
"""A plan in use is written again after this long."""
UNCHECKED: Final = -1
_UNLIMITED: Final = -1
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
    return PackedPlan(plan, digest, global_version, tuple(versions), windows, _usage_keys(plan.owners), numbers, shape)


def _usage_keys(owners: Iterable[PlannedOwner]) -> tuple[str, ...]:
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


def plan_ttl_ms(retention_ms: int) -> int:
    """How much longer than the lease a plan is kept: longer than any record that may name it (of what is settled in its last
    moment another one stays as long), although it is saved no more often than each _SAVED_FOR_S.
    """
    return 2 * retention_ms + int(2 * _SAVED_FOR_S * 1000)


class PlanLost(StoreUnavailable):
    """Nobody has saved it, or Redis has lost it since."""

    def __init__(self) -> None:
        super().__init__("the plan of this reservation is lost")


class PackedPlans:
    """Packed plans of one worker, the `largest_cache` used last. Calls that want the same are merged."""

    def __init__(self, store: Store, *, retention_ms: int, largest_cache: int) -> None:
        self._store = store
        self._ttl_ms = plan_ttl_ms(retention_ms)
        self._largest_cache = largest_cache
        # By identity: comparing two plans costs more than packing one of them again.
        self._by_id: OrderedDict[int, PackedPlan] = OrderedDict()
        self._by_digest: OrderedDict[str, PackedPlan] = OrderedDict()
        self._saved_until: dict[str, float] = {}
        self._losses_seen = 0
        self._refused: set[str] = set()
        self._saving: Batch[tuple[PackedPlan, int], None] = Batch(self._save)
        self._loading: Batch[str, PackedPlan] = Batch(self._load)
        self._loading_owners: Batch[str, OwnersOfPlan] = Batch(self._load_owners)
        self._refreshing: Batch[PackedPlan, PackedPlan] = Batch(self._refresh)

    def pack(self, plan: Plan) -> PackedPlan:
        packed = self._by_id.get(id(plan))
        if packed is None:
            packed = self._by_id[id(plan)] = pack(plan)
            if len(self._by_id) > self._largest_cache:
                self._by_id.popitem(last=False)
        self._by_id.move_to_end(id(plan))
        return packed

    def is_saved(self, packed: PackedPlan, lease_ms: int) -> bool:
        """Whether the plan can be loaded as long as a reservation that is made or renewed now may be asked about."""
        if self._store.scripts.possible_losses != self._losses_seen:
            # A server that has forgotten its scripts may have lost what was saved last, too.
            self._losses_seen = self._store.scripts.possible_losses
            self._saved_until.clear()
        return self._saved_until.get(packed.digest, 0.0) > time.monotonic() + lease_ms / 1000

    def note_saved(self, packed: PackedPlan, lease_ms: int) -> None:
        """A script has just written it, or seen that it was."""
        if len(self._saved_until) > self._largest_cache:
            self._saved_until.clear()
        until = time.monotonic() + lease_ms / 1000 + _SAVED_FOR_S
        self._saved_until[packed.digest] = max(until, self._saved_until.get(packed.digest, 0.0))
        self._refused.discard(packed.digest)
        if packed.digest not in self._by_digest:
            self._remember(packed)

    def was_refused(self, packed: PackedPlan) -> bool:
        """The last time that somebody was to be admitted by it."""
        return packed.digest in self._refused

    def note_refused(self, packed: PackedPlan) -> None:
        if len(self._refused) >= self._largest_cache:
            self._refused.clear()
        self._refused.add(packed.digest)

    async def save(self, packed: PackedPlan, lease_ms: int) -> None:
        if not self.is_saved(packed, lease_ms):
            await self._saving.call((packed, lease_ms))

    async def load(self, digest: str) -> PackedPlan:
        """The plan of this digest. StoreUnavailable when it is no longer kept."""
        packed = self._by_digest.get(digest) or await self._loading.call(digest)
        self._remember(packed)
        return packed

    async def load_owners(self, digest: str) -> OwnersOfPlan:
        """Those of `load`, for a quarter of the time where the plan is not known."""
        packed = self._by_digest.get(digest)
        return owners_of(digest, packed.usage_keys) if packed is not None else await self._loading_owners.call(digest)

    async def refresh(self, packed: PackedPlan) -> PackedPlan:
        """The plan as it is configured now, unless somebody asked since `packed` was made."""
        known = self._by_digest.get(packed.digest)
        return known if known is not None and known is not packed else await self._refreshing.call(packed)

    async def _save(self, plans: Sequence[tuple[PackedPlan, int]]) -> list[StoreUnavailable | None]:
        longest: dict[PackedPlan, int] = {}
        for packed, lease_ms in plans:
            longest[packed] = max(lease_ms, longest.get(packed, 0))
        calls: list[tuple[list[str], list[Arg]]] = [
            ([keys.plan(packed.digest)], [plan_text(packed.plan), lease_ms + self._ttl_ms])
            for packed, lease_ms in longest.items()
        ]
        replies = dict(zip(longest, await self._store.scripts.run_each("save_plan", calls), strict=True))
        failures = {packed: reply if isinstance(reply, StoreUnavailable) else None for packed, reply in replies.items()}
        for packed, lease_ms in longest.items():
            if failures[packed] is None:
                self.note_saved(packed, lease_ms)
        return [failures[packed] for packed, _ in plans]

    async def _load(self, digests: Sequence[str]) -> list[PackedPlan | StoreUnavailable]:
        found = {digest: pack(decode_plan(text), digest) for digest, text in await self._texts(digests)}
        return [found.get(digest) or PlanLost() for digest in digests]

    async def _load_owners(self, digests: Sequence[str]) -> list[OwnersOfPlan | StoreUnavailable]:
        found = {digest: owners_of(digest, _usage_keys(decode_owners(text))) for digest, text in await self._texts(digests)}
        return [found.get(digest) or PlanLost() for digest in digests]

    async def _texts(self, digests: Sequence[str]) -> list[tuple[str, bytes]]:
        """Of each that is still kept."""
        wanted = list(dict.fromkeys(digests))
        with store_errors("loading plans"):
            async with self._store.redis.pipeline(transaction=False) as pipe:
                for digest in wanted:
                    pipe.get(keys.plan(digest))
                texts = await pipe.execute()
        return [(digest, text) for digest, text in zip(wanted, texts, strict=True) if text is not None]

    async def _refresh(self, plans: Sequence[PackedPlan]) -> list[PackedPlan]:
        stale = {packed.digest: packed for packed in plans}
        fresh = dict(zip(stale, await as_configured(self._store, list(stale.values())), strict=True))
        for packed in fresh.values():
            self._remember(packed)
        return [fresh[packed.digest] for packed in plans]

    def _remember(self, packed: PackedPlan) -> None:
        self._by_digest[packed.digest] = packed
        self._by_digest.move_to_end(packed.digest)
        if len(self._by_digest) > self._largest_cache:
            self._by_digest.popitem(last=False)


async def as_configured(store: Store, plans: Sequence[PackedPlan]) -> list[PackedPlan]:
    """The limits of plans that reservations were made by, in their windows of now; those removed meanwhile are marked."""
    global_version = (await read_versions(store)).limits
    owners = [Ref(owner.kind, owner.id) for packed in plans for owner in packed.plan.owners]
    snapshot = await read(store, owners, counters=False)
    return [_as_configured(packed, snapshot, global_version) for packed in plans]


def _as_configured(packed: PackedPlan, snapshot: Snapshot, global_version: int) -> PackedPlan:
    plan = packed.plan
    windows: dict[tuple[int, int], Window] = {}
    versions: list[int] = []
    for place, owner in enumerate(plan.owners):
        stored = _limit_owner(snapshot, owner.kind, owner.id)
        # What is gone has no version to ask for: its limits are gone too, and ids are never used again.
        versions.append(stored.version if stored is not None else UNCHECKED)
        known = windows_of_counters(stored.entity) if stored is not None else {}
        for limit in plan.limits:
            if limit.owner == place and (limit.slot, limit.limit_id) in known:
                windows[place, limit.slot] = known[limit.slot, limit.limit_id]
    return pack_with(plan, packed.digest, global_version, versions, windows)


def _limit_owner(snapshot: Snapshot, kind: Kind, owner_id: str) -> Stored[LimitOwner] | None:
    match kind:
        case Kind.VIRTUAL_KEY:
            return snapshot.virtual_key(owner_id)
        case Kind.TEAM:
            return snapshot.team(owner_id)
        case Kind.CUSTOMER:
            return snapshot.customer(owner_id)
        case Kind.PROVIDER:
            return snapshot.provider(owner_id)
        case Kind.MODEL_CONFIG:
            return snapshot.model_config(owner_id)
    raise ValueError(f"{kind} has no limits")
