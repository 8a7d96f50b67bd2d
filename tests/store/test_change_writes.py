"""What a change writes beside the entity: its counters, its numbers, its places in lists, what other workers must notice."""

from typing import Any

import pytest
from redis import Redis

from service.entities import Counter, CounterEdit, CounterEdits, Entity, Kind
from service.errors import Conflict
from service.store import keys
from service.store.change import Change, commit
from service.store.connection import Store
from service.windows import CarryOver, Window
from tests.store.conftest import NOW_MS
from tests.store.consistency import assert_consistent
from tests.store.owners import (
    KINDS,
    WITH_LIMITS,
    budget,
    changed,
    changing,
    create,
    customer,
    existing,
    fresh,
    key,
    model_config,
    override,
    provider_config,
    ref,
    rule,
    team,
    uuid,
)
from tests.store.stored_counters import store_counter


async def test_a_member_that_becomes_nothing_is_removed(store: Store, redis: Redis):
    await create(store, team(), customer(), key(team_id=uuid("t"), expires_at_ms=NOW_MS, enforcement="strict"))
    read = await existing(store, key())
    moved = key(customer_id=uuid("c"))
    assert await commit(store, changing(lambda change: change.replace(Kind.VIRTUAL_KEY, read, moved)))
    assert (await existing(store, key())).entity == moved
    assert not {"team_id", "expires_at_ms", "enforcement"} & {*redis.hkeys(keys.config(ref(moved)))}
    assert_consistent(redis)


COUNTER_EDITS: list[tuple[CounterEdit | None, Counter | None]] = [
    (CounterEdit(usage=None, last_reset_ms=None), Counter(7, NOW_MS, 3)),
    (CounterEdit(usage=0, last_reset_ms=None), Counter(0, NOW_MS, 3)),
    (CounterEdit(usage=None, last_reset_ms=5), Counter(7, 5, 3)),
    (CounterEdit(usage=0, last_reset_ms=5), Counter(0, 5, 3)),
    (CounterEdit(usage=9_000_000 * 10**9, last_reset_ms=2**53 - 1), Counter(9_000_000 * 10**9, 2**53 - 1, 3)),
    (CarryOver(usage=None, last_reset_ms=None, was=Window(10, ""), into=None), Counter(7, NOW_MS, 3)),
    (CarryOver(usage=None, last_reset_ms=None, was=Window(10, ""), into=Window(0, "d")), Counter(7, NOW_MS, 3)),
    (None, None),
]


@pytest.mark.parametrize("entity", WITH_LIMITS, ids=lambda entity: type(entity).__name__)
@pytest.mark.parametrize("edit, expected", COUNTER_EDITS)
async def test_counters_change_with_the_configuration(
    store: Store, redis: Redis, entity: Entity, edit: CounterEdit | None, expected: Counter | None
):
    """None drops the counter; what is held for requests in flight is never touched otherwise."""
    kind = KINDS[type(entity)]
    limited = changed(entity, budgets=(budget(1), budget(2, "1h")), next_slot=3)
    await create(store, limited, edits=fresh(1, 2))
    store_counter(redis, keys.usage(ref(entity)), 1, Counter(7, NOW_MS, 3))
    read = await existing(store, entity)
    assert read.counters == {1: Counter(7, NOW_MS, 3), 2: Counter(0, NOW_MS, 0)}

    left = limited if expected else changed(limited, budgets=(budget(2, "1h"),))
    edits = CounterEdits({1: edit}, set()) if edit else CounterEdits({}, {1})
    assert await commit(store, changing(lambda change: change.replace(kind, read, left, edits)))
    counters = (await existing(store, entity)).counters
    assert counters.get(1) == expected
    assert counters[2] == Counter(0, NOW_MS, 0)
    assert_consistent(redis)


