"""Lists of routing rules, model configs, pricing overrides and providers: order, filters, search, paging."""

from typing import Any

import httpx
import pytest

from tests.api import calls
from tests.api.calls import MODEL_CONFIGS, PRICING_OVERRIDES, ROUTING_RULES, TEAMS, VIRTUAL_KEYS
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.refusals import assert_refused

MEMBERS = {ROUTING_RULES: "rules", MODEL_CONFIGS: "model_configs", PRICING_OVERRIDES: "pricing_overrides"}
every_list = pytest.mark.parametrize("collection", MEMBERS)

RULE: dict[str, Any] = {"cel_expression": "", "scope": "global", "targets": [{"weight": 1}]}
OVERRIDE: dict[str, Any] = {"scope_kind": "global", "match_type": "wildcard", "pattern": "*", "request_types": ["rerank"]}


async def add(client: httpx.AsyncClient, collection: str, number: int, **members: Any) -> str:
    """Called `name <number>` and later than all before it in every order."""
    body: dict[str, Any] = {
        ROUTING_RULES: {"name": f"name {number}", "priority": number, **RULE},
        MODEL_CONFIGS: {"model_name": f"name {number}"},
        PRICING_OVERRIDES: {"name": f"name {number}", **OVERRIDE},
    }[collection]
    entity_id: str = (await calls.create(client, collection, **{**body, **members}))["id"]
    return entity_id


