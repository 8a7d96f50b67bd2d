"""Listing by sorted sets: pages by rank, scans in chunks while others write, searches by name."""

from itertools import pairwise

import pytest
from redis import Redis

from service.entities import Entity, Kind
from service.store import directory, keys
from service.store.connection import Store
from service.store.directory import entries
from service.store.keys import SEPARATOR, Ref
from tests.store.conftest import NOW_MS
from tests.store.owners import ONE_OF_EACH, customer, key, model_config, override, provider, rule, team, uuid

INDEX = keys.index(Kind.TEAM, "created")


def member(number: int, name: str = "") -> str:
    return SEPARATOR.join((f"{number:013}", name or f"name {number}", f"id-{number}"))


def fill(redis: Redis, numbers: range, index: str = INDEX) -> None:
    redis.zadd(index, {member(number): 0 for number in numbers})


def ids(numbers: range) -> list[str]:
    return [f"id-{number}" for number in numbers]


PAGES = [
    # offset, limit, descending, expected
    (0, 3, False, range(3)),
    (3, 3, False, range(3, 6)),
    (8, 3, False, range(8, 10)),
    (9, 1, False, range(9, 10)),
    (10, 3, False, range(0)),
    (2**53 - 1, 100, False, range(0)),
    (0, 3, True, range(9, 6, -1)),
    (8, 3, True, range(1, -1, -1)),
    (10, 3, True, range(0)),
]


@pytest.mark.parametrize("offset, limit, descending, expected", PAGES)
async def test_pages(store: Store, redis: Redis, offset: int, limit: int, descending: bool, expected: range):
    fill(redis, range(10))
    found = await directory.page(store, INDEX, offset=offset, limit=limit, descending=descending)
    assert found == (ids(expected), 10)


async def test_a_page_of_nothing(store: Store):
    assert await directory.page(store, INDEX, offset=0, limit=25) == ([], 0)


async def test_counts_in_the_order_asked_for(store: Store, redis: Redis):
    fill(redis, range(3), "a")
    fill(redis, range(5), "b")
    assert await directory.count(store, "b", "none", "a") == [5, 0, 3]
    assert await directory.count(store) == []


async def test_members_of_several_sets(store: Store, redis: Redis):
    fill(redis, range(5_001), "a")
    fill(redis, range(5_000), "b")
    fill(redis, range(2), "c")
    assert await directory.members(store, "c", "a", "none", "b") == [ids(range(2)), ids(range(5_001)), [], ids(range(5_000))]
    assert await directory.members(store) == []


async def scanned(store: Store, *, descending: bool = False) -> list[str]:
    return [entity_id async for _, entity_id in directory.scan(store, INDEX, descending=descending)]


@pytest.mark.parametrize("size", [0, 1, 4_999, 5_000, 5_001, 10_000, 12_345])
@pytest.mark.parametrize("descending", [False, True])
async def test_a_scan_sees_everything_once_in_order(store: Store, redis: Redis, size: int, descending: bool):
    if size:
        fill(redis, range(size))
    assert await scanned(store, descending=descending) == (ids(range(size))[::-1] if descending else ids(range(size)))


@pytest.mark.parametrize("descending", [False, True])
async def test_a_scan_while_others_write(store: Store, redis: Redis, descending: bool):
    """Every step removes an entry behind, the entry it stands on and one ahead, and adds one behind and one ahead."""
    size, step = 12_000, 500
    fill(redis, range(0, 2 * size, 2))
    seen: list[int] = []
    removed: set[int] = set()
    async for _, entity_id in directory.scan(store, INDEX, descending=descending):
        seen.append(int(entity_id[3:]))
        if len(seen) % step == 0:
            here = seen[-1]
            gone = {here, here - 20, here + 20} & {*range(0, 2 * size, 2)}
            removed |= gone
            redis.zrem(INDEX, *(member(number) for number in gone))
            redis.zadd(INDEX, {member(number): 0 for number in (here - 41, here + 41) if number > 0})
    assert all((a > b) if descending else (a < b) for a, b in pairwise(seen)), "in order, nothing twice"
    assert {*range(0, 2 * size, 2)} - removed <= {*seen}, "what stayed came"


