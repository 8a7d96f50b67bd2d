"""What every response is made of: times, members that may be left out, the plain message and the error bodies.

Responses are built by api/rendering/ and never pass through these models at run time: they make the OpenAPI document and are
the yardstick of the tests.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class ResponseModel(BaseModel):
    """Members may be added in later versions: a client ignores those it does not know."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)


def omitted(description: str | None = None, **constraints: Any) -> Any:
    """A member that is left out when it has nothing to say; it is never null."""
    return Field(default=None, description=description, **constraints)


Timestamp = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$",
        json_schema_extra={"format": "date-time"},
        description="RFC 3339, UTC, milliseconds.",
        examples=["2026-01-31T00:00:00.000Z"],
    ),
]

Dollars = Annotated[float, Field(description="US dollars, to the billionth.")]

ConfigHash = Annotated[str, Field(description="Always empty: nothing here comes from a configuration file.")]


class MessageResponse(ResponseModel):
    message: str


class ErrorDetail(ResponseModel):
    message: str = Field(description="For people; programs look at the status.")
    type: str = omitted()
    code: str = omitted()
    param: str = omitted("The member at fault, such as `budgets[0].max_limit`.")
    event_id: str = omitted()


class BifrostError(ResponseModel):
    """The standard error, under the name that clients of this API know: the body of every 4xx and 5xx."""

    is_bifrost_error: bool
    status_code: int = Field(description="The HTTP status.")
    error: ErrorDetail
    extra_fields: dict[str, JsonValue]
    event_id: str = omitted()
    type: str = omitted("Kind of the error, where programs can act on it.")


class QuotaError(ResponseModel):
    """Refusal of the quota endpoint."""

    error: str


class Page(ResponseModel):
    """What every paged list says beside its entries."""

    count: int = Field(ge=0, description="Entries in this response.")
    total_count: int = Field(ge=0, description="Entries that match, on all pages.")
    limit: int = Field(ge=0, description="The page size in force; all entries when paging is off.")
    offset: int = Field(ge=0)


class StatusResponse(ResponseModel):
    status: Literal["ok"]


class HealthComponents(ResponseModel):
    db_pings: Literal["ok"]


class HealthResponse(StatusResponse):
    components: HealthComponents
