"""Pricing overrides: create, update, delete, and finding the ones a list shows."""

from dataclasses import dataclass
from uuid import uuid4

from service.admin.listing import Found, Page, find, narrowed
from service.entities import Kind, PricingOverride
from service.errors import NotFound
from service.governance import pricing_overrides as rules
from service.models.pricing_overrides import CreatePricingOverrideRequest, UpdatePricingOverrideRequest
from service.store import keys
from service.store.change import Change, transact
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class OverrideFilter:
    """All that is given must hold; blank means not given."""

    scope_kind: str = ""
    virtual_key_id: str = ""
    provider_id: str = ""
    provider_key_id: str = ""
    search: str = ""

    def passes(self, override: PricingOverride) -> bool:
        return (
            self.scope_kind in ("", override.scope_kind)
            and self.virtual_key_id in ("", override.virtual_key_id)
            and self.provider_id in ("", override.provider_id)
            and self.provider_key_id in ("", override.provider_key_id)
            and self.search.casefold() in override.name.casefold()
        )


def not_found(override_id: str) -> NotFound:
    return NotFound(f"there is no pricing override {override_id}")


async def create(store: Store, request: CreatePricingOverrideRequest) -> str:
    """The id of the new override."""
    override_id = str(uuid4())

    def build(snapshot: Snapshot) -> Change:
        change = Change(snapshot.now_ms)
        override = rules.create(request, now_ms=snapshot.now_ms, override_id=override_id)
        change.create(Kind.PRICING_OVERRIDE, override)
        return change

    await transact(store, [], build)
    return override_id


async def update(store: Store, override_id: str, request: UpdatePricingOverrideRequest) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.pricing_override(override_id)
        if stored is None:
            raise not_found(override_id)
        change = Change(snapshot.now_ms)
        change.replace(Kind.PRICING_OVERRIDE, stored, rules.update(stored.entity, request, now_ms=snapshot.now_ms))
        return change

    await transact(store, [Ref(Kind.PRICING_OVERRIDE, override_id)], build)


async def delete(store: Store, override_id: str) -> None:
    def build(snapshot: Snapshot) -> Change:
        stored = snapshot.pricing_override(override_id)
        if stored is None:
            raise not_found(override_id)
        change = Change(snapshot.now_ms)
        change.delete(Kind.PRICING_OVERRIDE, stored)
        return change

    await transact(store, [Ref(Kind.PRICING_OVERRIDE, override_id)], build)


async def find_overrides(store: Store, page: Page | None, wanted: OverrideFilter) -> Found:
    """Oldest first. A filter or a search reads all overrides: there are few."""
    index = keys.index(Kind.PRICING_OVERRIDE, "created")
    if wanted == OverrideFilter():
        return await find(store, Kind.PRICING_OVERRIDE, index, page)
    everything = await find(store, Kind.PRICING_OVERRIDE, index, None)
    return narrowed(everything, everything.snapshot.pricing_override, wanted.passes, page)
