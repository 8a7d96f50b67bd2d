"""Owners of limits, spoken to alike: what holds for the budgets and the rate limit of one holds for those of all."""

from typing import Any, Final

import httpx

from service.entities import Kind
from service.store.keys import Ref
from tests.api import calls
from tests.api.calls import CUSTOMERS, TEAMS, VIRTUAL_KEYS, Entity

PROVIDER_CONFIGS: Final = "provider configs"
OWNERS: Final = (VIRTUAL_KEYS, PROVIDER_CONFIGS, TEAMS, CUSTOMERS)

_KINDS: Final = {VIRTUAL_KEYS: Kind.VIRTUAL_KEY, PROVIDER_CONFIGS: Kind.VIRTUAL_KEY, TEAMS: Kind.TEAM, CUSTOMERS: Kind.CUSTOMER}
_OF_THE_KEY: Final = {"calendar_aligned", "reset_budget_usage"}
"""Members that a provider config does not have: they are those of its key."""


class LimitOwner:
    """A key, one of its provider configs, a team or a customer; `limits` are budgets, rate_limit and so on."""

    def __init__(self, client: httpx.AsyncClient, kind: str) -> None:
        self._client = client
        self.kind = kind
        self._collection = VIRTUAL_KEYS if kind == PROVIDER_CONFIGS else kind
        self._config: dict[str, Any] = {"provider": "openai"}
        self._id = ""

    @property
    def ref(self) -> Ref:
        """Whose counters these are."""
        return Ref(_KINDS[self.kind], self._id)

    def at(self, client: httpx.AsyncClient) -> "LimitOwner":
        """The same owner, asked through an application whose clock shows another time."""
        other = LimitOwner(client, self.kind)
        other._id, other._config = self._id, self._config
        return other

    def param(self, path: str) -> str:
        """How an error names a member."""
        return f"provider_configs[0].{path}" if self.kind == PROVIDER_CONFIGS else path

    async def create(self, **limits: Any) -> Entity:
        entity = await calls.create(self._client, self._collection, **self._members(limits))
        self._id = entity["id"]
        if self.kind == PROVIDER_CONFIGS:
            self._config = {"provider": "openai", "id": entity["provider_configs"][0]["id"]}
        return self._part(entity)

    async def refused_creation(self, **limits: Any) -> tuple[int, str | None]:
        """Status and member at fault."""
        return calls.refusal(await self._client.post(f"/{self._collection}", json={"name": "new", **self._members(limits)}))

    async def show(self) -> Entity:
        return self._part(await calls.get(self._client, self._collection, self._id))

    async def update(self, **limits: Any) -> Entity:
        return self._part(await calls.update(self._client, self._collection, self._id, **self._members(limits)))

    async def refused(self, **limits: Any) -> tuple[int, str | None]:
        """Status and member at fault of an update."""
        return calls.refusal(await self._client.put(f"/{self._collection}/{self._id}", json=self._members(limits)))

    def _members(self, limits: dict[str, Any]) -> dict[str, Any]:
        if self.kind != PROVIDER_CONFIGS:
            return limits
        of_config = {name: value for name, value in limits.items() if name not in _OF_THE_KEY}
        return {
            **{name: value for name, value in limits.items() if name in _OF_THE_KEY},
            "provider_configs": [{**self._config, **of_config}],
        }

    def _part(self, entity: Entity) -> Entity:
        part: Entity = entity["provider_configs"][0] if self.kind == PROVIDER_CONFIGS else entity
        return part
