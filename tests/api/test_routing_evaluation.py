"""The dry run of routing rules: what they would make of a request, rule by rule, and that it changes nothing."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.api.calls import CUSTOMERS, TEAMS, create, refusal, update
from tests.api.gateway import admitted, budget, create_key, readable, settle, values
from tests.api.rule_calls import change_rule, create_rule, delete_rule, key_of_all, limit_provider, target
from tests.api.samples import UNKNOWN

MakeClient = Callable[..., httpx.AsyncClient]

ASKED = {"provider": "openai", "model": "gpt-4o"}


async def evaluate(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/routing-rules/evaluate", json={**ASKED, **body})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_every_rule_with_what_came_of_it(client: httpx.AsyncClient):
    missed = await create_rule(client, "azure/", when="model == 'other'")
    failed = await create_rule(client, "azure/", when="headers['x-tier'] == 'gold'")
    await create_rule(client, "azure/", enabled=False)
    chained = await create_rule(client, target("/gpt-5"), when="model == 'gpt-4o'", chain_rule=True, fallbacks=["groq/"])
    last = await create_rule(client, target("groq/", key_id="k1"), when="model == 'gpt-5'", fallbacks=["openai/", "azure/o1"])
    await create_rule(client, "never/")

    def step(rule: dict[str, Any], model: str, **members: Any) -> dict[str, Any]:
        named = {"rule_id": rule["id"], "rule_name": rule["name"], "scope": "global"}
        return {**named, "provider": "openai", "model": model, "matched": False, **members}

    no_key = "there is no key x-tier"
    answer = await evaluate(client, params={"Region": "eu"})
    assert answer == {
        "matched": True,
        "route": {
            "rule_id": last["id"],
            "rule_name": last["name"],
            "provider": "groq",
            "model": "gpt-5",
            "key_id": "k1",
            "fallbacks": ["openai/gpt-5", "azure/o1"],
            "end": "final_rule",
            "trace": [
                step(missed, "gpt-4o"),
                step(failed, "gpt-4o", error=no_key),
                step(chained, "gpt-4o", matched=True, target={"model": "gpt-5", "weight": 1.0}),
                step(missed, "gpt-5"),
                step(failed, "gpt-5", error=no_key),
                step(chained, "gpt-5"),
                step(last, "gpt-5", matched=True, target={"provider": "groq", "key_id": "k1", "weight": 1.0}),
            ],
        },
        "variables": {
            **ASKED,
            "request_type": "chat_completion",
            "headers": {},
            "params": {"region": "eu"},
            **dict.fromkeys(("virtual_key_id", "virtual_key_name", "team_id", "team_name", "customer_id", "customer_name"), ""),
            **dict.fromkeys(("tokens_used", "request", "budget_used"), 0.0),
        },
        "rules_in_scope": 5,
    }


async def test_without_a_match(client: httpx.AsyncClient):
    assert (await evaluate(client))["route"] == {
        **dict.fromkeys(("rule_id", "rule_name", "key_id")),
        **ASKED,
        "fallbacks": [],
        "end": "no_match",
        "trace": [],
    }
    await create_rule(client, "azure/", when="false")
    answer = await evaluate(client, provider=None, model="azure/gpt-5")
    assert (answer["matched"], answer["route"]["provider"], answer["route"]["model"]) == (False, "azure", "gpt-5")
    assert len(answer["route"]["trace"]) == 1


async def test_the_request_may_be_empty(client: httpx.AsyncClient):
    response = await client.post("/routing-rules/evaluate", json={})
    assert response.json()["variables"]["provider"] == ""
    assert response.json()["route"]["provider"] is None


async def test_as_seen_by_a_key(client: httpx.AsyncClient):
    customer = await create(client, CUSTOMERS, name="acme")
    team = await create(client, TEAMS, name="growth", customer_id=customer["id"])
    key = await key_of_all(client, name="prod", team_id=team["id"])
    of_key = await create_rule(client, "azure/", scope="virtual_key", scope_id=key["id"])
    caller = {
        "virtual_key_id": key["id"],
        "virtual_key_name": "prod",
        "team_id": team["id"],
        "team_name": "growth",
        "customer_id": customer["id"],
        "customer_name": "acme",
    }
    for named in ({"virtual_key_id": key["id"]}, {"virtual_key": key["value"]}):
        answer = await evaluate(client, **named)
        assert answer["route"]["rule_id"] == of_key["id"]
        assert {name: answer["variables"][name] for name in caller} == caller
    assert not (await evaluate(client))["matched"]


async def test_it_goes_by_the_configuration_of_the_moment(make_client: MakeClient):
    async with make_client() as one, make_client() as other:
        key = await key_of_all(one)
        await evaluate(other, virtual_key_id=key["id"])
        rule = await create_rule(one, "azure/", when="team_name == 'growth'")
        assert not (await evaluate(other, virtual_key_id=key["id"]))["matched"]
        team = await create(one, TEAMS, name="growth")
        await update(one, "virtual-keys", key["id"], team_id=team["id"])
        for named in ({"virtual_key_id": key["id"]}, {"virtual_key": key["value"]}):
            assert (await evaluate(other, **named))["matched"]
        await change_rule(one, rule, targets=[target("groq/")])
        assert (await evaluate(other, virtual_key_id=key["id"]))["route"]["provider"] == "groq"
        await delete_rule(one, rule)
        assert not (await evaluate(other, virtual_key_id=key["id"]))["matched"]


async def test_how_full_the_limits_are(client: httpx.AsyncClient):
    await limit_provider(client, "openai", budgets=[budget(10)])
    key = await create_key(client)
    await create_rule(client, "azure/", when="budget_used >= 25.0")
    answer = await admitted(client, key)
    await settle(client, answer["reservation_id"], cost=2.5)
    evaluated = await evaluate(client, virtual_key_id=key["id"])
    assert (evaluated["variables"]["budget_used"], evaluated["matched"]) == (25.0, True)


async def test_targets_are_drawn_as_in_reserve(client: httpx.AsyncClient):
    key = await key_of_all(client)
    await create_rule(client, target("azure/", 0.5), target("groq/", 0.5))
    drawn = set()
    for number in range(20):
        evaluated = await evaluate(client, request_id=f"r{number}")
        assert evaluated["route"]["provider"] == (await admitted(client, key, request_id=f"r{number}"))["provider"]
        drawn.add(evaluated["route"]["provider"])
    assert drawn == {"azure", "groq"}


async def test_it_changes_nothing(client: httpx.AsyncClient, redis_url: str):
    await limit_provider(client, "openai", budgets=[budget(10)])
    key = await create_key(client)
    await create_rule(client, "azure/", when="budget_used >= 0.0")
    with readable(redis_url) as redis:
        before = values(redis)
        assert (await evaluate(client, virtual_key_id=key["id"], request_id="r1"))["matched"]
        assert values(redis) == before


@pytest.mark.parametrize(
    "body, param",
    [
        ({"virtual_key_id": UNKNOWN}, "virtual_key_id"),
        ({"virtual_key": "sk-bf-unknown"}, "virtual_key"),
        ({"virtual_key_id": UNKNOWN, "virtual_key": "sk-bf-unknown"}, "virtual_key"),
        ({"virtual_key_id": ""}, "virtual_key_id"),
        ({"model": 1}, "model"),
        ({"headers": {"a": 1}}, "headers.a"),
        ({"params": "a=b"}, "params"),
        ({"request_id": "\n"}, "request_id"),
    ],
)
async def test_refused_evaluations(client: httpx.AsyncClient, body: dict[str, Any], param: str):
    assert refusal(await client.post("/routing-rules/evaluate", json=body)) == (400, param)


async def test_a_key_that_was_deleted_is_not_known(client: httpx.AsyncClient):
    key = await create_key(client)
    await admitted(client, key)
    assert (await client.delete(f"/virtual-keys/{key['id']}")).status_code == 200
    body = {"virtual_key": key["value"]}
    assert refusal(await client.post("/routing-rules/evaluate", json=body)) == (400, "virtual_key")


async def test_it_is_for_admins(make_client: MakeClient):
    async with make_client(admin_token=("admin",), gateway_token=("gateway",)) as client:
        for token, status in (("", 401), ("gateway", 403), ("admin", 200)):
            headers = {"authorization": f"Bearer {token}"} if token else {}
            assert (await client.post("/routing-rules/evaluate", json={}, headers=headers)).status_code == status
