"""A configured world: six kinds of owners, stored as admins' changes are stored, and plans made as the service makes them."""

from dataclasses import replace
from itertools import count
from typing import Any

from service.counters import windows_of_counters
from service.entities import (
    Budget,
    CounterEdit,
    CounterEdits,
    Customer,
    LimitOwner,
    ModelConfig,
    Provider,
    ProviderConfig,
    RateLimit,
    Team,
    VirtualKey,
)
from service.quota.plans import Plans
from service.reservation import Mode, Plan
from service.store.change import Change, commit
from service.store.connection import Store
from service.store.snapshot import Stored
from service.windows import initial_reset_ms
from tests.store.owners import existing, ref

SIX_KINDS = ("provider", "model_config", "provider_config", "virtual_key", "team", "customer")
MODEL, PROVIDER = "gpt-4o", "openai"


class Limits:
    """Budgets and rate limits with slots and ids that never repeat within one owner."""

    def __init__(self) -> None:
        self._slots = count(1)

    def budget(self, limit: int, window: str = "1d", *, aligned: bool = False) -> Budget:
        slot = next(self._slots)
        return Budget(
            id=f"budget {slot}",
            slot=slot,
            max_limit_nanousd=limit,
            reset_duration=window,
            calendar_aligned=aligned,
            created_at_ms=0,
            updated_at_ms=0,
        )

    def rate(self, tokens: int | None, requests: int | None, token_window: str = "1d", request_window: str = "1d") -> RateLimit:
        token_slot = next(self._slots)
        return RateLimit(
            id=f"rate limit {token_slot}",
            token_slot=token_slot,
            request_slot=next(self._slots),
            token_max_limit=tokens,
            token_reset_duration=token_window,
            request_max_limit=requests,
            request_reset_duration=request_window,
            created_at_ms=0,
            updated_at_ms=0,
        )


def provider_config(number: int, provider: str = PROVIDER, **members: Any) -> ProviderConfig:
    return ProviderConfig(
        id=number,
        **{
            "provider": provider,
            "weight": 1.0,
            "allowed_models": ("*",),
            "blacklisted_models": (),
            "allow_all_keys": True,
            "key_ids": (),
            **members,
        },
    )


def virtual_key(name: str, **members: Any) -> VirtualKey:
    return VirtualKey(id=name, name=name, value=f"sk-bf-{name}", **{"created_at_ms": 0, "updated_at_ms": 0, **members})


def team(name: str, **members: Any) -> Team:
    return Team(id=name, name=name, created_at_ms=0, updated_at_ms=0, **members)


def customer(name: str, **members: Any) -> Customer:
    return Customer(id=name, name=name, created_at_ms=0, updated_at_ms=0, **members)


def provider(name: str = PROVIDER, **members: Any) -> Provider:
    return Provider(id=name, created_at_ms=0, updated_at_ms=0, **members)


def model_config(name: str, model: str = MODEL, of_provider: str | None = None, **members: Any) -> ModelConfig:
    return ModelConfig(
        id=name,
        model_name=model,
        provider=of_provider,
        **{"scope": "global", "scope_id": None, "created_at_ms": 0, "updated_at_ms": 0, **members},
    )


def fresh_counters(owner: LimitOwner, now_ms: int, *, beside: LimitOwner | None = None) -> CounterEdits:
    """What writing an owner does to its counters: those that are not `beside` yet begin, those only there are dropped."""
    new, old = windows_of_counters(owner), windows_of_counters(beside) if beside is not None else {}
    begun = {
        slot: CounterEdit(usage=0, last_reset_ms=initial_reset_ms(window, now_ms))
        for (slot, limit_id), window in new.items()
        if (slot, limit_id) not in old
    }
    return CounterEdits(begun, {slot for slot, _ in old.keys() - new.keys()})


class World:
    """`now_ms` is when counters of what is created begin."""

    def __init__(self, store: Store, now_ms: int) -> None:
        self.store = store
        self.now_ms = now_ms

    async def create(self, *owners: LimitOwner) -> None:
        for owner in owners:
            change = Change(0)
            change.create(ref(owner).kind, owner, fresh_counters(owner, self.now_ms))
            assert await commit(self.store, change)

    async def change(self, owner: LimitOwner, edits: CounterEdits | None = None, **members: Any) -> None:
        """Writes the stored owner with other members."""
        stored: Stored[LimitOwner] = await existing(self.store, owner)
        changed = replace(stored.entity, **members)
        change = Change(0)
        change.replace(ref(owner).kind, stored, changed, edits or fresh_counters(changed, self.now_ms, beside=stored.entity))
        assert await commit(self.store, change)

    async def delete(self, owner: LimitOwner) -> None:
        change = Change(0)
        change.delete(ref(owner).kind, await existing(self.store, owner))
        assert await commit(self.store, change)

    async def plan(self, key_id: str, *, provider: str = PROVIDER, model: str | None = MODEL, mode: Mode = Mode.CLAMP) -> Plan:
        """By the configuration of this moment."""
        plans = Plans(self.store, mode=mode, known_providers={PROVIDER}, largest_holders=10, largest_plans=10)
        holder = await plans.holder(key_id)
        assert holder is not None
        return plans.plan(holder, (await plans.shared()).limits, provider, model)


def six_kinds(limits: "dict[str, Any] | None" = None) -> list[LimitOwner]:
    """A provider, a global model config, a key with a provider config, its team, its customer. `limits` by kind of owner."""
    parts: dict[str, Any] = {
        name: {} for name in ("provider", "model_config", "provider_config", "virtual_key", "team", "customer")
    }
    parts |= limits or {}
    return [
        customer("customer", **parts["customer"]),
        team("team", customer_id="customer", **parts["team"]),
        provider(**parts["provider"]),
        model_config("model", **parts["model_config"]),
        virtual_key(
            "key",
            team_id="team",
            provider_configs=(provider_config(1, **parts["provider_config"]),),
            **parts["virtual_key"],
        ),
    ]
