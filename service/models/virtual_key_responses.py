"""Virtual keys as they are shown, to an admin and to their holder (quota)."""

from typing import Literal

from pydantic import Field, JsonValue

from service.models.budgets import Budget
from service.models.limit_owners import EmbeddedCustomer, EmbeddedTeam, EntityResponse
from service.models.rate_limits import RateLimit
from service.models.responses import Page, ResponseModel, Timestamp, omitted


class ProviderKey(ResponseModel):
    """A key of a provider, known here by its id only."""

    key_id: str


class ProviderConfig(ResponseModel):
    id: int
    virtual_key_id: str
    provider: str
    weight: float | None = Field(description="Null: used only when the caller names the provider.")
    allowed_models: tuple[str, ...]
    blacklisted_models: tuple[str, ...]
    allow_all_keys: bool
    rate_limit_id: str = omitted()
    budgets: tuple[Budget, ...] = omitted("Left out when there are none.")
    rate_limit: RateLimit = omitted()
    keys: tuple[ProviderKey, ...] | None = Field(description="Null in the quota of a key.")


class McpConfig(ResponseModel):
    id: int
    virtual_key_id: str
    mcp_client_id: int = Field(description="0: MCP clients are known here by name only.")
    mcp_client: dict[str, JsonValue]
    tools_to_execute: tuple[str, ...]


class VirtualKey(EntityResponse):
    id: str
    name: str
    value: str = Field(description="The secret itself.", examples=["sk-bf-00000000-0000-4000-8000-000000000000"])
    description: str = omitted()
    is_active: bool
    expires_at: Timestamp = omitted("Left out: never.")
    enforcement: Literal["postpaid", "clamp", "strict"] = omitted("Left out: as the service is set.")
    provider_configs: tuple[ProviderConfig, ...] = Field(description="Sorted by provider.")
    mcp_configs: tuple[McpConfig, ...]
    team_id: str = omitted()
    customer_id: str = omitted("Never together with team_id.")
    team: EmbeddedTeam = omitted()
    customer: EmbeddedCustomer = omitted()
    budgets: tuple[Budget, ...]
    rate_limit_id: str = omitted()
    rate_limit: RateLimit = omitted()
    calendar_aligned: bool


class VirtualKeyEnvelope(ResponseModel):
    virtual_key: VirtualKey


class VirtualKeyResponse(VirtualKeyEnvelope):
    message: str


class ListVirtualKeysResponse(Page):
    virtual_keys: tuple[VirtualKey, ...]


class QuotaModelConfig(ResponseModel):
    """Limits of one model for this key."""

    model_name: str = Field(description='"*": every model.')
    provider: str = omitted("Left out: every provider.")
    budgets: tuple[Budget, ...] = omitted("Left out when there are none.")
    rate_limit: RateLimit = omitted()


class VirtualKeyQuotaResponse(ResponseModel):
    """What a key may still use, for its holder."""

    virtual_key_name: str
    is_active: bool
    budgets: tuple[Budget, ...] | None
    rate_limit: RateLimit | None
    provider_configs: tuple[ProviderConfig, ...] | None
    model_configs: tuple[QuotaModelConfig, ...]
    rate_limits: tuple[RateLimit, ...]
