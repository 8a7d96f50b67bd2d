"""What a gateway may ask: reserve, settle, release, renew, explain, batch. models/enforcement_responses.py is what it is told.

An absent member and a null one mean the same: not supplied.
"""

import re
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, AliasChoices, Field, JsonValue, StringConstraints, model_validator

from service.durations import parse_duration
from service.models.limits import LARGEST_COUNT
from service.models.parsing import MemberError
from service.models.request_types import DEFAULT_REQUEST_TYPE, PricedRequestType
from service.models.strict import StrictModel
from service.models.text import MAX_NAME, without_nul
from service.money import MAX_DOLLARS

MAX_REQUEST_ID = 128
MAX_OPERATIONS = 256
SHORTEST_TTL_MS = 1_000
LONGEST_TTL_MS = 86_400_000
DEFAULT_TTL = "10m"
MAX_TEXTS = 256
"""Headers of a request, and its query parameters."""
LONGEST_TEXT = 65_536
"""Characters of all values of either together."""

_PRINTABLE = r"^[^\u0000-\u001f\u007f]{1,128}$"
"""For the document; the rule itself is str.isprintable."""
_SIZE = r"[0-9]{1,6}x[0-9]{1,6}"
_is_size = re.compile(_SIZE).fullmatch


def printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must hold printable characters only")
    return text


def _lease(text: str) -> str:
    if not SHORTEST_TTL_MS <= parse_duration(text).length_ms <= LONGEST_TTL_MS:
        raise ValueError("must be between 1s and 24h")
    return text


def _width_and_height(text: str) -> str:
    if not _is_size(text):
        raise ValueError("must be width and height in pixels, such as 1024x1024: leave it out where it is not known")
    return text


RequestId = Annotated[
    str,
    Field(min_length=1, max_length=MAX_REQUEST_ID, json_schema_extra={"pattern": _PRINTABLE}),
    AfterValidator(printable),
]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME), AfterValidator(without_nul)]
"""Providers and models as the request names them: kept as sent, no registry of models to check against."""

Tokens = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Amount = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Cost = Annotated[float, Field(ge=0, le=MAX_DOLLARS)]
Seconds = Annotated[float, Field(ge=0, le=LARGEST_COUNT)]
Size = Annotated[
    str,
    Field(examples=["1024x1024"], json_schema_extra={"pattern": f"^{_SIZE}$"}),
    AfterValidator(_width_and_height),
]
Ttl = Annotated[str, Field(examples=[DEFAULT_TTL, "30s", "1h30m"]), AfterValidator(_lease)]


def _by_lower_name(texts: dict[str, str]) -> dict[str, str]:
    """Of names that differ in letter case alone the last one counts. Sorted, so that the order sent plays no part."""
    if sum(map(len, texts.values())) > LONGEST_TEXT:
        raise ValueError(f"must not hold more than {LONGEST_TEXT:,} characters together")
    lowered = {name.lower(): text for name, text in texts.items()}
    return dict(sorted(lowered.items()))


NamedTexts = Annotated[
    dict[Annotated[str, Field(max_length=MAX_NAME)], Annotated[str, Field(max_length=LONGEST_TEXT)]],
    Field(max_length=MAX_TEXTS),
    AfterValidator(_by_lower_name),
]
"""Headers or query parameters. Bounded because conditions of routing rules may loop over them."""
VirtualKeyValue = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
RequestType = Annotated[str, Field(min_length=1, max_length=64)]


def _refuse_large_sum(first_name: str, first: int | None, second_name: str, second: int | None) -> None:
    if (first or 0) + (second or 0) > LARGEST_COUNT:
        raise MemberError(second_name, f"must not be greater than {LARGEST_COUNT} together with {first_name}")


class _RequestOfKey(StrictModel):
    """What says which limits apply."""

    provider: ModelName | None = Field(
        None, description="Unset: taken from a model of the form `provider/model`, else chosen by the weights of the key."
    )
    model: ModelName | None = Field(None, description="Unset: limits of models do not apply.")
    request_type: RequestType | None = Field(
        None,
        description=f"Says which prices apply: {', '.join(get_args(PricedRequestType))}, also with _stream; others have none. "
        f"Unset: {DEFAULT_REQUEST_TYPE}.",
    )
    virtual_key: VirtualKeyValue | None = Field(
        None, description="The secret of the key whose quota is used, instead of a header such as x-bf-vk."
    )


