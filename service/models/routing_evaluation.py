"""What routing rules make of a request: as decisions tell it, and the dry run that admins ask for."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from service.models.enforcement import ModelName, NamedTexts, RequestId, RequestType, VirtualKeyValue
from service.models.parsing import MemberError
from service.models.request_types import DEFAULT_REQUEST_TYPE
from service.models.responses import ResponseModel, omitted
from service.models.routing_rules import RoutingTarget, Scope
from service.models.strict import StrictModel
from service.models.text import Reference


class EvaluateRoutingRequest(StrictModel):
    """A request as a gateway would send it to reserve. Without a virtual key only global rules are in scope."""

    virtual_key_id: Annotated[Reference, Field(min_length=1)] | None = Field(None, description="The virtual key, by its ID.")
    virtual_key: VirtualKeyValue | None = Field(None, description="The same by its value. Not both.")
    provider: ModelName | None = Field(None, description="Unset: taken from a model of the form `provider/model`.")
    model: ModelName | None = None
    request_type: RequestType | None = Field(None, description=f"Unset: {DEFAULT_REQUEST_TYPE}.")
    headers: NamedTexts | None = Field(None, description="Headers of the request.")
    params: NamedTexts | None = Field(None, description="Query parameters of the request.")
    request_id: RequestId | None = Field(
        None, description="Targets are drawn by it: the same id draws the same as in reserve. Unset: another draw each time."
    )

    @model_validator(mode="after")
    def _one_way_to_name_the_key(self) -> Self:
        if self.virtual_key_id is not None and self.virtual_key is not None:
            raise MemberError("virtual_key", "must not be sent together with virtual_key_id")
        return self


class RouteStep(ResponseModel):
    """One rule that was looked at."""

    rule_id: str
    rule_name: str
    scope: Scope
    provider: str | None = Field(description="Where the request was headed when the rule was looked at; null: not said yet.")
    model: str | None
    matched: bool
    error: str = omitted("Why the condition could not be evaluated, which counts as no match.")
    target: RoutingTarget = omitted("The target that was drawn, when the rule matched.")


RouteEnd = Annotated[
    Literal["no_match", "final_rule", "seen_before", "depth"],
    Field(
        description="Why no further rule was applied: no rule matched (any more), the last one chains to no other, its provider "
        "and model had been there before, or ten rules had been applied."
    ),
]


class AppliedRoute(ResponseModel):
    """Where routing rules sent the request."""

    rule_id: str | None = Field(description="The rule applied last. Null: none matched, the request goes where it asked to go.")
    rule_name: str | None
    provider: str | None
    model: str | None
    key_id: str | None = Field(description="The provider key to use, when the target names one.")
    fallbacks: tuple[str, ...] = Field(description="Those of the rule, but for providers that are over a budget or limit.")
    end: RouteEnd
    trace: tuple[RouteStep, ...] = Field(description="Rules that were applied; in explain and in dry runs all looked at.")


class RoutingVariables(ResponseModel):
    """What conditions see of the request as it was asked."""

    model: str
    provider: str
    request_type: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    virtual_key_id: str
    virtual_key_name: str
    team_id: str
    team_name: str
    customer_id: str
    customer_name: str
    tokens_used: float = Field(ge=0, description="Percent of the fullest token limit of the provider and model.")
    request: float = Field(ge=0, description="The same of request limits.")
    budget_used: float = Field(ge=0, description="The same of budgets.")


class EvaluateRoutingResponse(ResponseModel):
    matched: bool
    route: AppliedRoute
    variables: RoutingVariables
    rules_in_scope: int = Field(ge=0, description="Enabled rules of the key, its team, its customer, and global ones.")
