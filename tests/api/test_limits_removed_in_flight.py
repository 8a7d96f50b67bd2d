"""What a settlement says of limits that an admin removed after the request was admitted."""

from typing import Any

import httpx
import pytest

from tests.api.calls import TEAMS, VIRTUAL_KEYS, create, delete, get, update
from tests.api.conftest import MakeClient
from tests.api.gateway import admitted, budget, create_key, rate_limit, refused, settle


def owners(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((limit["scope"], limit["kind"]) for limit in answer["limits"])


@pytest.mark.parametrize("replayed", [False, True])
async def test_they_are_not_shown_and_nothing_else_is_lost(client: httpx.AsyncClient, replayed: bool):
    team = await create(client, TEAMS, budgets=[budget(10)])
    key = await create_key(client, team_id=team["id"], budgets=[budget(10), budget(5, "1h")], rate_limit=rate_limit(tokens=100))
    await admitted(client, key, request_id="r1", tokens=10, cost=1)
    await delete(client, TEAMS, team["id"])
    await update(client, VIRTUAL_KEYS, key["id"], budgets=[budget(10)])
    answer = await settle(client, "r1", input_tokens=12, cost=2)
    if replayed:
        answer = await settle(client, "r1")
    assert owners(answer) == [("virtual_key", "budget"), ("virtual_key", "tokens")]
    assert {limit["usage"] for limit in answer["limits"]} == {2, 12}
    assert (answer["cost"], answer["overrun"]) == (2, {"tokens": 2, "cost": 1})
    assert [one["current_usage"] for one in (await get(client, VIRTUAL_KEYS, key["id"]))["budgets"]] == [2]


async def test_a_key_that_is_deleted_leaves_nothing_to_show(client: httpx.AsyncClient):
    key = await create_key(client, budgets=[budget(10)])
    await admitted(client, key, request_id="r1", cost=1)
    await delete(client, VIRTUAL_KEYS, key["id"])
    answer = await settle(client, "r1", cost=2)
    assert (answer["cost"], answer["limits"]) == (2, [])


async def test_a_reserve_is_not_repeated_for_a_key_that_is_deleted(make_client: MakeClient):
    """By no worker, whether it knows the key from before or not."""
    async with make_client() as knows_it, make_client() as other:
        key = await create_key(knows_it)
        await admitted(knows_it, key, request_id="r1")
        await delete(other, VIRTUAL_KEYS, key["id"])
        for worker in (knows_it, other):
            for tokens in (None, 5):
                answer = await refused(worker, key, request_id="r1", tokens=tokens)
                assert answer["decision"] == "virtual_key_not_found"


async def test_a_key_that_moved_is_charged_where_it_was_admitted(client: httpx.AsyncClient):
    before, after = [await create(client, TEAMS, budgets=[budget(10)]) for _ in range(2)]
    key = await create_key(client, team_id=before["id"])
    await admitted(client, key, request_id="r1", cost=1)
    await update(client, VIRTUAL_KEYS, key["id"], team_id=after["id"])
    answer = await settle(client, "r1", cost=2)
    assert [(limit["owner_id"], limit["usage"], limit["reserved"]) for limit in answer["limits"]] == [(before["id"], 2, 0)]
    assert [(await get(client, TEAMS, team["id"]))["budgets"][0]["current_usage"] for team in (before, after)] == [2, 0]
