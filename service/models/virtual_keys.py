"""Virtual keys on the wire: what may be asked of one. models/virtual_key_responses.py is how one is shown."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from service.models.allow_lists import EVERYTHING, AllowList, KeyIds
from service.models.limit_owners import Budgets, CreateLimitsRequest, LimitsRequest, UpdateLimitsRequest
from service.models.limits import LARGEST_COUNT, RateLimitRequest, UpdateBudgetRequest
from service.models.parsing import MemberError
from service.models.strict import StrictModel
from service.models.text import (
    MAX_ENTRIES,
    Description,
    ExpiresAt,
    Name,
    Reference,
    TrimmedName,
    all_of,
    not_both,
    parse_time_ms,
    refuse_both,
)

MAX_WEIGHT = 1_000_000_000

RowId = Annotated[int, Field(ge=-LARGEST_COUNT, le=LARGEST_COUNT)]
"""Whether it is one of this key is for the rules to say."""


class ProviderConfigRequest(StrictModel):
    """What the key may do with one provider. On updates everything but budgets and rate_limit is replaced, sent or not."""

    model_config = not_both("budget", "object", "budgets", "array")

    id: RowId | None = Field(default=None, description="On updates: the stored entry to change; without it a new one is made.")
    provider: TrimmedName = Field(description="A configured provider, by its exact name.", examples=["openai"])
    weight: Annotated[float, Field(ge=0, le=MAX_WEIGHT)] | None = Field(
        default=None, description="Share in weighted choice. Unset: used only when the caller names the provider."
    )
    allowed_models: AllowList | None = Field(default=None, description="Unset: none, which denies every model.")
    blacklisted_models: AllowList | None = Field(default=None, description="Wins over allowed_models. Unset: none.")
    key_ids: KeyIds | None = Field(default=None, description="Unset: none.")
    budgets: Budgets | None = Field(default=None, description="As on the key; left out on updates, unchanged.")
    budget: UpdateBudgetRequest | None = Field(
        default=None, description="The only budget, instead of `budgets`; `{}` removes it."
    )
    rate_limit: RateLimitRequest | None = Field(default=None, description="As on the key; left out on updates, unchanged.")

    @model_validator(mode="after")
    def _budgets_said_once(self) -> Self:
        refuse_both("budget", self.budget, "budgets", self.budgets)
        return self

    @property
    def allow_all_keys(self) -> bool:
        return self.key_ids == (EVERYTHING,)


class McpConfigRequest(StrictModel):
    """Which tools of one MCP client the key may run."""

    id: RowId | None = Field(default=None, description="On updates: the stored entry to change; without it a new one is made.")
    mcp_client_name: Name = Field(description="An MCP client the operator has configured.")
    tools_to_execute: AllowList | None = Field(default=None, description="Unset: none.")


def _each_once(member: str, sent: Iterable[object], *, of: str = "") -> None:
    seen: dict[object, int] = {}
    for position, value in enumerate(sent):
        earlier = seen.setdefault(value, position)
        if value is not None and earlier != position:
            raise MemberError(f"{of}[{position}].{member}", f"repeats that of entry [{earlier}]")


def _providers_once(configs: tuple[ProviderConfigRequest, ...]) -> tuple[ProviderConfigRequest, ...]:
    _each_once("provider", [config.provider for config in configs])
    return configs


def _clients_once(configs: tuple[McpConfigRequest, ...]) -> tuple[McpConfigRequest, ...]:
    _each_once("mcp_client_name", [config.mcp_client_name for config in configs])
    return configs


ProviderConfigs = Annotated[tuple[ProviderConfigRequest, ...], Field(max_length=MAX_ENTRIES), AfterValidator(_providers_once)]
McpConfigs = Annotated[tuple[McpConfigRequest, ...], Field(max_length=MAX_ENTRIES), AfterValidator(_clients_once)]


class _VirtualKeyRequest(LimitsRequest):
    description: Description | None = None
    provider_configs: ProviderConfigs | None = Field(
        default=None,
        description="One entry per provider that may be used. A new key without them can use none. `[]` removes all.",
    )
    mcp_configs: McpConfigs | None = Field(default=None, description="One entry per MCP client. `[]` removes all.")
    team_id: Reference | None = Field(default=None, description="The team the key belongs to. Excludes customer_id.")
    customer_id: Reference | None = Field(default=None, description="The customer the key belongs to directly. Excludes team_id.")
    is_active: bool | None = Field(default=None, description="A new key is active.")
    expires_at: ExpiresAt | None = Field(default=None, description="RFC 3339, in the future. The empty string: never.")
    enforcement: Literal["postpaid", "clamp", "strict", ""] | None = Field(
        default=None,
        description="How strictly this key's requests are held to estimates; the empty string: as the service is set.",
    )

    @property
    def expires_at_ms(self) -> int | None:
        """None when absent or cleared; `expires_at` tells the two apart."""
        return parse_time_ms(self.expires_at) if self.expires_at else None


class CreateVirtualKeyRequest(_VirtualKeyRequest, CreateLimitsRequest):
    model_config = all_of(not_both("team_id", "string", "customer_id", "string"), CreateLimitsRequest.model_config)

    name: Name

    @model_validator(mode="after")
    def _one_owner(self) -> Self:
        refuse_both("team_id", self.team_id, "customer_id", self.customer_id)
        return self


class UpdateVirtualKeyRequest(_VirtualKeyRequest, UpdateLimitsRequest):
    """What is left out stays as it is. For team_id and customer_id null is not the same as left out: it detaches the key."""

    name: Name | None = None
    reset_budget_usage: bool | None = Field(
        default=None, description="True: what is spent from the key's budgets and its provider configs' becomes 0."
    )

    @model_validator(mode="after")
    def _ids_once(self) -> Self:
        """A new key has no entries yet, so there they mean nothing."""
        _each_once("id", [config.id for config in self.provider_configs or ()], of="provider_configs")
        _each_once("id", [config.id for config in self.mcp_configs or ()], of="mcp_configs")
        return self

    @model_validator(mode="after")
    def _one_owner(self) -> Self:
        if self.team_id and self.customer_id:
            refuse_both("team_id", self.team_id, "customer_id", self.customer_id, malformed=True)
        return self

    @property
    def moves(self) -> bool:
        """Whether the owner is to become `team_id or None`, `customer_id or None`."""
        return not self.model_fields_set.isdisjoint(("team_id", "customer_id"))
