"""GET /virtual-keys: paging, searching, sorting, filtering, and the envelope."""

import asyncio
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import httpx
import pytest
from redis import Redis

from service.store import directory
from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, Entity, create, delete, refusal, rows, rows_of, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import set_counter, virtual_key

LARGEST = 2**53 - 1


@pytest.fixture
async def named(make_client: MakeClient) -> httpx.AsyncClient:
    """Seven keys, each a second older than the next; the second and the fifth are inactive."""
    names = ["beta", "Alpha", "gamma ray", "alpha 2", "Straße", "ÉCOLE", "beta max"]
    for age, name in enumerate(names):
        client = make_client(now_ms=NOW_MS + age * 1_000)
        await create(client, VIRTUAL_KEYS, name=name, is_active=name not in ("Alpha", "Straße"))
    return client


async def names(client: httpx.AsyncClient, **params: Any) -> list[str]:
    return [key["name"] for key in await rows(client, VIRTUAL_KEYS, **params)]


OLDEST_FIRST = ["beta", "Alpha", "gamma ray", "alpha 2", "Straße", "ÉCOLE", "beta max"]


async def test_an_empty_list(client):
    envelope = {"virtual_keys": [], "count": 0, "total_count": 0, "limit": 0, "offset": 0}
    assert (await client.get("/virtual-keys")).json() == envelope
    assert (await client.get("/virtual-keys?limit=5&offset=3")).json() == {**envelope, "limit": 5, "offset": 3}
    assert (await client.get("/virtual-keys?search=x")).json() == {**envelope, "limit": 25}


NO_PAGING = [
    "", "?from_memory=true", "?from_memory=false", "?order=desc", "?limit=&offset=&search=&team_id=&customer_id=&sort_by=",
    "?export=false", "?export=", "?export=TRUE", "?unknown=1",
]  # fmt: skip


async def test_all_keys_are_listed_oldest_first_until_a_parameter_asks_for_less(named):
    for query in NO_PAGING:
        body = (await named.get(f"/virtual-keys{query}")).json()
        assert [key["name"] for key in body.pop("virtual_keys")] == OLDEST_FIRST, query
        assert body == {"count": 7, "total_count": 7, "limit": 7, "offset": 0}, query


PAGES = [
    # query, effective limit, effective offset, rows
    ("limit=3", 3, 0, OLDEST_FIRST[:3]),
    ("limit=3&offset=3", 3, 3, OLDEST_FIRST[3:6]),
    ("limit=3&offset=6", 3, 6, OLDEST_FIRST[6:]),
    ("limit=3&offset=7", 3, 7, []),
    (f"limit={3:020}&offset={3:020}", 3, 3, OLDEST_FIRST[3:6]),
    ("limit=3&offset=7000000", 3, 7_000_000, []),
    (f"offset={LARGEST}", 25, LARGEST, []),
    ("offset=99999999999999999999999999", 25, LARGEST, []),
    ("offset=5", 25, 5, OLDEST_FIRST[5:]),
    ("limit=0", 25, 0, OLDEST_FIRST),
    ("limit=0&offset=0", 25, 0, OLDEST_FIRST),
    ("limit=007", 7, 0, OLDEST_FIRST),
    ("limit=100", 100, 0, OLDEST_FIRST),
    ("limit=101", 100, 0, OLDEST_FIRST),
    ("limit=99999999999999999999999999", 100, 0, OLDEST_FIRST),
    ("sort_by=created_at", 25, 0, OLDEST_FIRST),
    ("sort_by=nonsense&order=desc", 25, 0, OLDEST_FIRST),
    ("limit=2&order=desc", 2, 0, OLDEST_FIRST[:2]),
    ("limit=2&from_memory=true", 2, 0, OLDEST_FIRST[:2]),
    ("export=true", 10_000, 0, OLDEST_FIRST),
    ("export=true&limit=5000", 5_000, 0, OLDEST_FIRST),
    ("export=true&limit=10001", 10_000, 0, OLDEST_FIRST),
    ("export=true&limit=0&offset=4", 10_000, 4, OLDEST_FIRST[4:]),
    ("export=true&limit=2", 2, 0, OLDEST_FIRST[:2]),
]


async def test_pages(named):
    for query, limit, offset, expected in PAGES:
        body = (await named.get(f"/virtual-keys?{query}")).json()
        assert [key["name"] for key in body.pop("virtual_keys")] == expected, query
        assert body == {"count": len(expected), "total_count": 7, "limit": limit, "offset": offset}, query


NO_NUMBERS = ["-1", "-0", "abc", "1.5", "1e3", "+1", " 1", "0x10", "٣", "1_000", "null", "NaN"]


@pytest.mark.parametrize("name", ["limit", "offset"])
async def test_what_is_no_number_is_refused(client, name):
    for value in NO_NUMBERS:
        assert refusal(await client.get("/virtual-keys", params={name: value, "export": "true"})) == (400, name), value


