"""Many admins at once, at two workers: one of them wins, none sees a mixture, and all lists agree with all entities afterwards.

The consistency of Redis itself is checked after each test (conftest.py).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

import httpx
import pytest

from tests.api import calls
from tests.api.calls import CUSTOMERS, MODEL_CONFIGS, PRICING_OVERRIDES, ROUTING_RULES, TEAMS, VIRTUAL_KEYS, Entity
from tests.api.conftest import MakeClient

RULE: dict[str, Any] = {"cel_expression": "", "scope": "global", "targets": [{"weight": 1}]}
OVERRIDE: dict[str, Any] = {"scope_kind": "global", "match_type": "exact", "pattern": "x", "request_types": ["rerank"]}
DAY, WEEK, HOUR = ({"max_limit": 1, "reset_duration": duration} for duration in ("1d", "1w", "1h"))
TOKENS = {"token_max_limit": 1, "token_reset_duration": "1h"}


@pytest.fixture
async def workers(make_client: MakeClient) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two, with nothing in common but Redis."""
    async with make_client() as one, make_client() as other:
        yield one, other


Workers = tuple[httpx.AsyncClient, httpx.AsyncClient]


async def at_once(answers: Sequence[Awaitable[httpx.Response]]) -> Counter[int]:
    """How often each status came."""
    return Counter(answer.status_code for answer in await asyncio.gather(*answers))


def members(collection: str, name: str, number: int = 0) -> dict[str, Any]:
    return {
        VIRTUAL_KEYS: {"name": name, "budgets": [DAY], "provider_configs": [{"provider": "openai", "rate_limit": TOKENS}]},
        TEAMS: {"name": name, "budgets": [DAY]},
        CUSTOMERS: {"name": name, "budgets": [DAY]},
        ROUTING_RULES: {**RULE, "name": name, "priority": number},
        MODEL_CONFIGS: {"model_name": name, "budgets": [DAY]},
        PRICING_OVERRIDES: {**OVERRIDE, "name": name},
    }[collection]


NAMED_ONCE = (VIRTUAL_KEYS, TEAMS, CUSTOMERS, ROUTING_RULES, MODEL_CONFIGS)
every_kind = pytest.mark.parametrize("collection", (*NAMED_ONCE, PRICING_OVERRIDES))


@pytest.mark.parametrize("collection", NAMED_ONCE)
async def test_of_many_creations_with_one_name_one_succeeds(workers: Workers, collection: str):
    answers = [workers[number % 2].post(f"/{collection}", json=members(collection, "same", number)) for number in range(20)]
    assert await at_once(answers) == {200: 1, 409: 19}
    assert len(await calls.rows(workers[0], collection)) == 1


async def test_of_many_rules_with_one_priority_one_succeeds(workers: Workers):
    answers = [workers[number % 2].post("/routing-rules", json=members(ROUTING_RULES, f"{number}")) for number in range(20)]
    assert await at_once(answers) == {200: 1, 409: 19}


@pytest.mark.parametrize("collection", NAMED_ONCE)
async def test_of_many_that_want_one_name_one_gets_it(workers: Workers, collection: str):
    name = "model_name" if collection == MODEL_CONFIGS else "name"
    made = [await calls.create(workers[0], collection, **members(collection, f"{number}", number)) for number in range(10)]
    answers = [workers[place % 2].put(f"/{collection}/{one['id']}", json={name: "wanted"}) for place, one in enumerate(made)]
    assert await at_once(answers) == {200: 1, 409: 9}
    rows = await calls.rows(workers[1], collection)
    assert sorted(row[name] for row in rows)[-1] == "wanted"
    assert len({row[name] for row in rows}) == 10


@every_kind
async def test_of_many_deletions_of_one_thing_one_succeeds(workers: Workers, collection: str):
    made = await calls.create(workers[0], collection, **members(collection, "x"))
    answers = [workers[number % 2].delete(f"/{collection}/{made['id']}") for number in range(10)]
    assert await at_once(answers) == {200: 1, 404: 9}
    assert await calls.rows(workers[0], collection) == []


@every_kind
async def test_what_is_deleted_while_it_changes_does_not_come_back(workers: Workers, collection: str):
    """Whoever is told 200 was served; afterwards it is gone, with all that belonged to it."""
    made = await calls.create(workers[0], collection, **members(collection, "x"))
    path = f"/{collection}/{made['id']}"
    changes = [workers[number % 2].put(path, json=members(collection, f"x{number}", number)) for number in range(8)]
    answers = await asyncio.gather(*changes[:4], workers[1].delete(path), *changes[4:])
    assert answers[4].status_code == 200
    assert {answer.status_code for answer in answers} <= {200, 404}
    assert await calls.rows(workers[0], collection) == []