class ReserveRequest(_RequestOfKey):
    """May this request go? Holds what it is estimated to use until it is settled or released."""

    request_id: RequestId | None = Field(
        None, description="Names the request in every later call; the same id again repeats the first answer. Unset: one is made."
    )
    input_tokens: Tokens | None = Field(None, description="Estimate of the prompt.")
    max_output_tokens: Tokens | None = Field(None, description="The most that may be generated.")
    tokens: Tokens | None = Field(None, description="The estimate of both together; wins over the two members above.")
    cost: Cost | None = Field(None, description="Estimate in US dollars; unset, it follows from the price of the model.")
    headers: NamedTexts | None = Field(
        None, description="Headers of the client's request, for routing rules. Letter case of names plays no part."
    )
    params: NamedTexts | None = Field(None, description="The same for its query parameters.")
    ttl: Ttl | None = Field(
        None, description=f"How long the hold lasts without a settle, release or renew: 1s to 24h. Unset: {DEFAULT_TTL}."
    )

    @model_validator(mode="after")
    def _countable(self) -> Self:
        _refuse_large_sum("input_tokens", self.input_tokens, "max_output_tokens", self.max_output_tokens)
        return self

    @property
    def estimated_tokens(self) -> int:
        if self.tokens is not None:
            return self.tokens
        return (self.input_tokens or 0) + (self.max_output_tokens or 0)

    @property
    def ttl_ms(self) -> int:
        return parse_duration(self.ttl or DEFAULT_TTL).length_ms


class ExplainRequest(ReserveRequest):
    """The same as reserve; nothing changes and nothing is held."""


class Usage(StrictModel):
    """What a request really used. Members other than the first two are parts of them, or other units that have a price."""

    input_tokens: Tokens | None = Field(None, validation_alias=AliasChoices("input_tokens", "gen_ai.usage.input_tokens"))
    output_tokens: Tokens | None = Field(None, validation_alias=AliasChoices("output_tokens", "gen_ai.usage.output_tokens"))
    cached_input_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None
    input_image_tokens: Tokens | None = None
    output_image_tokens: Tokens | None = None
    input_audio_tokens: Tokens | None = None
    output_audio_tokens: Tokens | None = None
    characters: Amount | None = None
    seconds: Seconds | None = Field(None, description="Audio or video produced, or audio transcribed.")
    input_seconds: Seconds | None = Field(None, description="Video taken in.")
    images: Amount | None = Field(None, description="Images made; 1 for image requests when unset.")
    input_images: Amount | None = None
    size: Size | None = None
    quality: Annotated[str, Field(max_length=64)] | None = None
    searches: Amount | None = None
    sessions: Amount | None = None
    service_tier: Literal["default", "priority"] | None = None
    batch: bool | None = None
    provider_key_id: Annotated[str, Field(max_length=MAX_NAME)] | None = Field(
        None, description="The provider key that served the request, for prices of that key."
    )
    cost: Cost | None = Field(None, description="US dollars, when the provider reported them: wins over all prices.")

    @model_validator(mode="after")
    def _countable(self) -> Self:
        _refuse_large_sum("input_tokens", self.input_tokens, "output_tokens", self.output_tokens)
        return self

    @property
    def total_tokens(self) -> int:
        return (self.input_tokens or 0) + (self.output_tokens or 0)


class SettleRequest(Usage, _RequestOfKey):
    """Charge what was really used, give the rest back. Provider, model and key are needed only for an id that is not known."""

    reservation_id: RequestId
    status: Literal["success", "failed"] | None = Field(
        None, description="failed: tokens and cost are charged, the request itself is given back. Unset: success."
    )

    @property
    def uses_only_tokens(self) -> bool:
        """Of input and of output, no parts and nothing else that has a price."""
        return self.model_fields_set <= _WITHOUT_OTHER_UNITS

    @property
    def tells_nothing(self) -> bool:
        """Neither what was used nor what it cost."""
        return self.cost is None and all(getattr(self, member) is None for member in Usage.model_fields)


_WITHOUT_OTHER_UNITS: Final = {"input_tokens", "output_tokens"} | (SettleRequest.model_fields.keys() - Usage.model_fields.keys())


class ReleaseRequest(StrictModel):
    """The request never ran: give everything back."""

    reservation_id: RequestId


class RenewRequest(StrictModel):
    """A stream is still running: hold on to what it holds, for `ttl` from now."""

    reservation_id: RequestId
    ttl: Ttl | None = Field(None, description=f"1s to 24h. Unset: {DEFAULT_TTL}.")

    @property
    def ttl_ms(self) -> int:
        return parse_duration(self.ttl or DEFAULT_TTL).length_ms


class BatchRequest(StrictModel):
    # Of any kind: one that is wrong does not spoil the others.
    operations: Annotated[tuple[JsonValue, ...], Field(max_length=MAX_OPERATIONS)] = Field(
        description="Each is the body of one call with `op`: reserve, settle, release, renew or explain."
    )
