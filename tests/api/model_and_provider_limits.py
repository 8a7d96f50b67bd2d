"""Limits of models and of providers, spoken to alike: a model config, one of a key, and the governance of a provider."""

from typing import Any, Final

import httpx

from service.entities import Kind
from service.store.keys import Ref
from tests.api import calls
from tests.api.calls import MODEL_CONFIGS, VIRTUAL_KEYS, Entity

OF_A_KEY: Final = "model-configs of a key"
PROVIDERS: Final = "providers"
KINDS: Final = (MODEL_CONFIGS, OF_A_KEY, PROVIDERS)
PROVIDER: Final = "openai"


class Limits:
    """`sent` are budgets, budget, rate_limit, calendar_aligned and so on. The calendar of a key's model config is the key's."""

    def __init__(self, client: httpx.AsyncClient, kind: str) -> None:
        self.client = client
        self.kind = kind
        self.id = PROVIDER if kind == PROVIDERS else ""
        self.key_id = ""

    @property
    def ref(self) -> Ref:
        """Whose counters these are."""
        match self.kind:
            case "providers":
                return Ref(Kind.PROVIDER, PROVIDER)
            case "model-configs":
                return Ref(Kind.MODEL_CONFIG, self.id)
        return Ref(Kind.VIRTUAL_KEY, self.key_id)

    @property
    def path(self) -> str:
        return f"/providers/{self.id}" if self.kind == PROVIDERS else f"/model-configs/{self.id}"

    def at(self, client: httpx.AsyncClient) -> "Limits":
        """The same, asked through an application whose clock shows another time."""
        other = Limits(client, self.kind)
        other.id, other.key_id = self.id, self.key_id
        return other

    async def create(self, **sent: Any) -> Entity:
        if self.kind == PROVIDERS:
            return await self.update(**sent)
        scope: dict[str, Any] = {}
        if self.kind == OF_A_KEY:
            aligned = {"calendar_aligned": sent.pop("calendar_aligned", None)}
            self.key_id = (await calls.create(self.client, VIRTUAL_KEYS, **aligned))["id"]
            scope = {"scope": "virtual_key", "scope_id": self.key_id}
        created = await calls.create(self.client, MODEL_CONFIGS, model_name="gpt-4o", **scope, **sent)
        self.id = created["id"]
        return created

    async def show(self) -> Entity:
        if self.kind == PROVIDERS:
            rows: list[Entity] = (await self.client.get("/providers")).json()["providers"]
            return next((row for row in rows if row["provider"] == self.id), {})
        return await calls.get(self.client, MODEL_CONFIGS, self.id)

    async def update(self, **sent: Any) -> Entity:
        if self.kind == PROVIDERS:
            answer = await self.client.put(self.path, json=sent)
            assert answer.status_code == 200, answer.text
            body: Entity = answer.json()
            assert body.pop("message") == "Provider governance updated successfully"
            return body
        if self.kind == OF_A_KEY and "calendar_aligned" in sent:
            await calls.update(self.client, VIRTUAL_KEYS, self.key_id, calendar_aligned=sent.pop("calendar_aligned"))
        return await calls.update(self.client, MODEL_CONFIGS, self.id, **sent)

    async def refused(self, **sent: Any) -> httpx.Response:
        """The answer to an update that is expected to be wrong."""
        return await self.client.put(self.path, json=sent)

    async def remove(self) -> None:
        assert (await self.client.delete(self.path)).status_code == 200