SEARCHES = [
    ("beta", ["beta", "beta max"]),
    ("BETA", ["beta", "beta max"]),
    ("a", ["beta", "Alpha", "gamma ray", "alpha 2", "Straße", "beta max"]),
    ("alpha", ["Alpha", "alpha 2"]),
    (" ", ["gamma ray", "alpha 2", "beta max"]),
    ("ma r", ["gamma ray"]),
    ("école", ["ÉCOLE"]),
    ("strasse", ["Straße"]),
    ("STRASSE", ["Straße"]),
    ("ß", ["Straße"]),
    ("%", []),
    ("_", []),
    ("*", []),
    ("no such key", []),
    ("sk-bf-", []),
]


async def test_a_search_is_for_a_part_of_the_name_in_any_letter_case(named):
    for search, expected in SEARCHES:
        body = (await named.get("/virtual-keys", params={"search": search, "limit": 2})).json()
        assert [key["name"] for key in body.pop("virtual_keys")] == expected[:2], search
        assert body == {"count": min(2, len(expected)), "total_count": len(expected), "limit": 2, "offset": 0}, search
        assert await names(named, search=search, offset=1) == expected[1:], search


async def test_a_search_does_not_look_at_ids_and_times(named):
    (key,) = await rows(named, VIRTUAL_KEYS, search="Straße")
    for part in (key["id"], key["id"][:8], key["value"][6:14], str(NOW_MS)[:6]):
        assert await names(named, search=part) == []


SORTED = [
    ("created_at", OLDEST_FIRST),
    ("name", ["Alpha", "Straße", "alpha 2", "beta", "beta max", "gamma ray", "ÉCOLE"]),
    ("status", ["Alpha", "Straße", "beta", "gamma ray", "alpha 2", "ÉCOLE", "beta max"]),
    ("budget_spent", OLDEST_FIRST),
]


@pytest.mark.parametrize("sort_by, ascending", SORTED)
async def test_sorting(named, sort_by, ascending):
    for order in ("", "asc", "nonsense", "DESC", "desc"):
        expected = ascending[::-1] if order.lower() == "desc" else ascending
        params = {"sort_by": sort_by, "order": order}
        assert await names(named, **params) == expected
        assert await names(named, **params, limit=3, offset=2) == expected[2:5]
        found = [name for name in expected if "a" in name.lower()]
        assert await names(named, **params, search="a", limit=2, offset=1) == found[1:3]


async def test_keys_are_sorted_by_the_budget_most_is_spent_from_in_its_current_window(make_client, redis: Redis):
    client = make_client(now_ms=NOW_MS)
    spent = {"one": (5, 0), "two": (1, 7), "all": (0, 0), "over": (100, 3), "none": ()}
    for name, dollars in spent.items():
        durations = zip(dollars, ("1h", "1d"), strict=False)
        key = await create(
            client, VIRTUAL_KEYS, name=name, budgets=[{"max_limit": 5, "reset_duration": window} for _, window in durations]
        )
        for budget, amount in zip(key["budgets"], dollars, strict=True):
            since = NOW_MS - (3_600_000 if name == "over" and budget["reset_duration"] == "1h" else 0)
            set_counter(redis, virtual_key(key), budget["id"], usage=amount * 10**9, last_reset_ms=since)
    assert (await names(client, sort_by="budget_spent"))[2:] == ["over", "one", "two"]
    assert (await names(client, sort_by="budget_spent", order="desc", limit=3)) == ["two", "one", "over"]


async def test_keys_of_the_same_age_are_ordered_by_id(make_client):
    client = make_client(now_ms=NOW_MS)
    keys = [await create(client, VIRTUAL_KEYS, name=name) for name in "hgfedcba"]
    by_id = sorted(keys, key=lambda key: key["id"])
    assert await rows(client, VIRTUAL_KEYS) == by_id
    for params in ({}, {"sort_by": "created_at"}, {"sort_by": "status"}, {"sort_by": "budget_spent"}):
        pages = [await rows(client, VIRTUAL_KEYS, limit=3, offset=offset, **params) for offset in (0, 3, 6)]
        assert [*chain(*pages)] == by_id, params
    # A new name moves no key, except among names.
    await update(client, VIRTUAL_KEYS, by_id[0]["id"], name="z")
    assert [key["id"] for key in await rows(client, VIRTUAL_KEYS)] == [key["id"] for key in by_id]
    assert (await names(client, sort_by="name"))[-1] == "z"


