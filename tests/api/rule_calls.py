"""Routing rules over HTTP, as short as the tests need them, and keys that may go where they lead."""

from itertools import count
from typing import Any

import httpx

from tests.api.calls import Entity
from tests.api.gateway import OPENAI, create_key

AZURE = {**OPENAI, "provider": "azure"}
GROQ = {**OPENAI, "provider": "groq"}

_numbers = count()


def target(to: str, weight: float = 1.0, **members: Any) -> dict[str, Any]:
    """`to` is "provider/model", either part may be empty."""
    provider, _, model = to.partition("/")
    named = {name: value for name, value in (("provider", provider), ("model", model)) if value}
    return {**named, "weight": weight, **members}


async def create_rule(client: httpx.AsyncClient, *targets: str | dict[str, Any], when: str = "", **members: Any) -> Entity:
    """A global rule, after those made before, unless said otherwise."""
    number = next(_numbers)
    response = await client.post(
        "/routing-rules",
        json={
            "name": f"rule {number}",
            "cel_expression": when,
            "targets": [target(one) if isinstance(one, str) else one for one in targets],
            "scope": "global",
            "priority": number,
            **members,
        },
    )
    assert response.status_code == 200, response.text
    rule: Entity = response.json()["rule"]
    return rule


async def change_rule(client: httpx.AsyncClient, rule: Entity, **members: Any) -> None:
    response = await client.put(f"/routing-rules/{rule['id']}", json=members)
    assert response.status_code == 200, response.text


async def delete_rule(client: httpx.AsyncClient, rule: Entity) -> None:
    response = await client.delete(f"/routing-rules/{rule['id']}")
    assert response.status_code == 200, response.text


async def key_of_all(client: httpx.AsyncClient, **members: Any) -> Entity:
    """It may use openai, azure and groq."""
    return await create_key(client, **{"provider_configs": [OPENAI, AZURE, GROQ], **members})


def aim(answer: dict[str, Any]) -> str:
    return f"{answer['provider']}/{answer['model']}"


async def limit_provider(client: httpx.AsyncClient, provider: str, **limits: Any) -> None:
    response = await client.put(f"/providers/{provider}", json=limits)
    assert response.status_code == 200, response.text
