"""Admins who change one thing after the other, faster than a worker reads, keep no request from being decided and charged."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from service.governance.virtual_keys import new_value
from service.models.enforcement import ReserveRequest, SettleRequest
from service.models.parsing import parse
from service.quota.decision import Verdict
from service.quota.enforcer import Enforcer, open_enforcer
from service.quota.explain import explain
from service.quota.reserve import Admission, reserve
from service.quota.settle import settle
from service.reservation import Settled
from service.settings import Settings
from service.store import keys
from service.store.connection import Store
from service.store.reservations import Reservations
from tests.enforcement.world import World
from tests.quota.configurations import Slots, model_config, provider_config, virtual_key
from tests.store.plans import NOW

VALUE = new_value()


@pytest.fixture
async def enforcer(store: Store) -> Enforcer:
    key = virtual_key(provider_config("openai"), id=keys.virtual_key_id(VALUE), value=VALUE)
    await World(store, NOW).create(key)
    return open_enforcer(Settings(), store)


def before_each(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], Awaitable[None]]) -> None:
    """What happens before each attempt of a call: after its worker has read what it goes by."""

    def after(asked: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def ask(reservations: Reservations, call: object) -> object:
            await happens()
            return await asked(reservations, call)

        return ask

    for name in ("reserve", "settle", "explain"):
        monkeypatch.setattr(Reservations, name, after(getattr(Reservations, name)))


def request(request_id: str, **members: Any) -> ReserveRequest:
    return parse(ReserveRequest, {"request_id": request_id, "model": "gpt-4o", "input_tokens": 1_000, **members})


def used(request_id: str, **members: Any) -> SettleRequest:
    return parse(SettleRequest, {"reservation_id": request_id, "input_tokens": 1_000, **members})


@pytest.mark.parametrize("version", ["pricing", "routing", "limits"])
@pytest.mark.parametrize("provider", ["openai", None])
async def test_a_change_before_every_attempt(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, enforcer: Enforcer, version: str, provider: str | None
):
    async def others_change() -> None:
        redis.hincrby(keys.versions(), version, 1)

    before_each(monkeypatch, others_change)
    assert isinstance(await reserve(enforcer, request("a", provider=provider), VALUE, "a"), Admission)
    assert (await explain(enforcer, request("b", provider=provider), VALUE, "b")).decision == "allow"
    settled = await settle(enforcer, used("a"), None)
    assert isinstance(settled, Settled)
    assert settled.cost_nanousd == 2_500_000
    assert isinstance(await settle(enforcer, used("c", provider="openai", model="gpt-4o"), VALUE), Settled)


async def test_what_limits_this_very_request_is_never_that_of_before(
    store: Store, redis: Redis, monkeypatch: pytest.MonkeyPatch, enforcer: Enforcer
):
    world, lasting = World(store, NOW), Slots().budget("b1")
    config = model_config("m1", "gpt-4o", budgets=(lasting,))
    await world.create(config)
    attempts = 0

    async def an_admin_closes_it() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            redis.hincrby(keys.versions(), "limits", 1)
        elif attempts == 2:
            await world.change(config, budgets=(replace(lasting, max_limit_nanousd=1),))

    before_each(monkeypatch, an_admin_closes_it)
    verdict = await reserve(enforcer, request("a", provider="openai"), VALUE, "a")
    assert isinstance(verdict, Admission)
    assert (attempts, [limit.limit for limit in verdict.plan.limits if limit.scope == "model_config"]) == (3, [1])
    assert isinstance(await reserve(enforcer, request("b", provider="openai"), VALUE, "b"), Verdict)
