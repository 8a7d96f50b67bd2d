"""Budgets and rate limits as requests carry them. An absent member and a null one mean the same: not supplied."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from service.durations import parse_duration
from service.models.parsing import MemberError
from service.models.strict import StrictModel
from service.money import MAX_DOLLARS

SMALLEST_LIMIT_DOLLARS = 1e-9
LARGEST_COUNT = 2**53 - 1
"""Above it Lua, and JSON readers that keep numbers as floats, no longer count exactly."""

CANNOT_ALIGN = "needs a reset_duration of days, weeks, months or years"


def _at_least_a_nano_dollar(dollars: float) -> float:
    if dollars < SMALLEST_LIMIT_DOLLARS:
        raise ValueError("must be at least a billionth of a dollar")
    return dollars


def _a_duration(text: str) -> str:
    parse_duration(text)
    return text


Dollars = Annotated[
    float,
    Field(gt=0, le=MAX_DOLLARS, json_schema_extra={"minimum": SMALLEST_LIMIT_DOLLARS}),
    AfterValidator(_at_least_a_nano_dollar),
]
DurationText = Annotated[str, Field(examples=["1h30m", "1d", "1w", "1M", "monthly"]), AfterValidator(_a_duration)]
Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]


class CreateBudgetRequest(StrictModel):
    """Dollars allowed per window."""

    id: str | None = Field(
        default=None, description="On updates: the budget of this owner to change; empty: none. Ignored on creation."
    )
    max_limit: Dollars = Field(description="US dollars allowed per window.")
    reset_duration: DurationText = Field(
        description="Length of the window: a clock duration (s, m, h and smaller), or days (d), weeks (w), months of 30 days (M) "
        "or years of 365 days (Y). The text is kept as sent."
    )
    calendar_aligned: bool | None = Field(
        default=False,
        description="Follow calendar days, weeks from Monday, months or years (UTC) instead of rolling. Not below a day.",
    )

    @model_validator(mode="after")
    def _alignment_needs_a_period(self) -> Self:
        if self.calendar_aligned and not can_align(self.reset_duration):
            raise MemberError("calendar_aligned", CANNOT_ALIGN)
        return self


class UpdateBudgetRequest(StrictModel):
    """Change of an owner's single budget: what is supplied replaces what is stored; neither limit nor duration removes it."""

    id: str | None = Field(default=None, description="Says beside `budgets` that this repeats the first of them. Ignored alone.")
    max_limit: Dollars | None = Field(default=None, description="US dollars allowed per window.")
    reset_duration: DurationText | None = Field(default=None, description="Length of the window, as on creation.")
    calendar_aligned: bool | None = Field(
        default=None, description="Follow the calendar (UTC) instead of rolling. Not below a day."
    )

    @property
    def removes(self) -> bool:
        return self.max_limit is None and self.reset_duration is None


class RateLimitRequest(StrictModel):
    """Tokens and requests allowed per window, each with a window of its own. All four members are replaced together."""

    token_max_limit: Count | None = Field(default=None, description="Tokens allowed per token window. Unset: unlimited.")
    token_reset_duration: DurationText | None = Field(
        default=None, description="Length of the token window. Needed with token_max_limit."
    )
    request_max_limit: Count | None = Field(default=None, description="Requests allowed per request window. Unset: unlimited.")
    request_reset_duration: DurationText | None = Field(
        default=None, description="Length of the request window. Needed with request_max_limit."
    )

    @model_validator(mode="after")
    def _a_limit_needs_its_window(self) -> Self:
        if self.token_max_limit is not None and self.token_reset_duration is None:
            raise MemberError("token_reset_duration", "is required with token_max_limit")
        if self.request_max_limit is not None and self.request_reset_duration is None:
            raise MemberError("request_reset_duration", "is required with request_max_limit")
        return self

    @property
    def limits_nothing(self) -> bool:
        return self.token_max_limit is None and self.request_max_limit is None

    @property
    def is_empty(self) -> bool:
        return self.limits_nothing and self.token_reset_duration is None and self.request_reset_duration is None


def can_align(reset_duration: str) -> bool:
    return parse_duration(reset_duration).unit != ""


def _each_duration_once(budgets: tuple[CreateBudgetRequest, ...]) -> tuple[CreateBudgetRequest, ...]:
    seen: set[str] = set()
    for index, budget in enumerate(budgets):
        if budget.reset_duration in seen:
            raise MemberError(f"[{index}].reset_duration", "must not be that of another entry")
        seen.add(budget.reset_duration)
    return budgets


BudgetRequests = Annotated[tuple[CreateBudgetRequest, ...], AfterValidator(_each_duration_once)]
"""A list of budgets: no duration twice, compared as text ("24h" is not "1d")."""
