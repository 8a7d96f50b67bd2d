"""The packed plans of one worker, and the plans that Redis keeps for replays and for workers that did not make them."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from service.counters import windows_of_counters
from service.entities import Kind, LimitOwner
from service.errors import StoreUnavailable
from service.reservation import Plan
from service.store import keys
from service.store.batch import Batch
from service.store.codec import decode_owners, decode_plan
from service.store.connection import Store
from service.store.failures import store_errors
from service.store.keys import Ref
from service.store.packed_plan import (
    UNCHECKED,
    OwnersOfPlan,
    PackedPlan,
    owners_of,
    pack,
    pack_with,
    plan_text,
    usage_keys_of,
)
from service.store.scripts import Arg
from service.store.snapshot import Snapshot, Stored, read
from service.store.versions import read_versions
from service.windows import Window

ATTEMPTS: Final = 8
"""How often the plan of a reservation is looked up or brought up to date before its versions are taken on trust."""
_SAVED_FOR_S: Final = 3_600.0
"""A plan in use is written again after this long."""


def plan_ttl_ms(retention_ms: int) -> int:
    """How much longer than the lease a plan is kept: longer than any record that may name it (of what is released in its last
    moment one stays as long again, and again where that is settled then), although it is saved no more often than each
    _SAVED_FOR_S.
    """
    return 3 * retention_ms + int(2 * _SAVED_FOR_S * 1000)


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
        """The owners of that plan alone: a quarter of the time of `load` where this worker does not know the plan."""
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
        found = {digest: owners_of(digest, usage_keys_of(decode_owners(text))) for digest, text in await self._texts(digests)}
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
