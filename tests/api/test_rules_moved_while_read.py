"""A rule that an admin moves while a worker reads all rules: a request goes by those of before or after, not by a mixture."""

from typing import Any

import pytest

from service.store import routing_rules, snapshot
from tests.api.conftest import MakeClient
from tests.api.gateway import OPENAI, admitted, create_key
from tests.api.rule_calls import AZURE, create_rule


async def test_a_rule_that_moves_while_it_is_read_is_at_its_new_place(make_client: MakeClient, monkeypatch: pytest.MonkeyPatch):
    async with make_client() as admin, make_client() as worker:
        key = await create_key(admin, provider_configs=[OPENAI, AZURE])
        first = await create_rule(admin, "azure/gpt-4o", when="model == 'another'", priority=1)
        await create_rule(admin, "openai/gpt-4o", priority=2)
        assert (await admitted(worker, key))["provider"] == "openai"

        read, moved = snapshot.read, False

        async def moves(*args: Any, **options: Any) -> Any:
            nonlocal moved
            if not moved:
                moved = True
                response = await admin.put(f"/routing-rules/{first['id']}", json={"cel_expression": "", "priority": 3})
                assert response.status_code == 200, response.text
            return await read(*args, **options)

        await create_rule(admin, "groq/gpt-4o", when="model == 'another'", priority=4)
        monkeypatch.setattr(routing_rules, "read", moves)
        assert (await admitted(worker, key))["provider"] == "openai"
        assert moved
