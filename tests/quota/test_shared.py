"""What a worker keeps of the configuration that concerns every key, and what it reads again."""

from redis import Redis

from service.entities import Entity, Kind
from service.quota.shared import read_shared
from service.routing.rules import NO_RULES
from service.store import keys
from service.store.change import Change, commit
from service.store.connection import Store
from tests.quota.configurations import model_config, provider
from tests.routing.rules import CALLER, rule


async def create(store: Store, kind: Kind, entity: Entity) -> None:
    change = Change(0)
    change.create(kind, entity)
    assert await commit(store, change)


async def test_an_empty_store(store: Store):
    shared = await read_shared(store, None)
    assert (shared.limits.providers, shared.limits.model_configs, shared.rules) == ({}, {}, NO_RULES)
    assert await read_shared(store, shared) is shared


async def test_only_what_moved_is_read_again(store: Store, redis: Redis):
    await create(store, Kind.PROVIDER, provider("openai"))
    await create(store, Kind.ROUTING_RULE, rule("one"))
    first = await read_shared(store, None)
    assert list(first.limits.providers) == ["openai"]
    assert [prepared.rule.name for prepared in first.rules.in_scope(CALLER).rules] == ["one"]

    await create(store, Kind.MODEL_CONFIG, model_config("m1", "gpt-4o"))
    second = await read_shared(store, first)
    assert list(second.limits.model_configs) == [("gpt-4o", None)]
    assert second.rules is first.rules

    await create(store, Kind.ROUTING_RULE, rule("two"))
    third = await read_shared(store, second)
    assert third.limits is second.limits
    assert [prepared.rule.name for prepared in third.rules.in_scope(CALLER).rules] == ["one", "two"]

    redis.hincrby(keys.versions(), "pricing", 1)
    fourth = await read_shared(store, third)
    assert (fourth.limits, fourth.rules) == (third.limits, third.rules)
    assert (fourth.limits is third.limits, fourth.rules is third.rules) == (True, True)
    assert fourth.versions.basis == f"{third.versions.routing}:1"
