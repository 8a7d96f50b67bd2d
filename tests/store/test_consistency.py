"""The checker itself: it accepts what the service wrote, and notices every kind of damage."""

from collections.abc import Callable

import orjson
import pytest
from redis import Redis

from service.admin import model_configs, pricing_overrides, routing_rules, teams, virtual_keys
from service.entities import Counter, Kind
from service.governance.virtual_keys import Known
from service.models.model_configs import CreateModelConfigRequest
from service.models.parsing import parse
from service.models.pricing_overrides import CreatePricingOverrideRequest
from service.models.routing_rules import CreateRoutingRuleRequest
from service.models.teams import CreateTeamRequest
from service.models.virtual_keys import CreateVirtualKeyRequest
from service.store import keys
from service.store.connection import Store
from service.store.keys import Ref
from tests.store.consistency import assert_consistent, problems
from tests.store.stored_counters import store_counter

KNOWN = Known(frozenset({"openai"}), frozenset())


@pytest.fixture
async def key_id(store: Store) -> str:
    """A key in a team, with limits everywhere; and one entity of other kinds."""
    team = {"name": "t", "budgets": [{"max_limit": 1, "reset_duration": "1d"}]}
    team_id = await teams.create(store, parse(CreateTeamRequest, orjson.dumps(team)))
    key = {
        "name": "k",
        "team_id": team_id,
        "budgets": [{"max_limit": 1, "reset_duration": "1d"}],
        "provider_configs": [{"provider": "openai", "rate_limit": {"token_max_limit": 1, "token_reset_duration": "1h"}}],
    }
    key_id = await virtual_keys.create(store, parse(CreateVirtualKeyRequest, orjson.dumps(key)), KNOWN)
    config = {"model_name": "m", "scope": "virtual_key", "scope_id": key_id, "budget": {"max_limit": 1, "reset_duration": "1h"}}
    await model_configs.create(store, parse(CreateModelConfigRequest, orjson.dumps(config)))
    rule = {"name": "r", "cel_expression": "", "scope": "global", "priority": 0, "targets": [{"weight": 1}]}
    await routing_rules.create(store, parse(CreateRoutingRuleRequest, orjson.dumps(rule)), KNOWN.providers)
    price = {"name": "p", "scope_kind": "global", "match_type": "wildcard", "pattern": "*", "request_types": ["rerank"]}
    await pricing_overrides.create(store, parse(CreatePricingOverrideRequest, orjson.dumps(price)))
    return key_id


Damage = Callable[[Redis, str], object]


def _config(key_id: str) -> str:
    return keys.config(Ref(Kind.VIRTUAL_KEY, key_id))


def _usage(key_id: str) -> str:
    return keys.usage(Ref(Kind.VIRTUAL_KEY, key_id))


def _first(redis: Redis, pattern: str) -> str:
    return str(next(redis.scan_iter(pattern)))


DAMAGES: list[tuple[Damage, str]] = [
    (lambda redis, key_id: redis.zpopmin(keys.index(Kind.VIRTUAL_KEY, "created")), "vk:created lacks"),
    (lambda redis, key_id: redis.zpopmin(keys.index(Kind.VIRTUAL_KEY, "status")), "vk:status lacks"),
    (lambda redis, key_id: redis.delete(_first(redis, "*vk:of:team*")), "vk:of:team:"),
    (lambda redis, key_id: redis.zpopmin(keys.index(Kind.ROUTING_RULE, "rank")), "rule:rank lacks"),
    (lambda redis, key_id: redis.zpopmin(keys.index(Kind.PRICING_OVERRIDE, "created")), "price:created lacks"),
    (lambda redis, key_id: redis.zpopmin(keys.index(Kind.MODEL_CONFIG, "identity")), "model:identity lacks"),
    (lambda redis, key_id: redis.zadd(keys.index(Kind.TEAM, "name"), {"x\0y": 0}), "team:name lists 'x\\x00y'"),
    (lambda redis, key_id: redis.hincrby(_config(key_id), "version", 1), "its counters at "),
    (lambda redis, key_id: redis.hset(_config(key_id), "name", '"other"'), "vk:name lacks"),
    (lambda redis, key_id: redis.hset(_config(key_id), "next_slot", "2"), "would use a slot again"),
    (lambda redis, key_id: redis.hdel(_usage(key_id), "s0"), "its counters are"),
    (lambda redis, key_id: store_counter(redis, _usage(key_id), 9, Counter()), "its counters are"),
    (lambda redis, key_id: redis.delete(_usage(key_id)), "its counters at None"),
    (lambda redis, key_id: redis.delete(_config(key_id)), "has counters and is none"),
    (lambda redis, key_id: redis.delete(_first(redis, "*{model:*config")), "locators say {}"),
    (lambda redis, key_id: redis.delete(keys.sequence("config")), "number 1 was never given out"),
    (lambda redis, key_id: redis.delete(_first(redis, "*{team:*config")), "has counters and is none"),
]


async def test_what_the_service_writes_is_consistent(redis: Redis, key_id: str):
    assert_consistent(redis)


@pytest.mark.parametrize("damage, complaint", DAMAGES, ids=[complaint for _, complaint in DAMAGES])
async def test_damage_is_noticed(redis: Redis, key_id: str, damage: Damage, complaint: str):
    damage(redis, key_id)
    assert any(complaint in problem for problem in problems(redis)), problems(redis)


async def test_a_name_used_twice_is_noticed(redis: Redis, key_id: str, store: Store):
    await teams.create(store, parse(CreateTeamRequest, b'{"name": "other"}'))
    for config in redis.scan_iter("*{team:*config"):
        redis.hset(config, "name", '"same"')
    assert "team name 'same' is there 2 times" in problems(redis)


async def test_a_dangling_parent_is_legal(redis: Redis, key_id: str, store: Store):
    team_id = _first(redis, "*{team:*config").partition("team:")[2].partition("}")[0]
    await teams.delete(store, team_id)
    assert redis.hexists(_config(key_id), "team_id")
    assert_consistent(redis)