PAIRS: list[dict[str, Any]] = [
    {"name": "one", "budgets": [DAY, {"max_limit": 11, "reset_duration": "1w"}], "calendar_aligned": True},
    {"name": "two", "budgets": [HOUR, {"max_limit": 22, "reset_duration": "1M"}], "calendar_aligned": False},
    {"name": "three", "budgets": [], "rate_limit": TOKENS, "calendar_aligned": True},
]


def is_one_of_them(entity: Entity) -> bool:
    """As some admin asked for it, not half of one and half of another. A rate limit stays once it was there."""
    wanted = next(one for one in PAIRS if one["name"] == entity["name"])
    durations = [budget["reset_duration"] for budget in entity.get("budgets", [])]
    return (
        durations == [budget["reset_duration"] for budget in wanted["budgets"]]
        and entity["calendar_aligned"] is wanted["calendar_aligned"]
    )


@pytest.mark.parametrize("collection", [VIRTUAL_KEYS, TEAMS, CUSTOMERS])
async def test_changes_of_one_thing_never_mix(workers: Workers, collection: str):
    made = await calls.create(workers[0], collection, name="one", budgets=PAIRS[0]["budgets"], calendar_aligned=True)
    path = f"/{collection}/{made['id']}"
    done = asyncio.Event()

    async def change(worker: httpx.AsyncClient, pair: dict[str, Any]) -> list[httpx.Response]:
        return [await worker.put(path, json=pair) for _ in range(6)]

    async def watch(worker: httpx.AsyncClient) -> None:
        while not done.is_set():
            (seen,) = await calls.rows(worker, collection)
            assert is_one_of_them(seen), seen
            assert is_one_of_them(await calls.get(worker, collection, made["id"]))

    watching = [asyncio.ensure_future(watch(worker)) for worker in workers]
    answers = await asyncio.gather(*(change(workers[place % 2], PAIRS[place % 3]) for place in range(6)))
    done.set()
    await asyncio.gather(*watching)
    assert {answer.status_code for several in answers for answer in several} == {200}


async def test_counters_of_parts_that_come_and_go(workers: Workers):
    """Budgets, provider configs and limits on models of one key, added and removed by everybody: no slot is used twice."""
    key = await calls.create(workers[0], VIRTUAL_KEYS, budgets=[DAY])
    path = f"/virtual-keys/{key['id']}"
    bodies: list[dict[str, Any]] = [
        {"budgets": [DAY, WEEK]},
        {"budgets": [HOUR], "rate_limit": TOKENS},
        {"provider_configs": [{"provider": "openai", "budgets": [DAY, WEEK]}, {"provider": "azure", "rate_limit": TOKENS}]},
        {"provider_configs": [], "rate_limit": {}},
        {"calendar_aligned": True, "reset_budget_usage": True},
    ]
    scope = {"scope": "virtual_key", "scope_id": key["id"]}

    async def model_config(worker: httpx.AsyncClient, number: int) -> set[int]:
        made = await calls.create(worker, MODEL_CONFIGS, model_name=f"{number}", budgets=[DAY], rate_limit=TOKENS, **scope)
        other = f"/model-configs/{made['id']}"
        return {(await worker.put(other, json={"budgets": [WEEK]})).status_code, (await worker.delete(other)).status_code}

    changes = [workers[place % 2].put(path, json=bodies[place % 5]) for place in range(10)]
    configs = [model_config(workers[place % 2], place) for place in range(6)]
    found = await asyncio.gather(at_once(changes), *configs)
    assert found[0] == {200: 10}
    assert found[1:] == [{200}] * 6
    shown = await calls.get(workers[1], VIRTUAL_KEYS, key["id"])
    ids = [config["id"] for config in shown["provider_configs"]]
    assert len(ids) == len(set(ids))
    assert await calls.rows(workers[0], MODEL_CONFIGS) == []


async def test_a_team_goes_while_keys_move_into_it(workers: Workers):
    """Each move comes before (then the key is detached) or after (then there is no such team)."""
    for _ in range(3):
        team = await calls.create(workers[0], TEAMS)
        keys = [await calls.create(workers[0], VIRTUAL_KEYS) for _ in range(8)]
        moves = [
            workers[place % 2].put(f"/virtual-keys/{key['id']}", json={"team_id": team["id"]}) for place, key in enumerate(keys)
        ]
        creations = [
            workers[place % 2].post("/virtual-keys", json={"name": f"{team['id']} {place}", "team_id": team["id"]})
            for place in range(4)
        ]
        deletion = workers[1].delete(f"/teams/{team['id']}")
        answers = await asyncio.gather(*moves[:4], deletion, *moves[4:], *creations)
        assert answers[4].status_code == 200
        assert {answer.status_code for answer in answers} <= {200, 400}
        for row in await calls.rows(workers[0], VIRTUAL_KEYS):
            assert {"team_id", "team"}.isdisjoint(row)
        assert await calls.rows(workers[1], VIRTUAL_KEYS, team_id=team["id"]) == []
        for row in await calls.rows(workers[0], VIRTUAL_KEYS):
            await calls.update(workers[0], VIRTUAL_KEYS, row["id"], description="still usable")


