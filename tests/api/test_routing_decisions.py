"""Routing rules in the calls of gateways: where a request goes, what binds it there, what the answer says."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from service.models.enforcement import LONGEST_TEXT, MAX_TEXTS
from service.store.embedded import embedded_redis
from tests.api.calls import CUSTOMERS, TEAMS, create, refusal
from tests.api.gateway import (
    OPENAI,
    admitted,
    budget,
    call,
    create_key,
    explain,
    limit_of,
    rate_limit,
    refused,
    release,
    reserve,
    settle,
)
from tests.api.rule_calls import AZURE, GROQ, aim, change_rule, create_rule, delete_rule, key_of_all, limit_provider, target
from tests.ports import reserved_port

MakeClient = Callable[..., httpx.AsyncClient]


async def test_without_a_match_nothing_changes(client: httpx.AsyncClient):
    key = await key_of_all(client)
    before = await admitted(client, key)
    await create_rule(client, "azure/", when="model == 'other'")
    after = await admitted(client, key)
    assert before.keys() == after.keys()
    assert "route" not in after
    assert aim(after) == "openai/gpt-4o"


async def test_a_rule_sends_the_request_elsewhere(client: httpx.AsyncClient):
    key = await key_of_all(client)
    rule = await create_rule(client, target("azure/gpt-5"), when="model == 'gpt-4o'", fallbacks=["groq/", "openai/gpt-4"])
    answer = await admitted(client, key)
    assert aim(answer) == "azure/gpt-5"
    assert answer["key_ids"] == ["*"]
    assert answer["fallbacks"] == ["groq/gpt-5", "openai/gpt-4"]
    step = {"rule_id": rule["id"], "rule_name": rule["name"]}
    assert answer["route"] == {
        **step,
        "provider": "azure",
        "model": "gpt-5",
        "key_id": None,
        "fallbacks": ["groq/gpt-5", "openai/gpt-4"],
        "end": "final_rule",
        "trace": [
            {
                **step,
                "scope": "global",
                "provider": "openai",
                "model": "gpt-4o",
                "matched": True,
                "target": {"provider": "azure", "model": "gpt-5", "weight": 1.0},
            }
        ],
    }


@pytest.mark.parametrize(
    "when, body",
    [
        ("headers['X-Tier'] == 'gold'", {"headers": {"x-tier": "gold"}}),
        ("headers['x-tier'] == 'gold'", {"headers": {"X-TIER": "gold"}}),
        ("headers.tier == 'gold'", {"headers": {"Tier": "gold"}}),
        ("params['Region'] == 'eu'", {"params": {"rEGION": "eu"}}),
        ("params['region'] == 'b'", {"params": {"region": "a", "REGION": "b"}}),
        ("size(headers) == 0 && size(params) == 0", {}),
        ("!('x-tier' in headers)", {"headers": None}),
        ("request_type == 'chat_completion'", {}),
        ("request_type == 'embedding'", {"request_type": "embedding"}),
        ("provider == 'openai' && model == 'gpt-4o'", {"provider": None, "model": "openai/gpt-4o"}),
        ("provider == '' && model == 'gpt-4o'", {"provider": None}),
        ("model == ''", {"model": None}),
    ],
)
async def test_what_conditions_see_of_a_request(client: httpx.AsyncClient, when: str, body: dict[str, Any]):
    key = await key_of_all(client)
    await create_rule(client, "groq/routed", when=when)
    assert aim(await admitted(client, key, **body)) == "groq/routed"


async def test_what_conditions_see_of_the_caller(client: httpx.AsyncClient):
    customer = await create(client, CUSTOMERS, name="acme")
    team = await create(client, TEAMS, name="growth", customer_id=customer["id"])
    key = await key_of_all(client, name="prod", team_id=team["id"])
    of_customer = await key_of_all(client, customer_id=customer["id"])
    names = "virtual_key_name == 'prod' && team_name == 'growth' && customer_name == 'acme'"
    ids = f"virtual_key_id == '{key['id']}' && team_id == '{team['id']}' && customer_id == '{customer['id']}'"
    await create_rule(client, "groq/", when=f"{names} && {ids}")
    await create_rule(client, "azure/", when=f"team_id == '' && customer_id == '{customer['id']}'")
    assert aim(await admitted(client, key)) == "groq/gpt-4o"
    assert aim(await admitted(client, of_customer)) == "azure/gpt-4o"
    assert aim(await admitted(client, await key_of_all(client))) == "openai/gpt-4o"


async def test_the_nearest_scope_wins(client: httpx.AsyncClient):
    customer = await create(client, CUSTOMERS)
    team = await create(client, TEAMS, customer_id=customer["id"])
    key = await key_of_all(client, team_id=team["id"])
    await create_rule(client, "/global", priority=-1)
    expected = ["/global"]
    for scope, scope_id in (("customer", customer["id"]), ("team", team["id"]), ("virtual_key", key["id"])):
        await create_rule(client, f"/{scope}", scope=scope, scope_id=scope_id)
        expected.append(f"/{scope}")
        assert (await admitted(client, key))["model"] == scope
    other = await key_of_all(client)
    assert (await admitted(client, other))["model"] == "global"


async def test_requests_without_a_key_see_global_rules_only(make_client: MakeClient):
    async with make_client(require_key=False) as client:
        key = await key_of_all(client)
        await create_rule(client, "azure/", scope="virtual_key", scope_id=key["id"])
        await create_rule(client, "groq/", when="virtual_key_id == ''")
        assert aim(await admitted(client, None)) == "groq/gpt-4o"
        assert aim(await admitted(client, key)) == "azure/gpt-4o"


async def test_the_routed_provider_and_model_pass_all_checks(client: httpx.AsyncClient):
    key = await key_of_all(
        client, provider_configs=[OPENAI, {**AZURE, "blacklisted_models": ["o1"]}, {**GROQ, "rate_limit": rate_limit(requests=1)}]
    )
    rules = [
        await create_rule(client, to, when=f"headers['to'] == '{name}'")
        for name, to in (("unknown", "mistral/"), ("model", "azure/o1"), ("limited", "groq/"))
    ]
    for name, decision, rule in (("unknown", "provider_blocked", rules[0]), ("model", "model_blocked", rules[1])):
        answer = await refused(client, key, headers={"to": name})
        assert (answer["decision"], answer["route"]["rule_id"]) == (decision, rule["id"])
    answer = await admitted(client, key, headers={"to": "limited"})
    assert limit_of(answer, "provider_config", "requests")["remaining"] == 0
    answer = await refused(client, key, headers={"to": "limited"})
    assert (answer["decision"], answer["extra_fields"]["provider"]) == ("request_limited", "groq")
    assert answer["route"]["rule_id"] == rules[2]["id"]
    assert aim(await admitted(client, key)) == "openai/gpt-4o"  # which has no limits


async def test_what_is_settled_is_charged_where_the_request_went(client: httpx.AsyncClient):
    await limit_provider(client, "azure", budgets=[budget(10)])
    key = await key_of_all(client)
    await create_rule(client, "azure/")
    answer = await admitted(client, key, cost=2)
    settled = await settle(client, answer["reservation_id"], cost=3)
    assert limit_of(settled, "provider", "budget")["usage"] == 3


@pytest.mark.parametrize("allowed, usable", [(["*"], ["k2"]), (["k1", "k2"], ["k2"]), (["k1"], []), ([], [])])
async def test_a_pinned_key_is_the_only_one_to_use_if_the_virtual_key_may(
    client: httpx.AsyncClient, allowed: list[str], usable: list[str]
):
    key = await create_key(client, provider_configs=[{**OPENAI, "key_ids": allowed}])
    await create_rule(client, target("openai/", key_id="k2"))
    answer = await admitted(client, key)
    assert (answer["key_ids"], answer["route"]["key_id"]) == (usable, "k2")
    assert (await explain(client, key))["key_ids"] == usable


async def test_chains(client: httpx.AsyncClient):
    key = await key_of_all(client)
    first = await create_rule(client, "/large", when="model == 'small'", chain_rule=True, fallbacks=["groq/"])
    last = await create_rule(client, target("azure/"), when="model == 'large'")
    answer = await admitted(client, key, model="small")
    assert aim(answer) == "azure/large"
    assert (answer["fallbacks"], answer["route"]["rule_id"]) == ([], last["id"])
    assert [step["rule_id"] for step in answer["route"]["trace"]] == [first["id"], last["id"]]


async def test_a_provider_that_is_left_open_is_chosen_by_the_weights_of_the_key(client: httpx.AsyncClient):
    key = await key_of_all(client, provider_configs=[{**OPENAI, "weight": None}, {**AZURE, "weight": 0.5}])
    await create_rule(client, "/routed", when="provider == ''")
    answer = await admitted(client, key, provider=None)
    assert aim(answer) == "azure/routed"
    assert answer["route"]["provider"] == "azure"
    assert answer["fallbacks"] == []


async def test_a_target_may_have_its_provider_in_front_of_the_model(client: httpx.AsyncClient):
    key = await key_of_all(client)
    await create_rule(client, {"model": "azure/gpt-4o", "weight": 1}, when="model == 'smart'", fallbacks=["groq/"])
    answer = await admitted(client, key, provider=None, model="smart")
    assert (aim(answer), answer["fallbacks"]) == ("azure/gpt-4o", ["groq/gpt-4o"])
    assert (await explain(client, key, provider=None, model="smart"))["provider"] == "azure"
    # A router has models of such names.
    answer = await admitted(client, key, provider="groq", model="smart")
    assert (answer["provider"], answer["model"]) == ("groq", "azure/gpt-4o")


async def test_fallbacks_of_the_rule_replace_those_of_the_weights(client: httpx.AsyncClient):
    key = await key_of_all(client)
    assert len((await admitted(client, key, provider=None))["fallbacks"]) == 2
    rule = await create_rule(client, "/routed", fallbacks=["groq/other"])
    assert (await admitted(client, key, provider=None))["fallbacks"] == ["groq/other"]
    await change_rule(client, rule, fallbacks=[])
    answer = await admitted(client, key, provider=None)
    assert len(answer["fallbacks"]) == 2
    assert answer["route"]["fallbacks"] == []


async def test_weighted_targets(client: httpx.AsyncClient):
    key = await key_of_all(client)
    await create_rule(client, target("azure/", 0.25), target("groq/", 0.75))
    operations = [{"op": "reserve", "provider": "openai", "model": "gpt-4o", "request_id": f"r{number}"} for number in range(256)]
    response = await call(client, "batch", key, operations=operations)
    drawn = Counter(result["body"]["provider"] for result in response.json()["results"])
    # Five standard deviations.
    assert abs(drawn["azure"] - 64) < 35
    assert drawn["azure"] + drawn["groq"] == 256


class TestReplay:
    async def test_a_repeated_request_goes_the_same_way(self, client: httpx.AsyncClient):
        key = await key_of_all(client)
        rule = await create_rule(client, target("azure/", 0.5), target("groq/", 0.5), fallbacks=["openai/"])
        body = {"request_id": "r1", "headers": {"X-Tier": "gold"}, "params": {"a": "1", "b": "2"}}
        first = await admitted(client, key, **body)
        again = {**first, "replayed": True}
        assert await admitted(client, key, **body) == again
        # Whatever has become of the rule.
        await change_rule(client, rule, targets=[target("openai/")], fallbacks=[])
        assert await admitted(client, key, **body) == again
        await delete_rule(client, rule)
        assert await admitted(client, key, **body) == again

    async def test_released_and_reserved_anew_it_is_drawn_anew_but_the_same(self, client: httpx.AsyncClient):
        key = await key_of_all(client)
        await create_rule(client, target("azure/", 0.5), target("groq/", 0.5))
        for number in range(10):
            first = await explain(client, key, request_id=f"r{number}")
            answer = await admitted(client, key, request_id=f"r{number}")
            assert answer["provider"] == first["provider"]
            assert await release(client, f"r{number}")

    @pytest.mark.parametrize(
        "first, second, status",
        [
            ({"headers": {"A": "1", "B": "2"}}, {"headers": {"b": "2", "a": "1"}}, 200),
            ({"headers": {}}, {"headers": {}, "params": None}, 200),
            ({"headers": {"a": "1"}}, {"headers": {"a": "2"}}, 409),
            ({"headers": {"a": "1"}}, {"params": {"a": "1"}}, 409),
            ({"params": {"a": "1"}}, {}, 409),
        ],
    )
    async def test_headers_and_params_are_part_of_what_is_repeated(self, client: httpx.AsyncClient, first, second, status):
        key = await create_key(client)
        await admitted(client, key, request_id="r1", **first)
        assert (await reserve(client, key, request_id="r1", **second)).status_code == status


@pytest.mark.parametrize(
    "body, param",
    [
        ({"headers": {"a": 1}}, "headers.a"),
        ({"headers": {"a": ["b"]}}, "headers.a"),
        ({"headers": ["a"]}, "headers"),
        ({"params": {"a": None}}, "params.a"),
        ({"params": {str(number): "" for number in range(MAX_TEXTS + 1)}}, "params"),
        ({"headers": {"a": "b" * (LONGEST_TEXT + 1)}}, "headers.a"),
        ({"headers": {"a": "b" * LONGEST_TEXT, "c": "d"}}, "headers"),
    ],
)
async def test_malformed_headers_and_params(client: httpx.AsyncClient, body: dict[str, Any], param: str):
    key = await create_key(client)
    assert refusal(await reserve(client, key, **body)) == (400, param)


async def test_a_change_of_a_rule_binds_the_very_next_decision_everywhere(make_client: MakeClient):
    async with make_client() as one, make_client() as other:
        key = await key_of_all(one)

        async def everywhere(expected: str) -> None:
            for client in (other, one):
                answer = await admitted(client, key)
                assert aim(answer) == expected
                assert aim(await explain(client, key)) == expected

        await everywhere("openai/gpt-4o")
        rule = await create_rule(one, "azure/")
        await everywhere("azure/gpt-4o")
        await change_rule(one, rule, targets=[target("groq/")])
        await everywhere("groq/gpt-4o")
        await change_rule(other, rule, enabled=False)
        await everywhere("openai/gpt-4o")
        await change_rule(other, rule, enabled=True)
        await everywhere("groq/gpt-4o")
        await delete_rule(one, rule)
        await everywhere("openai/gpt-4o")


async def test_a_change_binds_all_decisions_that_come_after_it_however_many(make_client: MakeClient):
    async with make_client() as one, make_client() as other:
        key = await key_of_all(one)
        rule = await create_rule(one, "azure/", when="request >= 0.0 && headers['x-tier'] != ''", fallbacks=["openai/"])
        await limit_provider(one, "openai", budgets=[budget(10)])
        for provider in ("groq", "azure") * 3:
            await change_rule(one, rule, targets=[target(f"{provider}/")])
            calls = (admitted(client, key, headers={"x-tier": "a"}) for client in (one, other) for _ in range(20))
            assert {answer["provider"] for answer in await asyncio.gather(*calls)} == {provider}


async def test_a_change_of_what_conditions_see_binds_the_very_next_decision_everywhere(make_client: MakeClient):
    async with make_client() as one, make_client() as other:
        customer = await create(one, CUSTOMERS, name="acme")
        team = await create(one, TEAMS, name="growth")
        key = await key_of_all(one, name="prod")
        names = "virtual_key_name == 'prod' && team_name == 'growth' && customer_name == 'acme'"
        await create_rule(one, "azure/", when=names)
        for path, change, provider in (
            (f"virtual-keys/{key['id']}", {"team_id": team["id"]}, "openai"),
            (f"teams/{team['id']}", {"customer_id": customer["id"]}, "azure"),
            (f"customers/{customer['id']}", {"name": "emca"}, "openai"),
            (f"customers/{customer['id']}", {"name": "acme"}, "azure"),
            (f"teams/{team['id']}", {"name": "decline"}, "openai"),
        ):
            assert (await one.put(f"/{path}", json=change)).status_code == 200
            for client in (other, one):
                assert (await admitted(client, key))["provider"] == provider


async def test_while_redis_is_away_the_rules_last_seen_route(make_client: MakeClient):
    """No limit can be asked how full it is: they count as empty."""
    with reserved_port() as port:
        settings = {"redis_url": f"redis://127.0.0.1:{port}/0", "on_store_failure": "open"}
        async with make_client(**settings) as client:
            with embedded_redis(None, logging.getLogger("quotad.tests.redis"), port=port):
                await limit_provider(client, "openai", budgets=[budget(10)])
                key = await key_of_all(client)
                await create_rule(client, "groq/", when="budget_used > 0.0")
                rule = await create_rule(client, target("azure/", key_id="k1"), when="model == 'gpt-4o'", fallbacks=["groq/"])
                await admitted(client, key)
            answer = await admitted(client, key)
            assert (answer["degraded"], aim(answer), answer["key_ids"]) == (True, "azure/gpt-4o", ["k1"])
            assert (answer["route"]["rule_id"], answer["fallbacks"]) == (rule["id"], ["groq/gpt-4o"])


async def test_explain_has_the_whole_trace(client: httpx.AsyncClient):
    key = await key_of_all(client)
    missed = await create_rule(client, "azure/", when="model == 'other'")
    failed = await create_rule(client, "azure/", when="headers['x-tier'] == 'gold'")
    explained = await explain(client, key)
    seen = {"scope": "global", "provider": "openai", "model": "gpt-4o", "matched": False}
    trace = [
        {"rule_id": missed["id"], "rule_name": missed["name"], **seen},
        {"rule_id": failed["id"], "rule_name": failed["name"], **seen, "error": "there is no key x-tier"},
    ]
    unmatched: dict[str, Any] = {
        "rule_id": None,
        "rule_name": None,
        "provider": "openai",
        "model": "gpt-4o",
        "key_id": None,
        "fallbacks": [],
    }
    assert explained["route"] == {**unmatched, "end": "no_match", "trace": trace}
    hit = await create_rule(client, "groq/")
    await create_rule(client, "azure/")
    explained = await explain(client, key)
    assert explained["route"]["rule_id"] == hit["id"]
    assert explained["route"]["trace"][:2] == trace
    assert [step["matched"] for step in explained["route"]["trace"]] == [False, False, True]
    answer = await admitted(client, key)
    assert [step["rule_id"] for step in answer["route"]["trace"]] == [hit["id"]]


async def test_proxies_that_cannot_be_told_of_a_route_are_not_routed(client: httpx.AsyncClient):
    key = await key_of_all(client)
    await create_rule(client, "azure/")
    response = await client.get("/quota/authorize?provider=mistral&model=gpt-4o", headers={"x-bf-vk": key["value"]})
    assert (response.status_code, response.json()["decision"]) == (403, "provider_blocked")
    assert "route" not in response.json()


async def test_as_a_problem(client: httpx.AsyncClient):
    key = await key_of_all(client)
    rule = await create_rule(client, "mistral/")
    headers = {"x-bf-vk": key["value"], "accept": "application/problem+json"}
    response = await client.post("/quota/reserve", json={"provider": "openai", "model": "m"}, headers=headers)
    assert response.json()["route"]["rule_id"] == rule["id"]