async def listed(client: httpx.AsyncClient, collection: str, **params: Any) -> dict[str, Any]:
    """The envelope, names in place of rows."""
    answer = await client.get(f"/{collection}", params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    rows = body.pop(MEMBERS[collection])
    return {"names": [row.get("name", row.get("model_name")) for row in rows], **body}


def envelope(names: list[str], total: int, limit: int, offset: int) -> dict[str, Any]:
    return {"names": names, "count": len(names), "total_count": total, "limit": limit, "offset": offset}


def named(numbers: Any) -> list[str]:
    return [f"name {number}" for number in numbers]


@every_list
async def test_a_list_of_nothing(client: httpx.AsyncClient, collection: str):
    assert await listed(client, collection) == envelope([], 0, 0, 0)
    assert await listed(client, collection, limit=5) == envelope([], 0, 5, 0)
    assert await listed(client, collection, search="x") == envelope([], 0, 25, 0)


@pytest.fixture
async def thirty(make_client: MakeClient) -> Any:
    """A client of thirty entities of each kind, each a millisecond younger than the one before."""
    for number in range(30):
        async with make_client(now_ms=NOW_MS + number) as client:
            for collection in MEMBERS:
                await add(client, collection, number)
    async with make_client() as client:
        yield client


PAGES: list[tuple[dict[str, Any], tuple[int, int, int]]] = [
    # parameters, (first row, limit, offset) as told; None of them given: everything
    ({"limit": 10}, (0, 10, 0)),
    ({"limit": 10, "offset": 5}, (5, 10, 5)),
    ({"limit": 10, "offset": 25}, (25, 10, 25)),
    ({"limit": 10, "offset": 30}, (30, 10, 30)),
    ({"limit": 10, "offset": 10**30}, (30, 10, 2**53 - 1)),
    ({"limit": 0}, (0, 25, 0)),
    ({"limit": "", "offset": 5}, (5, 25, 5)),
    ({"limit": 1}, (0, 1, 0)),
    ({"limit": 101}, (0, 100, 0)),
    ({"limit": 10**30}, (0, 100, 0)),
    ({"offset": 0}, (0, 25, 0)),
    ({"offset": 28}, (28, 25, 28)),
    ({"search": "NAME"}, (0, 25, 0)),
    ({"search": "name", "limit": 7, "offset": 7}, (7, 7, 7)),
]


@every_list
async def test_pages(thirty: httpx.AsyncClient, collection: str):
    everything = named(range(30))
    assert await listed(thirty, collection) == envelope(everything, 30, 30, 0)
    assert await listed(thirty, collection, limit="", offset="", search="", from_memory="true") == envelope(everything, 30, 30, 0)
    # Model configs are listed newest first as soon as they are paged.
    paged = everything[::-1] if collection == MODEL_CONFIGS else everything
    for params, (start, limit, offset) in PAGES:
        assert await listed(thirty, collection, **params) == envelope(paged[start : start + limit], 30, limit, offset), params


WRONG_NUMBERS = ["-1", "x", "1.5", "1e1", "0x1", "+1", " 1", "\uff11", "null", "true", "-0", "--"]


@every_list
@pytest.mark.parametrize("parameter", ["limit", "offset"])
async def test_numbers_that_are_none(client: httpx.AsyncClient, collection: str, parameter: str):
    for value in WRONG_NUMBERS:
        answer = await client.get(f"/{collection}", params={parameter: value})
        assert_refused(answer, 400, param=parameter, says="whole number")


@every_list
async def test_a_search_looks_for_a_part_of_the_name_in_any_case(client: httpx.AsyncClient, collection: str):
    member = "model_name" if collection == MODEL_CONFIGS else "name"
    for number, name in enumerate(["Alpha", "beta", "Alphabet", "GAMMA*", "é"]):
        await add(client, collection, number, **{member: name})
    for search, expected in (
        ("alpha", {"Alpha", "Alphabet"}),
        ("ALPHAB", {"Alphabet"}),
        ("ta", {"beta"}),
        ("a*", {"GAMMA*"}),
        ("É", {"é"}),
        (" alpha", set()),
        ("nothing", set()),
    ):
        found = await listed(client, collection, search=search)
        assert {*found["names"]} == expected, search
        assert found["total_count"] == len(expected)


async def test_rules_come_in_the_order_of_evaluation(make_client: MakeClient):
    """By priority; of one priority, in different scopes, the newest first."""
    async with make_client(now_ms=NOW_MS) as client:
        teams = [(await calls.create(client, TEAMS))["id"] for _ in range(3)]
    for number, (priority, team) in enumerate([(5, 0), (-1, 0), (10, 0), (5, 1), (-20, 0), (5, 2)]):
        async with make_client(now_ms=NOW_MS + number) as client:
            await add(client, ROUTING_RULES, number, priority=priority, scope="team", scope_id=teams[team])
    async with make_client() as client:
        expected = named([4, 1, 5, 3, 0, 2])
        assert (await listed(client, ROUTING_RULES))["names"] == expected
        assert (await listed(client, ROUTING_RULES, limit=2, offset=1))["names"] == expected[1:3]
        first = (await calls.rows(client, ROUTING_RULES))[0]
        await calls.update(client, ROUTING_RULES, first["id"], priority=6)
        assert (await listed(client, ROUTING_RULES))["names"] == named([1, 5, 3, 0, 4, 2])


async def test_rules_by_scope_are_all_of_it_enabled_or_not(client: httpx.AsyncClient):
    team, other = (await calls.create(client, TEAMS))["id"], (await calls.create(client, TEAMS))["id"]
    for number in range(30):
        await add(client, ROUTING_RULES, number, enabled=number % 2 == 0)
    await add(client, ROUTING_RULES, 30, scope="team", scope_id=team, cel_expression="model == 'Name 1'")
    await add(client, ROUTING_RULES, 31, scope="team", scope_id=other)
    for params, expected in (
        ({"scope": "global"}, range(30)),
        ({"scope": "team"}, [30, 31]),
        ({"scope": "team", "scope_id": team}, [30]),
        ({"scope_id": other}, [31]),
        ({"scope": "global", "scope_id": team}, []),
        ({"scope": "customer"}, []),
        ({"scope": "unheard of"}, []),
        ({"scope": "team", "scope_id": "x"}, []),
    ):
        found = await listed(client, ROUTING_RULES, **params)
        assert found == envelope(named(expected), len(expected), len(expected), 0), params
    assert await listed(client, ROUTING_RULES, scope="global", limit=2, offset=3) == envelope(named([3, 4]), 30, 2, 3)
    assert await listed(client, ROUTING_RULES, scope="team", search="name 3") == envelope(named([30, 31]), 2, 25, 0)
    assert (await listed(client, ROUTING_RULES, search="'NAME 1'"))["names"] == named([30]), "in the expression, too"


async def test_model_configs_by_scope_and_provider(client: httpx.AsyncClient):
    key = (await calls.create(client, VIRTUAL_KEYS))["id"]
    await add(client, MODEL_CONFIGS, 0)
    await add(client, MODEL_CONFIGS, 1, provider="openai")
    await add(client, MODEL_CONFIGS, 2, scope="virtual_key", scope_id=key, provider="openai")
    await add(client, MODEL_CONFIGS, 3, scope="user", scope_id="u")
    for params, expected in (
        ({"scope": "global"}, [1, 0]),
        ({"scope": "virtual_key"}, [2]),
        ({"scope": "user"}, [3]),
        ({"scope": "unheard of"}, []),
        ({"provider": "openai"}, [2, 1]),
        ({"provider": "OpenAI"}, []),
        ({"provider": "openai", "scope": "global"}, [1]),
        ({"provider": "openai", "search": "2"}, [2]),
    ):
        assert await listed(client, MODEL_CONFIGS, **params) == envelope(named(expected), len(expected), 25, 0), params
    assert (await listed(client, MODEL_CONFIGS))["names"] == named(range(4)), "oldest first while nothing is asked for"


async def test_overrides_by_what_they_are_for(client: httpx.AsyncClient):
    await add(client, PRICING_OVERRIDES, 0)
    await add(client, PRICING_OVERRIDES, 1, scope_kind="provider", provider_id="openai")
    await add(client, PRICING_OVERRIDES, 2, scope_kind="virtual_key_provider", virtual_key_id="k", provider_id="openai")
    ids = {"virtual_key_id": "k", "provider_id": "azure", "provider_key_id": "pk"}
    await add(client, PRICING_OVERRIDES, 3, scope_kind="virtual_key_provider_key", **ids)
    for params, expected in (
        ({"scope_kind": "global"}, [0]),
        ({"scope_kind": " provider "}, [1]),
        ({"scope_kind": "unheard of"}, []),
        ({"provider_id": "openai"}, [1, 2]),
        ({"provider_id": "OpenAI"}, []),
        ({"virtual_key_id": "k"}, [2, 3]),
        ({"provider_key_id": "\tpk\n"}, [3]),
        ({"virtual_key_id": "k", "provider_id": "openai"}, [2]),
        ({"virtual_key_id": "k", "search": "NAME 3"}, [3]),
        ({"scope_kind": "global", "provider_id": "openai"}, []),
    ):
        assert await listed(client, PRICING_OVERRIDES, **params) == envelope(named(expected), len(expected), 25, 0), params
    blank = {"scope_kind": " ", "virtual_key_id": "", "provider_id": "\t", "provider_key_id": " "}
    assert await listed(client, PRICING_OVERRIDES, **blank) == envelope(named(range(4)), 4, 4, 0)


async def test_a_new_name_does_not_move_an_entity(make_client: MakeClient):
    for number in range(3):
        async with make_client(now_ms=NOW_MS + number) as client:
            override_id = await add(client, PRICING_OVERRIDES, number)
            if number == 0:
                first = override_id
    async with make_client() as client:
        await calls.update(client, PRICING_OVERRIDES, first, name="zzz")
        assert (await listed(client, PRICING_OVERRIDES))["names"] == ["zzz", "name 1", "name 2"]
        assert (await listed(client, PRICING_OVERRIDES, search="name 0"))["names"] == []
