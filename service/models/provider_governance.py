"""Limits of whole providers on the wire."""

from typing import Self

from pydantic import Field, model_validator

from service.models.limit_owners import LimitsResponse, UpdateLimitsRequest, refuse_two_sets
from service.models.responses import ResponseModel


class UpdateProviderGovernanceRequest(UpdateLimitsRequest):
    @model_validator(mode="after")
    def _budgets_said_once(self) -> Self:
        refuse_two_sets(self.budget, self.budgets, malformed=True)
        return self


class ProviderGovernance(LimitsResponse):
    provider: str


class ProviderGovernanceResponse(ProviderGovernance):
    message: str


class ListProviderGovernanceResponse(ResponseModel):
    providers: tuple[ProviderGovernance, ...] = Field(description="Those with a budget or a rate limit, by name.")
    count: int = Field(ge=0)
