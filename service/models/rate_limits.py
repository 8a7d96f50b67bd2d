"""Rate limits as they are shown: tokens and requests per window, each with a window of its own."""

from pydantic import Field

from service.models.responses import ConfigHash, ResponseModel, Timestamp, omitted


class RateLimit(ResponseModel):
    id: str
    token_max_limit: int = omitted("Tokens per window; left out: unlimited.", gt=0)
    token_reset_duration: str = omitted("As it was sent.")
    token_current_usage: int = Field(ge=0)
    token_reserved: int = Field(ge=0, description="Held for requests in flight; not part of `token_current_usage`.")
    token_last_reset: Timestamp
    token_next_reset_at: Timestamp = omitted("When the current token window ends; left out without a duration.")
    request_max_limit: int = omitted("Requests per window; left out: unlimited.", gt=0)
    request_reset_duration: str = omitted("As it was sent.")
    request_current_usage: int = Field(ge=0)
    request_last_reset: Timestamp
    request_next_reset_at: Timestamp = omitted("When the current request window ends; left out without a duration.")
    config_hash: ConfigHash
    created_at: Timestamp
    updated_at: Timestamp


class ListRateLimitsResponse(ResponseModel):
    rate_limits: list[RateLimit]
    count: int = Field(ge=0)
