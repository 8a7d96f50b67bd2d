"""What gateways are told: admissions, refusals, settlements, explanations. They make the OpenAPI document and test answers."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from service.models.costs import UsedPrice
from service.models.responses import BifrostError, Dollars, ResponseModel, Timestamp, omitted
from service.models.routing_evaluation import AppliedRoute

Decision = Literal[
    "allow",
    "virtual_key_not_found",
    "virtual_key_required",
    "virtual_key_blocked",
    "provider_blocked",
    "model_blocked",
    "budget_exceeded",
    "token_limited",
    "request_limited",
    "rate_limited",
]
RetryAfter = Annotated[int, Field(ge=1, description="Seconds after which trying again makes sense.")]


class QuotaLimit(ResponseModel):
    """One limit with what is used of it: in US dollars for budgets, else in tokens or requests."""

    scope: Literal["provider", "model_config", "provider_config", "virtual_key", "team", "customer"]
    owner_id: str
    limit_id: str = Field(description="The id of the budget or the rate limit.")
    kind: Literal["budget", "tokens", "requests"]
    limit: float
    usage: float
    reserved: float = Field(description="Held for requests in flight.")
    remaining: float
    window: str = Field(description="The reset duration.", examples=["1d"])
    resets_at: Timestamp


class QuotaVirtualKey(ResponseModel):
    id: str
    name: str


class Taken(ResponseModel):
    requests: int
    tokens: int
    cost: Dollars


class Route(ResponseModel):
    provider: str | None = Field(description="Null when none was named and there was none to choose.")
    model: str | None
    key_ids: tuple[str, ...] = Field(description='Keys of the provider that may serve: `["*"]` any, `[]` none.')
    virtual_key: QuotaVirtualKey | None
    team_id: str | None
    customer_id: str | None
    fallbacks: tuple[str, ...] = Field(description="`provider/model` to try should the provider fail, in this order.")
    route: AppliedRoute = omitted("Where a routing rule sent the request; left out when none matched.")


class ReserveResponse(Route):
    """The request may go."""

    decision: Literal["allow"]
    degraded: Literal[True] = omitted("Redis was away: admitted uncounted, as the operator wants it.")
    reservation_id: str = Field(description="The request_id.")
    expires_at: Timestamp | None = Field(description="When what is held is given back. Null when nothing is held (degraded).")
    replayed: bool = Field(description="This is the first answer once more; nothing was taken again.")
    reserved: Taken
    priced: bool = Field(description="Whether the cost is known.")
    price: UsedPrice | None = Field(description="Where the cost comes from. Null: nobody knows it.")
    limits: tuple[QuotaLimit, ...] = Field(description="All that bind this request, the tightest first.")


class RefusalResponse(BifrostError):
    """The request may not go, or the caller may not ask."""

    decision: Decision = omitted()
    retry_after: RetryAfter = omitted()
    limit: QuotaLimit = omitted("The first limit in order of checks that refuses.")
    violations: tuple[QuotaLimit, ...] = omitted("All limits that refuse.")
    route: AppliedRoute = omitted("The routing rule that led there.")


class ProblemResponse(ResponseModel):
    """The same as RFC 9457 has it, for callers that accept application/problem+json."""

    type: str
    title: str
    status: int
    detail: str
    violated_policies: tuple[str, ...] = Field(
        default=(), alias="violated-policies", description="Names of policies in the RateLimit-Policy header."
    )
    decision: Decision = omitted()
    retry_after: RetryAfter = omitted()
    limit: QuotaLimit = omitted()
    violations: tuple[QuotaLimit, ...] = omitted()
    route: AppliedRoute = omitted()


class Overrun(ResponseModel):
    tokens: int
    cost: Dollars


class SettleResponse(ResponseModel):
    cost: Dollars
    tokens: int
    priced: bool
    price: UsedPrice | None = Field(description="Where the cost comes from. Null: nobody knows it.")
    replayed: bool = Field(description="It was settled before: these are the numbers of that time.")
    overrun: Overrun = Field(description="What was used beyond what was held.")
    limits: tuple[QuotaLimit, ...]


class ReleaseResponse(ResponseModel):
    released: bool = Field(description="False for an id that is not known.")


class RenewResponse(ResponseModel):
    expires_at: Timestamp


class ExplainedLimit(QuotaLimit):
    passed: bool
    reason: str


class Check(ResponseModel):
    """One step of a decision."""

    check: str
    passed: bool
    reason: str
    limit_id: str = omitted()


class Estimate(ResponseModel):
    tokens: int
    cost: Dollars


class ExplainResponse(ResponseModel):
    """What reserve would answer now, and why."""

    decision: Decision
    status: int = Field(description="The HTTP status that reserve would answer.")
    message: str = omitted()
    retry_after: RetryAfter = omitted()
    limit: QuotaLimit = omitted()
    violations: tuple[QuotaLimit, ...] = omitted()
    provider: str | None = omitted()
    model: str | None = omitted()
    key_ids: tuple[str, ...] = omitted()
    virtual_key: QuotaVirtualKey | None = omitted()
    team_id: str | None = omitted()
    customer_id: str | None = omitted()
    fallbacks: tuple[str, ...] = omitted()
    route: AppliedRoute = omitted("What routing rules made of the request; left out when none is in scope.")
    enforcement: Literal["postpaid", "clamp", "strict"] = omitted()
    reserved: Taken = omitted("What would be taken.")
    estimate: Estimate
    priced: bool
    price: UsedPrice | None = Field(description="Where the cost comes from. Null: nobody knows it.")
    checks: tuple[Check, ...] = Field(description="Every step, in order, up to the first about the key that fails.")
    limits: tuple[ExplainedLimit, ...] = Field(description="Every limit that applies, in order of checks.")


class OperationResult(ResponseModel):
    status: int = Field(description="The HTTP status of the same call made alone.")
    body: dict[str, JsonValue]


class BatchResponse(ResponseModel):
    results: tuple[OperationResult, ...] = Field(description="In the order of the operations.")