async def test_filters(make_client):
    client = make_client()
    teams = {name: (await create(client, TEAMS, name=name))["id"] for name in ("team", "other team")}
    customers = {name: (await create(client, CUSTOMERS, name=name))["id"] for name in ("customer", "other customer")}
    of_customer = await create(client, TEAMS, customer_id=customers["customer"])
    for name, owner in [
        ("c team", {"team_id": teams["team"]}),
        ("b customer", {"customer_id": customers["customer"]}),
        ("a other team", {"team_id": teams["other team"]}),
        ("d nobody", {}),
        ("e team of customer", {"team_id": of_customer["id"]}),
        ("a team", {"team_id": teams["team"]}),
    ]:
        await create(client, VIRTUAL_KEYS, name=name, is_active=name != "c team", **owner)
    team, customer = {"team_id": teams["team"]}, {"customer_id": customers["customer"]}
    for params, expected in [
        (team, ["c team", "a team"]),
        # The keys of its teams are not its own.
        (customer, ["b customer"]),
        ({**team, **customer}, ["c team", "b customer", "a team"]),
        ({**team, **customer, "limit": 2, "offset": 1}, ["b customer", "a team"]),
        ({**team, **customer, "sort_by": "name"}, ["a team", "b customer", "c team"]),
        ({**team, **customer, "sort_by": "name", "order": "desc"}, ["c team", "b customer", "a team"]),
        ({**team, "sort_by": "status", "order": "desc"}, ["a team", "c team"]),
        ({**team, "sort_by": "created_at", "order": "desc"}, ["a team", "c team"]),
        ({**team, "search": "A T"}, ["a team"]),
        ({**team, **customer, "search": "C"}, ["c team", "b customer"]),
        ({"team_id": "unknown"}, []),
        ({"team_id": customers["customer"]}, []),
        ({"customer_id": customers["other customer"]}, []),
        ({**team, "customer_id": "unknown"}, ["c team", "a team"]),
    ]:
        assert await names(client, **params) == expected, params
    body = (await client.get("/virtual-keys", params={**team, **customer, "limit": 2})).json()
    assert (body["count"], body["total_count"], body["limit"]) == (2, 3, 2)


async def test_a_long_list_is_whole_and_only_an_export_shows_more_than_a_hundred_of_it(client):
    """Longer than what is read from Redis at a time."""
    made = await asyncio.gather(*(create(client, VIRTUAL_KEYS) for _ in range(510)))
    ids = {key["id"] for key in made}
    for query, length in [("", 510), ("?export=true", 510), ("?limit=500", 100), ("?export=true&limit=505", 505)]:
        listed = rows_of((await client.get(f"/virtual-keys{query}")).json(), VIRTUAL_KEYS)
        assert len(listed) == length, query
        assert {key["id"] for key in listed} <= ids
        assert listed == sorted(listed, key=lambda key: (key["created_at"], key["id"]))


async def test_rows_are_what_reading_one_shows(named):
    listed = await rows(named, VIRTUAL_KEYS)
    for key in listed:
        assert (await named.get(f"/virtual-keys/{key['id']}")).json() == {"virtual_key": key}


async def test_lists_follow_changes(named):
    by_name: dict[str, Entity] = {key["name"]: key for key in await rows(named, VIRTUAL_KEYS)}
    await update(named, VIRTUAL_KEYS, by_name["beta"]["id"], name="zeta", is_active=False)
    await update(named, VIRTUAL_KEYS, by_name["Alpha"]["id"], is_active=True)
    await delete(named, VIRTUAL_KEYS, by_name["gamma ray"]["id"])
    assert await names(named) == ["zeta", "Alpha", "alpha 2", "Straße", "ÉCOLE", "beta max"]
    assert await names(named, sort_by="status", limit=2) == ["zeta", "Straße"]
    assert (await names(named, sort_by="name"))[-2:] == ["zeta", "ÉCOLE"]
    assert await names(named, search="beta") == ["beta max"]


@pytest.mark.parametrize(
    "sort_by, name, change",
    [
        ("created_at", "Alpha", {"name": "zeta a"}),
        ("status", "Alpha", {"is_active": True}),
        ("status", "beta", {"is_active": False}),
        ("name", "Alpha", {"name": "zeta a"}),
        ("name", "gamma ray", {"name": "A gamma"}),
    ],
)
async def test_a_key_that_moves_while_a_search_reads_on_comes_once(
    named, monkeypatch: pytest.MonkeyPatch, sort_by: str, name: str, change: dict[str, Any]
):
    ids = {key["name"]: key["id"] for key in await rows(named, VIRTUAL_KEYS, search="a")}
    scan = directory.scan

    async def scan_beside_an_admin(*args: Any, **options: Any) -> AsyncIterator[tuple[str, str]]:
        seen = 0
        async for entry in scan(*args, **options):
            yield entry
            seen += 1
            if seen == 2:
                await update(named, VIRTUAL_KEYS, ids[name], **change)

    monkeypatch.setattr(directory, "_CHUNK", 2)
    monkeypatch.setattr(directory, "scan", scan_beside_an_admin)
    listed = await rows(named, VIRTUAL_KEYS, search="a", sort_by=sort_by)
    assert sorted(key["id"] for key in listed) == sorted(ids.values())
