"""Virtual keys: create, update, delete, and finding the ones a list shows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from service.admin.listing import Found, Page, cut, find
from service.admin.references import refs, require
from service.entities import CounterEdits, Kind, VirtualKey
from service.errors import NotFound
from service.governance import virtual_keys as rules
from service.governance.virtual_keys import Known
from service.models.virtual_keys import CreateVirtualKeyRequest, UpdateVirtualKeyRequest
from service.store import directory, keys
from service.store.change import Change, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot, Stored, read
from service.windows import current, window_of_budget

ORDERS: Final = frozenset(("created_at", "name", "status", "budget_spent"))
_INDEXES: Final = {"created_at": "created", "name": "name", "status": "status"}
"""Orders that have an index. Keys move in all but the first, when they get another name or are switched."""


@dataclass(frozen=True, slots=True)
class KeyFilter:
    """Which keys a list is about; of `team_id` and `customer_id` either is enough. `order` is one of ORDERS."""

    team_id: str = ""
    customer_id: str = ""
    search: str = ""
    order: str = "created_at"
    descending: bool = False

    @property
    def parents(self) -> list[Ref]:
        return _owners(self.team_id, self.customer_id)


def not_found(key_id: str) -> NotFound:
    return NotFound(f"there is no virtual key {key_id}")


async def create(store: Store, request: CreateVirtualKeyRequest, known: Known) -> str:
    """The id of the new key."""
    value = rules.new_value()
    key_id = keys.virtual_key_id(value)

    def build(snapshot: Snapshot) -> Change:
        edited = rules.create(request, key_id=key_id, value=value, now_ms=snapshot.now_ms, known=known, numbers=_numbers())
        change = Change(snapshot.now_ms)
        _require_new_owner(change, snapshot, request)
        change.create(Kind.VIRTUAL_KEY, edited.entity, edited.counters)
        return change

    await transact(store, _owners(request.team_id, request.customer_id), build)
    return key_id


async def update(store: Store, key_id: str, request: UpdateVirtualKeyRequest, known: Known) -> None:
    ref = Ref(Kind.VIRTUAL_KEY, key_id)

    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.virtual_key(key_id)
        if stored is None:
            raise not_found(key_id)
        edited = rules.update(stored.entity, request, now_ms=snapshot.now_ms, known=known, numbers=_numbers())
        change = Change(snapshot.now_ms)
        if request.moves:
            _require_new_owner(change, snapshot, request)
        replace_key(change, snapshot, stored, edited.entity, edited.counters)
        return change

    await transact(store, [ref, *_owners(request.team_id, request.customer_id)], build)


async def delete(store: Store, key_id: str) -> None:
    """With its limits on models; what else names it, rules and prices, stays and matches nothing."""

    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.virtual_key(key_id)
        if stored is None:
            raise not_found(key_id)
        change = Change(snapshot.now_ms)
        change.delete(Kind.VIRTUAL_KEY, stored)
        for config in stored.entity.model_configs:
            change.delete_in_key(config)
        return change

    await transact(store, [Ref(Kind.VIRTUAL_KEY, key_id)], build)


def replace_key(change: Change, snapshot: Snapshot, stored: Stored[VirtualKey], key: VirtualKey, counters: CounterEdits) -> None:
    """Writes a key that exists; what it belonged to and is no more it no longer names."""
    if key.team_id and snapshot.team(key.team_id) is None:
        key = replace(key, team_id=None)
    if key.customer_id and snapshot.customer(key.customer_id) is None:
        key = replace(key, customer_id=None)
    for ref in _owners(key.team_id, key.customer_id):
        change.require(ref)
    change.replace(Kind.VIRTUAL_KEY, stored, key, counters)


async def find_keys(store: Store, wanted: KeyFilter, page: Page | None) -> Found:
    """A page in one of the orders that have an index costs what it shows; the others read all keys that pass the filter."""
    if not wanted.parents and wanted.order in _INDEXES:
        index, by_age = (keys.index(Kind.VIRTUAL_KEY, _INDEXES[order]) for order in (wanted.order, "created_at"))
        return await find(
            store, Kind.VIRTUAL_KEY, index, page, search=wanted.search, descending=wanted.descending, once_by=by_age
        )
    if len(wanted.parents) == 1 and wanted.order == "created_at":
        index = keys.children(Kind.VIRTUAL_KEY, wanted.parents[0])
        return await find(store, Kind.VIRTUAL_KEY, index, page, search=wanted.search, descending=wanted.descending)
    indexes = [keys.children(Kind.VIRTUAL_KEY, parent) for parent in wanted.parents] or [keys.index(Kind.VIRTUAL_KEY, "created")]
    # A key belongs to one parent only, so no id comes twice.
    ids = [key_id for index in indexes for key_id in await directory.search(store, index, wanted.search)]
    snapshot = await read(store, (Ref(Kind.VIRTUAL_KEY, key_id) for key_id in ids))
    stored = [one for key_id in ids if (one := snapshot.virtual_key(key_id)) is not None]
    stored.sort(key=lambda one: _place(one, wanted.order, snapshot.now_ms), reverse=wanted.descending)
    return Found(snapshot, cut([one.entity.id for one in stored], page), len(stored))


def _place(stored: Stored[VirtualKey], order: str, now_ms: int) -> tuple[str | int, int, str]:
    """What a list is sorted by; the same as the indexes have it."""
    key = stored.entity
    first: str | int = 0
    match order:
        case "name":
            first = key.name
        case "status":
            first = int(key.is_active)
        case "budget_spent":
            first = _most_spent_nanousd(stored, now_ms)
    return (first, key.created_at_ms, key.id)


def _most_spent_nanousd(stored: Stored[VirtualKey], now_ms: int) -> int:
    """From one of its budgets: all of them count the same money, each since another time."""
    key = stored.entity
    return max(
        (
            current(stored.counters[budget.slot], window_of_budget(budget, aligned=key.calendar_aligned), now_ms).usage
            for budget in key.budgets
        ),
        default=0,
    )


def _numbers() -> Iterator[int]:
    """Stand for the ids of new provider configs and MCP configs, which get them in the commit."""
    return count(-1, -1)


def _owners(team_id: str | None, customer_id: str | None) -> list[Ref]:
    return [*refs(Kind.TEAM, team_id), *refs(Kind.CUSTOMER, customer_id)]


def _require_new_owner(change: Change, snapshot: Snapshot, request: CreateVirtualKeyRequest | UpdateVirtualKeyRequest) -> None:
    require(change, snapshot, Kind.TEAM, request.team_id, param="team_id")
    require(change, snapshot, Kind.CUSTOMER, request.customer_id, param="customer_id")
