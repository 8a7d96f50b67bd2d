"""Model configs on the wire: the limits of one model, for everybody or for one virtual key."""

from typing import Literal, Self

from pydantic import Field, model_validator

from service.models.budgets import Budget
from service.models.limit_owners import CreateLimitsRequest, EntityResponse, LimitsResponse, UpdateLimitsRequest
from service.models.parsing import MemberError
from service.models.responses import Page, ResponseModel, omitted
from service.models.text import Name, Reference

Scope = Literal["global", "virtual_key", "user"]


class CreateModelConfigRequest(CreateLimitsRequest):
    model_name: Name = Field(description='"*": every model.', examples=["gpt-4o"])
    provider: Name | None = Field(default=None, description="Unset: whichever provider serves the model.", examples=["openai"])
    scope: Scope | None = Field(default=None, description="Unset: global.")
    scope_id: Reference | None = Field(default=None, description="The virtual key or user. Plays no part in scope global.")

    @model_validator(mode="after")
    def _scope_needs_its_id(self) -> Self:
        if self.resolved_scope != "global" and not (self.scope_id or "").strip():
            raise MemberError("scope_id", f"is required in scope {self.scope}")
        return self

    @property
    def resolved_scope(self) -> Scope:
        return self.scope or "global"

    @property
    def resolved_scope_id(self) -> str | None:
        return None if self.resolved_scope == "global" else self.scope_id


class UpdateModelConfigRequest(UpdateLimitsRequest):
    """The scope cannot be changed: scope and scope_id are ignored here."""

    model_name: Name | None = None
    provider: Name | None = Field(default=None, description="It cannot be changed back to every provider.")


class ModelConfig(LimitsResponse, EntityResponse):
    id: str
    model_name: str
    provider: str = omitted("Left out: every provider.")
    scope: Scope
    scope_id: str | None
    scope_name: str = omitted("Name of the virtual key.")
    budgets: tuple[Budget, ...]
    rate_limit_id: str = omitted()


class ModelConfigEnvelope(ResponseModel):
    model_config_: ModelConfig = Field(alias="model_config")


class ModelConfigResponse(ModelConfigEnvelope):
    message: str


class ListModelConfigsResponse(Page):
    model_configs: tuple[ModelConfig, ...]