async def test_customers_go_under_their_teams_and_keys(workers: Workers):
    customers = [await calls.create(workers[0], CUSTOMERS) for _ in range(3)]
    teams = [await calls.create(workers[0], TEAMS, customer_id=customers[0]["id"]) for _ in range(4)]
    keys = [await calls.create(workers[0], VIRTUAL_KEYS, customer_id=customers[1]["id"]) for _ in range(4)]
    to = [customer["id"] for customer in customers]
    answers: list[Awaitable[httpx.Response]] = []
    for place, (team, key) in enumerate(zip(teams, keys, strict=True)):
        answers += [
            workers[0].put(f"/teams/{team['id']}", json={"customer_id": to[place % 3]}),
            workers[1].put(f"/virtual-keys/{key['id']}", json={"customer_id": to[(place + 1) % 3]}),
            workers[1].put(f"/virtual-keys/{key['id']}", json={"team_id": team["id"]}),
            workers[0].put(f"/teams/{team['id']}", json={"name": f"team {place} renamed"}),
        ]
    answers[5:5] = [workers[0].delete(f"/customers/{to[0]}"), workers[1].delete(f"/customers/{to[1]}")]
    assert set(await at_once(answers)) <= {200, 400}
    (left,) = await calls.rows(workers[0], CUSTOMERS)
    for collection in (TEAMS, VIRTUAL_KEYS):
        for row in await calls.rows(workers[1], collection):
            assert row.get("customer_id") in (None, left["id"])
            assert row.get("customer", {"id": left["id"]})["id"] == left["id"]


async def test_a_key_goes_while_its_models_are_limited(workers: Workers):
    for _ in range(3):
        key = await calls.create(workers[0], VIRTUAL_KEYS)
        scope = {"scope": "virtual_key", "scope_id": key["id"], "budgets": [DAY]}
        held = [await calls.create(workers[0], MODEL_CONFIGS, model_name=f"held {number}", **scope) for number in range(3)]
        answers = [
            *(workers[number % 2].post("/model-configs", json={"model_name": f"{number}", **scope}) for number in range(4)),
            *(workers[0].put(f"/model-configs/{one['id']}", json={"budgets": [WEEK]}) for one in held),
            workers[1].delete(f"/virtual-keys/{key['id']}"),
            *(workers[1].delete(f"/model-configs/{one['id']}") for one in held),
            *(workers[0].post("/model-configs", json={"model_name": f"late {number}", **scope}) for number in range(4)),
        ]
        assert set(await at_once(answers)) <= {200, 400, 404}
        assert await calls.rows(workers[0], MODEL_CONFIGS) == []
        assert await calls.rows(workers[0], "budgets") == []


async def test_limits_of_a_provider_come_and_go(workers: Workers):
    bodies = [{"budgets": [DAY, WEEK]}, {"budgets": [HOUR], "rate_limit": TOKENS}, {"calendar_aligned": True}, {}]
    answers = [workers[place % 2].put("/providers/openai", json=bodies[place % 4]) for place in range(12)]
    answers += [workers[place % 2].delete("/providers/openai") for place in range(4)]
    assert await at_once(answers) == {200: 16}
    await workers[0].delete("/providers/openai")
    assert await calls.rows(workers[0], "budgets") == []


async def test_lists_while_everything_changes(workers: Workers):
    """No list fails, repeats a row or shows one that is broken."""
    done = asyncio.Event()

    async def churn(worker: httpx.AsyncClient, place: int) -> None:
        for number in range(6):
            customer = await calls.create(worker, CUSTOMERS, budgets=[DAY])
            team = await calls.create(worker, TEAMS, customer_id=customer["id"], budgets=[DAY])
            key = await calls.create(worker, VIRTUAL_KEYS, team_id=team["id"], budgets=[DAY])
            await calls.create(worker, ROUTING_RULES, **members(ROUTING_RULES, f"{place} {number}", 100 * place + number))
            await calls.delete(worker, (CUSTOMERS, TEAMS, VIRTUAL_KEYS)[number % 3], (customer, team, key)[number % 3]["id"])

    async def watch(worker: httpx.AsyncClient) -> None:
        while not done.is_set():
            for collection in (VIRTUAL_KEYS, TEAMS, CUSTOMERS, ROUTING_RULES):
                for params in ({}, {"limit": 5}, {"search": "1"}):
                    ids = [row["id"] for row in await calls.rows(worker, collection, **params)]
                    assert len(ids) == len(set(ids))
            for name in ("budgets", "rate-limits"):
                assert (await worker.get(f"/{name}")).status_code == 200

    watching = [asyncio.ensure_future(watch(worker)) for worker in workers]
    await asyncio.gather(*(churn(workers[place % 2], place) for place in range(4)))
    done.set()
    await asyncio.gather(*watching)
