"""The hot read: what it keeps, when it reads a configuration again, and how few round trips many callers make."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis import Redis

from service.entities import Counter, CounterEdit, CounterEdits, Kind, VirtualKey
from service.settings import Settings
from service.store import keys
from service.store.change import commit
from service.store.connection import Store, open_store
from service.store.quota import KeyReading, QuotaReader
from tests.api.redis_state import traffic
from tests.store.conftest import NOW_MS
from tests.store.owners import budget, changed, changing, create, existing, fresh, key, ref, uuid
from tests.store.stored_counters import store_counter

KEY = key(budgets=(budget(1),), next_slot=2)


def _name(entity: VirtualKey) -> str:
    """What these tests derive from a configuration."""
    return entity.name


@pytest.fixture
async def reader(store: Store) -> QuotaReader[str]:
    """Of a store whose scripts are loaded and that holds KEY."""
    await create(store, KEY, edits=fresh(1))
    reader = QuotaReader(store, view=_name, largest_cache=3)
    await reader.read("nobody")
    return reader


async def reading(reader: QuotaReader[str], entity: VirtualKey = KEY) -> KeyReading[str]:
    found = await reader.read(entity.id)
    assert found is not None
    return found


async def rename(store: Store, name: str) -> None:
    read = await existing(store, KEY)
    assert await commit(store, changing(lambda change: change.replace(Kind.VIRTUAL_KEY, read, changed(read.entity, name=name))))


async def delete(store: Store) -> None:
    read = await existing(store, KEY)
    assert await commit(store, changing(lambda change: change.delete(Kind.VIRTUAL_KEY, read)))


async def test_a_key_with_its_counters(reader: QuotaReader[str], redis: Redis):
    assert await reading(reader) == KeyReading(NOW_MS, "1", KEY, {1: Counter(0, NOW_MS, 0)}, view="key k")
    store_counter(redis, keys.usage(ref(KEY)), 1, Counter(5, NOW_MS, 2))
    assert (await reading(reader)).counters == {1: Counter(5, NOW_MS, 2)}


async def test_no_such_key(reader: QuotaReader[str]):
    assert await reader.read(uuid("x")) is None
    assert await reader.read("x}:config{") is None


async def test_a_configuration_is_read_once_while_it_stays(reader: QuotaReader[str], redis: Redis):
    with traffic(redis) as first:
        await reading(reader)
    assert (first.commands["hgetall"], first.commands["hmget"], first.commands["evalsha"]) == (2, 0, 1)
    with traffic(redis) as second:
        await reading(reader)
    assert (second.commands["hgetall"], second.commands["hmget"], second.commands["evalsha"]) == (0, 1, 1)


async def test_what_is_held_for_requests_in_flight_is_not_read(reader: QuotaReader[str], redis: Redis):
    """One field for each moment at which some of it runs out: there may be many."""
    before = await reading(reader)
    redis.hset(keys.usage(ref(KEY)), mapping={f"b{NOW_MS + number}": "1:5" for number in range(200)})
    with traffic(redis) as seen:
        assert await reading(reader) == before
    assert (seen.commands["hgetall"], seen.commands["hmget"]) == (0, 1)


async def test_a_counter_that_was_not_there_before(reader: QuotaReader[str], redis: Redis):
    redis.hdel(keys.usage(ref(KEY)), "s0")
    assert (await reading(reader)).counters == {}
    store_counter(redis, keys.usage(ref(KEY)), 1, Counter(7, NOW_MS))
    assert (await reading(reader)).counters == {1: Counter(7, NOW_MS, 0)}


async def test_more_counters_than_lua_takes_arguments(store: Store, reader: QuotaReader[str]):
    many = key("m", budgets=tuple(budget(slot) for slot in range(1, 3_001)), next_slot=3_001)
    await create(store, many, edits=fresh(*range(1, 3_001)))
    for _ in range(2):
        assert len((await reading(reader, many)).counters) == 3_000


@pytest.mark.parametrize("changes", [1, 2, 3])
async def test_a_changed_configuration_is_read_again(store: Store, reader: QuotaReader[str], changes: int):
    await reading(reader)
    for number in range(changes):
        await rename(store, f"name {number}")
    found = await reading(reader)
    assert (found.key.name, found.version) == (f"name {changes - 1}", str(1 + changes))


async def test_a_deleted_key_is_gone_at_once_and_forgotten(store: Store, reader: QuotaReader[str]):
    await reading(reader)
    await delete(store)
    assert await reader.read(KEY.id) is None
    assert kept(reader) == []


def kept(reader: QuotaReader[str]) -> list[str]:
    """Names of the keys whose configuration is kept, the one to go first in front."""
    return [one.key.name for one in reader._known.values()]


async def test_only_the_keys_used_last_are_kept(store: Store, reader: QuotaReader[str]):
    others = [key(letter) for letter in "abcd"]
    await create(store, *others)
    for entity in others[:3]:
        await reading(reader, entity)
    assert kept(reader) == ["key a", "key b", "key c"]
    await reading(reader, others[0])
    await reading(reader, others[3])
    assert kept(reader) == ["key c", "key a", "key d"]
    assert (await reading(reader, others[1])).key == others[1]


async def test_more_keys_at_once_than_are_kept(store: Store, reader: QuotaReader[str]):
    others = [key(chr(0x4E00 + number)) for number in range(200)]
    await create(store, *others)
    found = await asyncio.gather(*(reading(reader, entity) for entity in others))
    assert [one.key for one in found] == others
    assert len(kept(reader)) == 3


async def test_callers_at_once_share_round_trips_and_keys(reader: QuotaReader[str], redis: Redis):
    await reading(reader)
    with traffic(redis) as seen:
        found = await asyncio.gather(*(reader.read(key_id) for key_id in [KEY.id, uuid("x")] * 30))
    assert [one and one.key.id for one in found] == [KEY.id, None] * 30
    assert seen.round_trips == 1
    assert seen.commands["hmget"] == 1, "one key is read once for all its callers"
    assert seen.commands["hgetall"] == 1, "the other does not exist"


@pytest.fixture
async def other_store(redis_url: str) -> AsyncIterator[Store]:
    """Of another worker."""
    opened = open_store(Settings(), redis_url, timeout_ms=5_000, now_ms=str(NOW_MS))
    yield opened
    await opened.close()


async def test_readers_never_see_a_mixture(other_store: Store, reader: QuotaReader[str]):
    """One worker changes name and counter together, others read: the two always agree."""
    done = asyncio.Event()

    async def write() -> None:
        for number in range(1, 31):
            read = await existing(other_store, KEY)
            edits = CounterEdits({1: CounterEdit(usage=number, last_reset_ms=NOW_MS)}, set())
            later = changed(read.entity, name=str(number))
            await commit(other_store, changing(lambda change: change.replace(Kind.VIRTUAL_KEY, read, later, edits)))  # noqa: B023
        done.set()

    seen: list[str] = []

    async def watch() -> None:
        while not done.is_set():
            found = await reading(reader)
            assert found.key.name in ("key k", str(found.counters[1].usage)), found
            seen.append(found.key.name)

    await asyncio.gather(write(), *(watch() for _ in range(8)))
    assert len(set(seen)) > 1
    assert (await reading(reader)).key.name == "30"
