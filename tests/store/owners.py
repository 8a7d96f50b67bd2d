"""Small entities to store, their ids made of a letter so that tests can name them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from service.entities import (
    Budget,
    CounterEdit,
    CounterEdits,
    Customer,
    Entity,
    Kind,
    ModelConfig,
    PricingOverride,
    Provider,
    ProviderConfig,
    RoutingRule,
    RoutingTarget,
    Team,
    VirtualKey,
)
from service.store.change import Change, commit
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Stored, read
from tests.store.conftest import NOW_MS

TIMES: dict[str, Any] = {"created_at_ms": NOW_MS, "updated_at_ms": NOW_MS}
NO_EDITS = CounterEdits({}, set())


def uuid(letter: str) -> str:
    return str(UUID(int=ord(letter), version=4))


def budget(slot: int, reset_duration: str = "1d") -> Budget:
    return Budget(
        id=uuid(chr(0x100 + slot)),
        slot=slot,
        max_limit_nanousd=10**9,
        reset_duration=reset_duration,
        calendar_aligned=False,
        **TIMES,
    )


def fresh(*slots: int) -> CounterEdits:
    """What creating limits with these slots does to their counters."""
    return CounterEdits({slot: CounterEdit(usage=0, last_reset_ms=NOW_MS) for slot in slots}, set())


def customer(letter: str = "c", **members: Any) -> Customer:
    return Customer(id=uuid(letter), **{"name": f"customer {letter}", **TIMES, **members})


def team(letter: str = "t", **members: Any) -> Team:
    return Team(id=uuid(letter), **{"name": f"team {letter}", **TIMES, **members})


def key(letter: str = "k", **members: Any) -> VirtualKey:
    return VirtualKey(id=uuid(letter), **{"name": f"key {letter}", "value": f"sk-bf-{letter}", **TIMES, **members})


def provider(name: str = "openai", **members: Any) -> Provider:
    return Provider(id=name, **{**TIMES, **members})


def model_config(letter: str = "m", **members: Any) -> ModelConfig:
    return ModelConfig(
        id=uuid(letter),
        **{"model_name": f"model {letter}", "provider": None, "scope": "global", "scope_id": None, **TIMES, **members},
    )


def rule(letter: str = "r", **members: Any) -> RoutingRule:
    target = RoutingTarget(provider="openai", model=None, key_id=None, weight=1)
    return RoutingRule(id=uuid(letter), **{"name": f"rule {letter}", "targets": (target,), **TIMES, **members})


def override(letter: str = "p", **members: Any) -> PricingOverride:
    required = {
        "name": f"override {letter}",
        "scope_kind": "global",
        "match_type": "wildcard",
        "pattern": "*",
        "request_types": ("rerank",),
        "patch": {},
    }
    return PricingOverride(id=uuid(letter), **{**required, **TIMES, **members})


def provider_config(number: int, **members: Any) -> ProviderConfig:
    required = {"weight": None, "allowed_models": (), "blacklisted_models": (), "allow_all_keys": True, "key_ids": ()}
    return ProviderConfig(id=number, **{"provider": "openai", **required, **members})


KINDS: dict[type[Entity], Kind] = {
    VirtualKey: Kind.VIRTUAL_KEY,
    Team: Kind.TEAM,
    Customer: Kind.CUSTOMER,
    Provider: Kind.PROVIDER,
    ModelConfig: Kind.MODEL_CONFIG,
    RoutingRule: Kind.ROUTING_RULE,
    PricingOverride: Kind.PRICING_OVERRIDE,
}
WITH_LIMITS = (customer(), team(), key(), provider(), model_config())
ONE_OF_EACH: tuple[Entity, ...] = (*WITH_LIMITS, rule(), override())


def ref(entity: Entity) -> Ref:
    return Ref(KINDS[type(entity)], entity.id)


def changed(entity: Entity, **members: Any) -> Any:
    return replace(entity, **members)


def changing(write: Callable[[Change], None]) -> Change:
    change = Change(0)
    write(change)
    return change


async def create(store: Store, *entities: Entity, edits: CounterEdits = NO_EDITS) -> None:
    for entity in entities:
        change = Change(0)
        change.create(KINDS[type(entity)], entity, edits)
        assert await commit(store, change)


async def stored(store: Store, entity: Entity) -> Stored[Any] | None:
    """The entity with this one's id as it is in Redis."""
    snapshot = await read(store, [ref(entity)])
    found: Stored[Any] | None = {
        Kind.VIRTUAL_KEY: snapshot.virtual_key,
        Kind.TEAM: snapshot.team,
        Kind.CUSTOMER: snapshot.customer,
        Kind.PROVIDER: snapshot.provider,
        Kind.MODEL_CONFIG: snapshot.model_config,
        Kind.ROUTING_RULE: snapshot.routing_rule,
        Kind.PRICING_OVERRIDE: snapshot.pricing_override,
    }[ref(entity).kind](entity.id)
    return found


async def existing(store: Store, entity: Entity) -> Stored[Any]:
    found = await stored(store, entity)
    assert found is not None
    return found
