"""Budgets as they are shown: dollars per window, with what is spent and what is left."""

from pydantic import Field

from service.models.responses import ConfigHash, Dollars, ResponseModel, Timestamp, omitted


class Budget(ResponseModel):
    id: str
    max_limit: Dollars = Field(gt=0)
    reset_duration: str = Field(description="As it was sent: `24h` stays `24h`.", examples=["1d", "1M"])
    calendar_aligned: bool = Field(
        description="Whether the window follows the calendar (UTC): by its own flag or its owner's, from a day up."
    )
    last_reset: Timestamp = Field(description="Start of the current window.")
    current_usage: Dollars = Field(ge=0, description="Spent in the current window.")
    reserved: Dollars = Field(ge=0, description="Held for requests in flight; not part of `current_usage`.")
    remaining: Dollars = Field(ge=0, description="`max_limit` less `current_usage` and `reserved`, never below 0.")
    next_reset_at: Timestamp = Field(description="When the current window ends.")
    team_id: str = omitted("The owner is a team.")
    virtual_key_id: str = omitted("The owner is a virtual key.")
    provider_config_id: int = omitted("The owner is a provider config of a virtual key.")
    customer_id: str = omitted("The owner is a customer.")
    model_config_id: str = omitted("The owner is a model config.")
    config_hash: ConfigHash
    created_at: Timestamp
    updated_at: Timestamp


class ListBudgetsResponse(ResponseModel):
    budgets: list[Budget]
    count: int = Field(ge=0)
