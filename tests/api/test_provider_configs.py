"""provider_configs and mcp_configs on updates of a key: the complete new list, entries found again by id."""

from typing import Any

import httpx
import pytest
from redis import Redis

from service.entities import Kind
from service.store import keys
from service.store.keys import Ref
from tests.api.calls import VIRTUAL_KEYS, Entity, create, refusal, rows, update
from tests.api.conftest import NOW_MS, MakeClient
from tests.api.redis_state import contents, set_counter, virtual_key

DAY = {"max_limit": 5, "reset_duration": "1d"}
LIMIT = {"token_max_limit": 5, "token_reset_duration": "1h"}
OPENAI: dict[str, Any] = {
    "provider": "openai",
    "weight": 0.5,
    "allowed_models": ["gpt-4o"],
    "blacklisted_models": ["o3"],
    "key_ids": ["*"],
    "budgets": [DAY],
    "rate_limit": LIMIT,
}
BARE: dict[str, Any] = {
    "weight": None,
    "allowed_models": [],
    "blacklisted_models": [],
    "allow_all_keys": False,
    "keys": [],
}


@pytest.fixture
def client(make_client: MakeClient) -> httpx.AsyncClient:
    return make_client(now_ms=NOW_MS, mcp_clients=("search", "files"))


async def a_key(client: httpx.AsyncClient, *configs: dict[str, Any]) -> Entity:
    return await create(client, VIRTUAL_KEYS, provider_configs=list(configs or (OPENAI,)))


def spend(redis: Redis, key: Entity) -> None:
    """A dollar, and two tokens, by way of each provider config."""
    for config in key["provider_configs"]:
        for budget in config.get("budgets", ()):
            set_counter(redis, virtual_key(key), budget["id"], usage=1_000_000_000)
        if "rate_limit" in config:
            set_counter(redis, virtual_key(key), config["rate_limit_id"], slot="token_slot", usage=2)


def spent(config: Entity) -> list[float]:
    return [*(budget["current_usage"] for budget in config["budgets"]), config["rate_limit"]["token_current_usage"]]


async def test_an_entry_with_an_id_is_that_config_and_keeps_its_limits(client, redis: Redis):
    key = await a_key(client)
    spend(redis, key)
    (stored,) = key["provider_configs"]
    changed = await update(client, VIRTUAL_KEYS, key["id"], provider_configs=[{"id": stored["id"], **OPENAI, "weight": 2}])
    (config,) = changed["provider_configs"]
    assert config["weight"] == 2
    assert (config["id"], config["budgets"][0]["id"], config["rate_limit_id"]) == (
        stored["id"],
        stored["budgets"][0]["id"],
        stored["rate_limit_id"],
    )
    assert spent(config) == [1, 2]


@pytest.mark.parametrize("sent", [{}, {"budgets": None, "rate_limit": None}, dict.fromkeys((*OPENAI, "id"))], ids=str)
async def test_what_an_entry_leaves_out_is_replaced_by_nothing_but_its_limits_stay(client, redis: Redis, sent):
    key = await a_key(client)
    spend(redis, key)
    (stored,) = key["provider_configs"]
    entry = {**sent, "id": stored["id"], "provider": "openai"}
    (config,) = (await update(client, VIRTUAL_KEYS, key["id"], provider_configs=[entry]))["provider_configs"]
    assert {member: config[member] for member in BARE} == BARE
    assert spent(config) == [1, 2]
    assert (config["budgets"][0]["id"], config["rate_limit_id"]) == (stored["budgets"][0]["id"], stored["rate_limit_id"])


async def test_an_entry_may_change_its_provider(client, redis: Redis):
    key = await a_key(client)
    spend(redis, key)
    (stored,) = key["provider_configs"]
    entry = {"id": stored["id"], "provider": " azure "}
    (config,) = (await update(client, VIRTUAL_KEYS, key["id"], provider_configs=[entry]))["provider_configs"]
    assert (config["id"], config["provider"], spent(config)) == (stored["id"], "azure", [1, 2])


