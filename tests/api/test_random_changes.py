"""Hundreds of changes in random order, names and parents taken and lost: Redis and all lists agree with what was answered."""

import random
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api import calls
from tests.api.calls import CUSTOMERS, MODEL_CONFIGS, PRICING_OVERRIDES, ROUTING_RULES, TEAMS, VIRTUAL_KEYS
from tests.api.conftest import MakeClient
from tests.store.consistency import assert_consistent

STEPS = 500
KINDS = (VIRTUAL_KEYS, TEAMS, CUSTOMERS, ROUTING_RULES, MODEL_CONFIGS, PRICING_OVERRIDES)
DURATIONS = ("1h", "1d", "24h", "1w", "1M")


class Admin:
    """Does something random, and remembers the name of everything that should exist."""

    def __init__(self, client: httpx.AsyncClient, seed: int) -> None:
        self.client = client
        self.random = random.Random(seed)
        self.names: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
        self.key_of: dict[str, str] = {}
        """Model config to the key that holds it."""

    def some_id(self, kind: str) -> str:
        """Mostly of one that exists."""
        return self.random.choice([*self.names[kind], "gone"])

    def limits(self) -> dict[str, Any]:
        chosen = self.random.sample(DURATIONS, self.random.randrange(4))
        limits: dict[str, Any] = {"budgets": [{"max_limit": 1, "reset_duration": duration} for duration in chosen]}
        limits["rate_limit"] = self.random.choice([{}, None, {"token_max_limit": 1, "token_reset_duration": "1d"}])
        return limits | {"calendar_aligned": self.random.choice([True, False, None])}

    def members(self, kind: str) -> dict[str, Any]:
        name = f"name {self.random.randrange(12)}"
        match kind:
            case "virtual-keys":
                owner = self.random.choice([{}, {"team_id": self.some_id(TEAMS)}, {"customer_id": self.some_id(CUSTOMERS)}])
                configs = [{"provider": "openai", **self.limits()}, {"provider": "azure"}]
                for config in configs:
                    config.pop("calendar_aligned", None)
                return {"name": name, **owner, **self.limits(), "provider_configs": self.random.choice([None, [], configs])}
            case "teams":
                return {"name": name, "customer_id": self.random.choice([None, "", self.some_id(CUSTOMERS)]), **self.limits()}
            case "routing-rules":
                scope = self.random.choice([{"scope": "global"}, {"scope": "team", "scope_id": self.some_id(TEAMS)}])
                rule = {"cel_expression": "", "targets": [{"weight": 1}], "priority": self.random.randrange(8)}
                return {"name": name, **rule, **scope}
            case "model-configs":
                of_a_key = {"scope": "virtual_key", "scope_id": self.some_id(VIRTUAL_KEYS)}
                return {"model_name": name, **self.random.choice([{}, of_a_key, of_a_key]), **self.limits()}
            case "pricing-overrides":
                return {"name": name, "scope_kind": "global", "match_type": "exact", "pattern": "x", "request_types": ["rerank"]}
        return {"name": name, **self.limits()}

    async def step(self) -> int:
        """The status of whatever was done."""
        kind = self.random.choice(KINDS)
        what = self.random.choice(("create", "create", "update", "update", "delete"))
        entity_id = self.some_id(kind)
        if what == "delete":
            answer = await self.client.delete(f"/{kind}/{entity_id}")
            if answer.status_code == 200:
                self._forget(kind, entity_id)
            return answer.status_code
        body = self.members(kind)
        if what == "create":
            answer = await self.client.post(f"/{kind}", json=body)
        else:
            answer = await self.client.put(f"/{kind}/{entity_id}", json=body)
        if answer.is_success:
            entity: calls.Entity = next(value for value in answer.json().values() if isinstance(value, dict))
            self.names[kind][entity["id"]] = entity["model_name" if kind == MODEL_CONFIGS else "name"]
            if kind == MODEL_CONFIGS and entity["scope"] == "virtual_key":
                self.key_of[entity["id"]] = entity["scope_id"]
        return answer.status_code

    def _forget(self, kind: str, entity_id: str) -> None:
        del self.names[kind][entity_id]
        if kind == VIRTUAL_KEYS:
            for config_id in [held for held, key_id in self.key_of.items() if key_id == entity_id]:
                self.names[MODEL_CONFIGS].pop(config_id, None)

    async def assert_lists_agree(self) -> None:
        for kind, names in self.names.items():
            rows = await calls.rows(self.client, kind)
            assert {row["id"]: row.get("name", row.get("model_name")) for row in rows} == names, kind
            for row in rows:
                for parent, owners in (("team_id", TEAMS), ("customer_id", CUSTOMERS)):
                    assert row.get(parent) in (None, *self.names[owners])
        for parent, owners in (("team_id", TEAMS), ("customer_id", CUSTOMERS)):
            for owner_id in self.names[owners]:
                found = {row["id"] for row in await calls.rows(self.client, VIRTUAL_KEYS, limit=100, **{parent: owner_id})}
                keys = await calls.rows(self.client, VIRTUAL_KEYS)
                assert found == {row["id"] for row in keys if row.get(parent) == owner_id}


@pytest.mark.parametrize("seed", range(3))
async def test_random_changes(make_client: MakeClient, redis: Redis, seed: int):
    async with make_client() as client:
        admin = Admin(client, seed)
        seen = {await admin.step() for _ in range(STEPS)}
        assert seen == {200, 201, 400, 404, 409}
        await admin.assert_lists_agree()
        assert_consistent(redis)
        # Whatever is left can still be changed and deleted.
        for kind, names in admin.names.items():
            for entity_id in [*names]:
                if kind != MODEL_CONFIGS:
                    assert (await client.put(f"/{kind}/{entity_id}", json={})).status_code == 200
                    assert (await client.delete(f"/{kind}/{entity_id}")).status_code == 200
        for config in await calls.rows(client, MODEL_CONFIGS):
            assert (await client.delete(f"/model-configs/{config['id']}")).status_code == 200
        assert not [key for key in redis.scan_iter() if "sequence" not in key and "versions" not in key]
