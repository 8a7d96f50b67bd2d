"""The governance API as the tests speak it: a call expects to succeed and answers with the entity; `refusal` reads errors."""

from itertools import count
from typing import Any, Final

import httpx

Entity = dict[str, Any]

VIRTUAL_KEYS: Final = "virtual-keys"
TEAMS: Final = "teams"
CUSTOMERS: Final = "customers"
ROUTING_RULES: Final = "routing-rules"
MODEL_CONFIGS: Final = "model-configs"
PRICING_OVERRIDES: Final = "pricing-overrides"

_MEMBERS: Final = {
    VIRTUAL_KEYS: "virtual_key",
    TEAMS: "team",
    CUSTOMERS: "customer",
    ROUTING_RULES: "rule",
    MODEL_CONFIGS: "model_config",
    PRICING_OVERRIDES: "pricing_override",
}
_NAMES: Final = {
    VIRTUAL_KEYS: "Virtual key",
    TEAMS: "Team",
    CUSTOMERS: "Customer",
    ROUTING_RULES: "Routing rule",
    MODEL_CONFIGS: "Model config",
    PRICING_OVERRIDES: "Pricing override",
}
_numbers = count(1)


async def create(client: httpx.AsyncClient, collection: str, **members: Any) -> Entity:
    """With a name of its own where none is given."""
    response = await client.post(f"/{collection}", json={"name": f"{collection} {next(_numbers)}", **members})
    return _written(response, collection, "created", status=201 if collection == PRICING_OVERRIDES else 200)


async def get(client: httpx.AsyncClient, collection: str, entity_id: str) -> Entity:
    body = _body(await client.get(f"/{collection}/{entity_id}"))
    assert [*body] == [_MEMBERS[collection]]
    entity: Entity = body[_MEMBERS[collection]]
    return entity


async def update(client: httpx.AsyncClient, collection: str, entity_id: str, **members: Any) -> Entity:
    return _written(await client.put(f"/{collection}/{entity_id}", json=members), collection, "updated")


async def delete(client: httpx.AsyncClient, collection: str, entity_id: str) -> None:
    body = _body(await client.delete(f"/{collection}/{entity_id}"))
    assert body == {"message": f"{_NAMES[collection]} deleted successfully"}


async def rows(client: httpx.AsyncClient, collection: str, **params: Any) -> list[Entity]:
    """A list without its envelope; without paging where no parameter asks for it."""
    return rows_of(_body(await client.get(f"/{collection}", params=params)), collection)


def rows_of(body: dict[str, Any], collection: str) -> list[Entity]:
    entities: list[Entity] = body["rules" if collection == ROUTING_RULES else collection.replace("-", "_")]
    assert body["count"] == len(entities)
    return entities


def refusal(response: httpx.Response) -> tuple[int, str | None]:
    """Status and the member at fault of a standard error, which has exactly these members and a message for people."""
    body = response.json()
    error = body.pop("error")
    assert body == {"is_bifrost_error": False, "status_code": response.status_code, "extra_fields": {}}
    assert set(error) <= {"message", "param"}
    assert error["message"]
    assert error.get("param", "") is not None
    return response.status_code, error.get("param")


def message(response: httpx.Response) -> str:
    return str(response.json()["error"]["message"])


def _written(response: httpx.Response, collection: str, done: str, *, status: int = 200) -> Entity:
    body = _body(response, status)
    assert body["message"] == f"{_NAMES[collection]} {done} successfully"
    assert body.keys() == {"message", _MEMBERS[collection]}
    entity: Entity = body[_MEMBERS[collection]]
    return entity


def _body(response: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    return body