async def test_an_entry_takes_the_older_form_of_one_budget(client, redis: Redis):
    key = await a_key(client, {"provider": "openai", "budget": DAY})
    spend(redis, key)
    (stored,) = key["provider_configs"]
    assert [budget["max_limit"] for budget in stored["budgets"]] == [5]

    async def update_entry(**members: Any) -> Entity:
        entry = {"id": stored["id"], "provider": "openai", **members}
        (config,) = (await update(client, VIRTUAL_KEYS, key["id"], provider_configs=[entry]))["provider_configs"]
        return dict(config)

    (changed,) = (await update_entry(budget={"max_limit": 7}))["budgets"]
    assert (changed["id"], changed["max_limit"], changed["current_usage"]) == (stored["budgets"][0]["id"], 7, 1)
    assert "budgets" not in await update_entry(budget={})
    wrong: list[tuple[Entity, str]] = [
        ({"budget": {"max_limit": 1}}, "budget.reset_duration"),
        ({"budget": {"max_limit": 0}}, "budget.max_limit"),
        ({"budget": DAY, "budgets": [DAY]}, "budgets"),
    ]
    for sent, at_fault in wrong:
        refused = await client.post(f"/{VIRTUAL_KEYS}", json={"name": "x", "provider_configs": [{"provider": "openai", **sent}]})
        assert refusal(refused) == (400, f"provider_configs[0].{at_fault}")


async def test_an_entry_without_an_id_is_a_new_config_even_for_the_same_provider(client, redis: Redis):
    key = await a_key(client)
    spend(redis, key)
    (stored,) = key["provider_configs"]
    (config,) = (await update(client, VIRTUAL_KEYS, key["id"], provider_configs=[OPENAI]))["provider_configs"]
    assert config["id"] > stored["id"]
    assert config["budgets"][0]["id"] != stored["budgets"][0]["id"]
    assert spent(config) == [0, 0]
    assert [budget["provider_config_id"] for budget in await rows(client, "budgets")] == [config["id"]]
    assert [limit["id"] for limit in await rows(client, "rate-limits")] == [config["rate_limit_id"]]


async def test_configs_that_are_not_in_the_list_go_with_their_limits(client, redis: Redis):
    key = await a_key(client, OPENAI, {**OPENAI, "provider": "azure"}, {**OPENAI, "provider": "groq"})
    spend(redis, key)
    azure, groq, openai = key["provider_configs"]
    entries = [{"provider": "xai"}, {"id": groq["id"], "provider": "groq"}]
    kept, new = (await update(client, VIRTUAL_KEYS, key["id"], provider_configs=entries))["provider_configs"]
    assert (kept["id"], spent(kept)) == (groq["id"], [1, 2])
    assert new["id"] > max(azure["id"], groq["id"], openai["id"])
    assert [budget["id"] for budget in await rows(client, "budgets")] == [groq["budgets"][0]["id"]]
    # Nothing of the others is left in Redis: version, and three members each of three counters.
    assert len(redis.hkeys(keys.usage(Ref(Kind.VIRTUAL_KEY, key["id"])))) <= 1 + 9


@pytest.mark.parametrize("sent, left", [({}, 1), ({"provider_configs": None}, 1), ({"provider_configs": []}, 0)], ids=str)
async def test_the_list_stays_unless_it_is_sent(client, redis: Redis, sent, left):
    key = await a_key(client)
    spend(redis, key)
    changed = await update(client, VIRTUAL_KEYS, key["id"], **sent)
    assert [spent(config) for config in changed["provider_configs"]] == [[1, 2]] * left
    assert len(await rows(client, "budgets")) == left
    assert len(await rows(client, "rate-limits")) == left


async def test_configs_are_shown_by_provider_whatever_the_order_of_the_list(client):
    names = ["xai", "azure", "openai", "groq"]
    key = await a_key(client, *({"provider": name} for name in names))
    assert [config["provider"] for config in key["provider_configs"]] == sorted(names)
    entries = [{"id": config["id"], "provider": config["provider"]} for config in reversed(key["provider_configs"])]
    changed = await update(client, VIRTUAL_KEYS, key["id"], provider_configs=entries)
    assert changed["provider_configs"] == key["provider_configs"]


