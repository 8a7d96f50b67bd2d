"""The plans of one worker: made from configurations it read once, kept until the store says that they are stale."""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Generic, NamedTuple, TypeVar

from service.entities import Kind
from service.quota.plan import Holder, SharedLimits, make_plan
from service.quota.shared import Shared, read_shared
from service.reservation import Mode, Plan
from service.store.batch import Batch
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot, read

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """The values used last, `largest` of them."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._largest:
            self._values.popitem(last=False)

    def drop(self, key: K) -> None:
        self._values.pop(key, None)


class _Made(NamedTuple):
    """A plan, and what it was made of: another holder or other shared limits make another plan."""

    holder: Holder | None
    shared: SharedLimits
    plan: Plan


class Plans:
    """Configurations and plans are kept, counters never. What is kept may be old: the script that decides checks its versions."""

    def __init__(
        self, store: Store, *, mode: Mode, known_providers: Collection[str], largest_holders: int, largest_plans: int
    ) -> None:
        self._store = store
        self._mode = mode
        self.known_providers = known_providers
        self._holders: Kept[str, Holder] = Kept(largest_holders)
        self._plans: Kept[tuple[str | None, str, str, str], _Made] = Kept(largest_plans)
        self._shared: Shared | None = None
        # However many wait, one reads for all of them.
        self._holder_reads: Batch[str, Holder | None] = Batch(self._read_holders)
        self._shared_reads: Batch[None, Shared] = Batch(self._read_shared, largest=1_000_000, concurrent=1)

    async def holder(self, key_id: str) -> Holder | None:
        """The virtual key as last read; None when there is none."""
        return self._holders.get(key_id) or await self._holder_reads.call(key_id)

    async def shared(self) -> Shared:
        """What concerns every key, as last read."""
        return self._shared or await self._shared_reads.call(None)

    async def latest_shared(self) -> Shared:
        """The same as it is now: one round trip, and more where something moved."""
        return await self._shared_reads.call(None)

    async def shared_after(self, stale: Shared) -> Shared:
        """What to go by after a stale answer: all changes before this call are in there, those that follow are not waited for.
        Where nothing of this moved it was the key, or, on a cluster, a limit whose version is raised later.
        """
        latest = await self.latest_shared()
        return latest if latest.versions == stale.versions else latest.as_read()

    async def latest_holder(self, key_id: str) -> Holder | None:
        """The virtual key as it is now: one round trip."""
        return await self._holder_reads.call(key_id)

    def recall_holder(self, key_id: str) -> Holder | None:
        """The same as far as it is known without asking the store."""
        return self._holders.get(key_id)

    def recall_shared(self) -> Shared | None:
        return self._shared

    def plan(
        self,
        holder: Holder | None,
        shared: SharedLimits,
        provider: str | None,
        model: str | None,
        request_type: str | None = None,
    ) -> Plan:
        identity = (holder.key.entity.id if holder is not None else None, provider or "", model or "", request_type or "")
        made = self._plans.get(identity)
        if made is None or made.holder is not holder or made.shared is not shared:
            plan = make_plan(
                holder,
                shared,
                provider,
                model,
                mode=self._mode,
                known_providers=self.known_providers,
                request_type=request_type or "",
            )
            made = _Made(holder, shared, plan)
            self._plans.put(identity, made)
        return made.plan

    def forget_holder(self, stale: Plan) -> None:
        """Of a plan that the store says is stale, unless another call has done so before."""
        made = self._plans.get((stale.key_id, stale.provider, stale.model, stale.request_type))
        if stale.key_id is not None and (made is None or made.holder is self._holders.get(stale.key_id)):
            self._holders.drop(stale.key_id)

    async def _read_shared(self, callers: Sequence[None]) -> list[Shared]:
        self._shared = await read_shared(self._store, self._shared)
        return [self._shared] * len(callers)

    async def _read_holders(self, key_ids: Sequence[str]) -> list[Holder | None]:
        snapshot = await read(self._store, [Ref(Kind.VIRTUAL_KEY, key_id) for key_id in key_ids], counters=False)
        found = {key_id: _holder(snapshot, key_id) for key_id in dict.fromkeys(key_ids)}
        for key_id, holder in found.items():
            if holder is not None:
                self._holders.put(key_id, holder)
        return [found[key_id] for key_id in key_ids]


def _holder(snapshot: Snapshot, key_id: str) -> Holder | None:
    key = snapshot.virtual_key(key_id)
    if key is None:
        return None
    team = snapshot.team(key.entity.team_id)
    customer = snapshot.customer(team.entity.customer_id if team is not None else key.entity.customer_id)
    return Holder(key, team, customer)
