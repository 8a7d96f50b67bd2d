"""What every owner of limits says about them, in requests and in responses; and owners as shown inside a virtual key."""

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from service.models.budgets import Budget
from service.models.limits import BudgetRequests, CreateBudgetRequest, RateLimitRequest, UpdateBudgetRequest
from service.models.rate_limits import RateLimit
from service.models.responses import ConfigHash, ResponseModel, Timestamp, omitted
from service.models.strict import StrictModel
from service.models.text import refuse_both

MAX_BUDGETS = 100
"""Of one owner. Every one is read for every decision."""


def _not_too_many(budgets: tuple[CreateBudgetRequest, ...]) -> tuple[CreateBudgetRequest, ...]:
    if len(budgets) > MAX_BUDGETS:
        raise ValueError(f"must not have more than {MAX_BUDGETS} entries")
    return budgets


Budgets = Annotated[BudgetRequests, AfterValidator(_not_too_many), Field(json_schema_extra={"maxItems": MAX_BUDGETS})]


def refuse_two_sets(
    budget: CreateBudgetRequest | UpdateBudgetRequest | None,
    budgets: tuple[CreateBudgetRequest, ...] | None,
    *,
    malformed: bool = False,
) -> None:
    """Owners are shown with both, the one repeating the first of the others: so they may be sent back."""
    if budget is None or not budget.id or not budgets or _terms(budget) != _terms(budgets[0]):
        refuse_both("budget", budget, "budgets", budgets, malformed=malformed)


def _terms(budget: CreateBudgetRequest | UpdateBudgetRequest) -> tuple[str | float | None, ...]:
    """Many clients leave out what is false."""
    return budget.id, budget.max_limit, budget.reset_duration, bool(budget.calendar_aligned)


ONE_SET: ConfigDict = ConfigDict(
    json_schema_extra={
        "not": {
            "required": ["budget", "budgets"],
            "properties": {
                "budget": {"type": "object", "not": {"required": ["id"], "properties": {"id": {"type": "string"}}}},
                "budgets": {"type": "array"},
            },
        }
    }
)
"""refuse_two_sets for the document, as far as it can say it."""


class LimitsRequest(StrictModel):
    """Members shared by the requests that configure an owner of limits."""

    budgets: Budgets | None = Field(
        default=None,
        description="The full set, each reset_duration once. On updates: left out, unchanged; `[]` removes all; "
        "an entry with a stored `id` or reset_duration changes that budget, which keeps its usage; other stored ones go.",
    )
    rate_limit: RateLimitRequest | None = Field(
        default=None, description="On updates: left out, unchanged; `{}` removes it; otherwise all four members are replaced."
    )
    calendar_aligned: bool | None = Field(
        default=None,
        description="Whether windows of days, weeks, months or years follow the calendar (UTC). At first false; left out "
        "on updates, unchanged. Switching it on starts the windows concerned afresh.",
    )


class CreateLimitsRequest(LimitsRequest):
    model_config = ONE_SET

    budget: CreateBudgetRequest | None = Field(default=None, description="The only budget, instead of `budgets`.")

    @model_validator(mode="after")
    def _budgets_said_once(self) -> Self:
        refuse_two_sets(self.budget, self.budgets)
        return self


class UpdateLimitsRequest(LimitsRequest):
    """What is left out, or null, stays as it is."""

    model_config = ONE_SET

    budget: UpdateBudgetRequest | None = Field(
        default=None, description="Change of the only budget, instead of `budgets`: what is sent is replaced; `{}` removes it."
    )
    reset_budget_usage: bool | None = Field(default=None, description="True: what is spent from the budgets becomes 0.")

    @model_validator(mode="after")
    def _budgets_said_once(self) -> Self:
        refuse_two_sets(self.budget, self.budgets)
        return self


class EntityResponse(ResponseModel):
    config_hash: ConfigHash
    created_at: Timestamp
    updated_at: Timestamp


class LimitsResponse(ResponseModel):
    """Members shared by teams, customers, model configs and provider governance."""

    budgets: tuple[Budget, ...] = omitted("Left out when there are none.")
    budget: Budget = omitted("The first of `budgets`, for clients that know one budget only.")
    rate_limit: RateLimit = omitted()
    calendar_aligned: bool


class LimitOwnerResponse(LimitsResponse, EntityResponse):
    id: str
    name: str
    budget_id: str = omitted("The id of `budget`.")
    rate_limit_id: str = omitted()


class EmbeddedCustomer(LimitOwnerResponse):
    """A customer as shown inside what belongs to it: without its teams and keys."""


class EmbeddedTeam(LimitOwnerResponse):
    """A team as shown inside what belongs to it: without its keys."""

    customer_id: str = omitted()
    customer: EmbeddedCustomer = omitted()
    profile: None = Field(description="Of directory synchronisation, which this service does not have.")
    config: None
    claims: None