async def test_entries_may_swap_their_providers(client, redis: Redis):
    key = await a_key(client, OPENAI, {**OPENAI, "provider": "azure", "budgets": []})
    spend(redis, key)
    azure, openai = key["provider_configs"]
    entries = [{"id": azure["id"], "provider": "openai"}, {"id": openai["id"], "provider": "azure"}]
    configs = (await update(client, VIRTUAL_KEYS, key["id"], provider_configs=entries))["provider_configs"]
    assert [(config["provider"], config["id"]) for config in configs] == [("azure", openai["id"]), ("openai", azure["id"])]
    assert "budgets" not in configs[1]
    assert spent(configs[0]) == [1, 2]


@pytest.mark.parametrize("place", [0, 1])
async def test_an_id_must_be_that_of_an_entry_of_this_key(client, redis: Redis, place):
    other = await a_key(client)
    key = await a_key(client)
    own = key["provider_configs"][0]["id"]
    before = contents(redis)
    for wrong in (other["provider_configs"][0]["id"], own + 1000, 0, -1, 2**53 - 1):
        entries: list[dict[str, Any]] = [{"id": own, "provider": "openai"}]
        entries.insert(place, {"id": wrong, "provider": "azure"})
        refused = await client.put(f"/{VIRTUAL_KEYS}/{key['id']}", json={"provider_configs": entries})
        assert refusal(refused) == (400, f"provider_configs[{place}].id"), wrong
    twice = [{"id": own, "provider": "openai"}, {"id": own, "provider": "azure"}]
    refused = await client.put(f"/{VIRTUAL_KEYS}/{key['id']}", json={"provider_configs": twice})
    assert refusal(refused) == (400, "provider_configs[1].id")
    assert contents(redis) == before


async def test_a_change_that_is_refused_uses_up_no_number(client, redis: Redis):
    key, other = await a_key(client), await a_key(client)
    before = contents(redis)
    sent = {"name": other["name"], "provider_configs": [{"provider": "azure"}]}
    assert refusal(await client.post(f"/{VIRTUAL_KEYS}", json=sent)) == (409, "name")
    assert refusal(await client.put(f"/{VIRTUAL_KEYS}/{key['id']}", json=sent)) == (409, "name")
    assert contents(redis) == before
    next_key = await a_key(client)
    assert next_key["provider_configs"][0]["id"] == other["provider_configs"][0]["id"] + 1


async def test_mcp_configs_follow_the_same_pattern(client, redis: Redis):
    key = await create(client, VIRTUAL_KEYS, mcp_configs=[{"mcp_client_name": "search"}, {"mcp_client_name": "files"}])
    search, files = key["mcp_configs"]
    assert search["tools_to_execute"] == []
    entries = [{"id": files["id"], "mcp_client_name": "files", "tools_to_execute": ["ls"]}, {"mcp_client_name": "search"}]
    kept, new = (await update(client, VIRTUAL_KEYS, key["id"], mcp_configs=entries))["mcp_configs"]
    assert (kept["id"], kept["tools_to_execute"]) == (files["id"], ["ls"])
    assert new["id"] > files["id"]
    before = contents(redis)
    for wrong in (search["id"], -1):
        entries = [{"id": wrong, "mcp_client_name": "files"}]
        refused = await client.put(f"/{VIRTUAL_KEYS}/{key['id']}", json={"mcp_configs": entries})
        assert refusal(refused) == (400, "mcp_configs[0].id")
    assert contents(redis) == before


async def test_text_that_looks_like_an_unnumbered_entry_stays_text(client):
    """New entries are numbered inside Redis, in the JSON text of the list."""
    tricky = ['"id":-1', '\\"id\\":-2', '[{"id":-3}]']
    key = await a_key(client, {"provider": "openai", "allowed_models": tricky, "key_ids": tricky})
    (config,) = key["provider_configs"]
    assert (config["allowed_models"], [one["key_id"] for one in config["keys"]]) == (tricky, tricky)