@pytest.mark.parametrize(
    "last_reset_ms, was, into, expected",
    [
        (NOW_MS - 9, Window(10, ""), None, Counter(7, NOW_MS - 9)),
        (NOW_MS - 10, Window(10, ""), None, Counter(0, NOW_MS)),
        (NOW_MS - 9, Window(10, ""), Window(5, ""), Counter(7, NOW_MS)),
        (NOW_MS - 9, Window(10, ""), Window(20, ""), Counter(7, NOW_MS - 9)),
        (NOW_MS - 10, Window(10, ""), Window(20, ""), Counter(0, NOW_MS)),
    ],
)
async def test_a_counter_moves_into_another_window(
    store: Store, redis: Redis, last_reset_ms: int, was: Window, into: Window | None, expected: Counter
):
    await create(store, team(budgets=(budget(1),), next_slot=2), edits=fresh(1))
    store_counter(redis, keys.usage(ref(team())), 1, Counter(7, last_reset_ms))
    read = await existing(store, team())
    edits = CounterEdits({1: CarryOver(usage=None, last_reset_ms=None, was=was, into=into)}, set())
    assert await commit(store, changing(lambda change: change.replace(Kind.TEAM, read, read.entity, edits)))
    assert (await existing(store, team())).counters == {1: expected}


async def test_limits_by_the_thousand_are_one_change(store: Store, redis: Redis):
    """Lua hands no more than some 8,000 values to one command."""
    slots = range(1, 5_001)
    many = changed(team(), budgets=tuple(budget(slot, f"{slot}d") for slot in slots), next_slot=5_001)
    await create(store, many, edits=fresh(*slots))
    assert len((await existing(store, team())).counters) == 5_000
    assert_consistent(redis)
    read = await existing(store, team())
    edits = CounterEdits({}, set(slots))
    assert await commit(store, changing(lambda change: change.replace(Kind.TEAM, read, team(next_slot=5_001), edits)))
    assert (await existing(store, team())).counters == {}
    assert_consistent(redis)


ANNOUNCED: list[tuple[Entity, str | None]] = [
    (key(), None),
    (team(), None),
    (customer(), None),
    (model_config(), "limits"),
    (rule(), "routing"),
    (override(), "pricing"),
]


@pytest.mark.parametrize("entity, raised", ANNOUNCED, ids=lambda value: type(value).__name__)
async def test_what_concerns_other_keys_is_announced(store: Store, redis: Redis, entity: Entity, raised: str | None):
    """By a version above all earlier ones, and not below the time: after a crash of Redis none comes back."""
    kind = KINDS[type(entity)]
    seen: list[dict[Any, Any]] = []
    await create(store, entity)
    seen.append(redis.hgetall(keys.versions()))
    read = await existing(store, entity)
    assert await commit(store, changing(lambda change: change.replace(kind, read, entity)))
    seen.append(redis.hgetall(keys.versions()))
    read = await existing(store, entity)
    assert await commit(store, changing(lambda change: change.delete(kind, read)))
    seen.append(redis.hgetall(keys.versions()))
    now_ms = int(store.now_ms)
    assert seen == [{raised: str(now_ms + later)} if raised else {} for later in range(3)]


async def test_new_provider_configs_are_numbered_in_the_commit(store: Store, redis: Redis):
    def with_configs(*numbers: int) -> tuple[Any, ...]:
        return tuple(provider_config(number, allowed_models=('"id":-1',)) for number in numbers)

    async def numbers(letter: str) -> list[int]:
        return [config.id for config in (await existing(store, key(letter))).entity.provider_configs]

    await create(store, key("a", provider_configs=with_configs(-1, -2)))
    await create(store, key("b", provider_configs=with_configs(-1)))
    assert (await numbers("a"), await numbers("b")) == ([1, 2], [3])
    taken = key("x", name="key a", provider_configs=with_configs(-1))
    with pytest.raises(Conflict):
        await create(store, taken)
    read = await existing(store, key("a"))
    edited = changed(read.entity, provider_configs=(read.entity.provider_configs[1], *with_configs(-7)))
    assert await commit(store, changing(lambda change: change.replace(Kind.VIRTUAL_KEY, read, edited)))
    assert await numbers("a") == [2, 4]
    assert (await existing(store, key("a"))).entity.provider_configs[1].allowed_models == ('"id":-1',)
    assert_consistent(redis)


async def test_children_of_a_parent_that_goes_are_in_no_list(store: Store, redis: Redis):
    await create(store, customer(), team(customer_id=uuid("c")), key(customer_id=uuid("c")))
    read = await existing(store, customer())

    def build(change: Change) -> None:
        change.delete(Kind.CUSTOMER, read)
        change.forget_children(ref(customer()), Kind.TEAM, Kind.VIRTUAL_KEY)

    assert await commit(store, changing(build))
    assert not [*redis.scan_iter("*:of:customer:*")]
    assert_consistent(redis)