SEARCHES = [
    ("alpha", ["id-1", "id-4"]),
    ("ALPHA", ["id-1", "id-4"]),
    ("lph", ["id-1", "id-4"]),
    ("beta gamma", ["id-2"]),
    ("straße", ["id-3"]),
    ("STRASSE", ["id-3"]),
    ("%*?[a]", ["id-5"]),
    ("id-", []),
    ("00000", []),
    ("nothing", []),
    ("", ["id-1", "id-2", "id-3", "id-4", "id-5"]),
]


@pytest.mark.parametrize("wanted, expected", SEARCHES)
async def test_a_search_looks_at_names_only(store: Store, redis: Redis, wanted: str, expected: list[str]):
    names = ["alpha", "Beta Gamma", "Straße", "not Alpha", "%*?[a]"]
    redis.zadd(INDEX, {member(number, name): 0 for number, name in enumerate(names, start=1)})
    assert await directory.search(store, INDEX, wanted) == expected
    assert await directory.search(store, INDEX, wanted, descending=True) == expected[::-1]


def listed(entity: Entity) -> dict[str, list[str]]:
    """Every member of an entity, in its parts, by the end of the key."""
    return {entry.key.removeprefix("q1:{directory}:"): entry.member.split(SEPARATOR) for entry in entries(entity)}


AGE = str(NOW_MS)

LISTED: list[tuple[Entity, dict[str, list[str]]]] = [
    (customer(name="n"), {"customer:created": [AGE, uuid("c"), "n", uuid("c")], "customer:name": ["n", uuid("c")]}),
    (
        team(name="n", customer_id="x/y"),
        {
            "team:created": [AGE, uuid("t"), "n", uuid("t")],
            "team:name": ["n", uuid("t")],
            "team:of:customer:x%2Fy": [AGE, uuid("t"), "n", uuid("t")],
        },
    ),
    (
        key(name="n", team_id="x", is_active=False),
        {
            "vk:created": [AGE, uuid("k"), "n", uuid("k")],
            "vk:name": ["n", uuid("k")],
            "vk:status": [f"0{AGE}", uuid("k"), "n", uuid("k")],
            "vk:of:team:x": [AGE, uuid("k"), "n", uuid("k")],
        },
    ),
    (provider("openai"), {"provider:name": ["openai", "openai"]}),
    (
        model_config(model_name="gpt"),
        {
            "model:created": [AGE, uuid("m"), "gpt", uuid("m")],
            "model:identity": ["global", "", "gpt", "", uuid("m")],
        },
    ),
    (override(name="n"), {"price:created": [AGE, uuid("p"), "n", uuid("p")]}),
]


@pytest.mark.parametrize("entity, expected", LISTED, ids=lambda value: type(value).__name__)
def test_where_an_entity_is_listed(entity: Entity, expected: dict[str, list[str]]):
    assert listed(entity) == expected


@pytest.mark.parametrize("entity", ONE_OF_EACH, ids=lambda entity: type(entity).__name__)
def test_every_member_ends_with_the_id(entity: Entity):
    assert {parts[-1] for parts in listed(entity).values()} == {entity.id}


def test_rules_are_listed_as_they_are_evaluated():
    """Smaller priorities first, negative ones too; of equal ones the newest first, then by id."""
    in_order = [
        rule("a", priority=-(2**53) + 1),
        rule("b", priority=-10),
        rule("c", priority=-2),
        rule("d", priority=0, created_at_ms=NOW_MS + 1),
        rule("e", priority=0),
        rule("f", priority=0),
        rule("g", priority=2),
        rule("h", priority=10),
        rule("i", priority=2**53 - 1),
    ]
    members = [SEPARATOR.join(listed(one)["rule:priority"]) for one in in_order]
    assert members == sorted(members)


def test_ids_from_outside_cannot_reach_other_keys():
    hostile = "x}:config{*?[]^ \n%é"
    assert keys.config(Ref(Kind.TEAM, hostile)) == "q1:{team:x%7D%3Aconfig%7B%2A%3F%5B%5D%5E%20%0A%25%C3%A9}:config"
    assert keys.children(Kind.TEAM, Ref(Kind.CUSTOMER, hostile)).count("{") == 1
