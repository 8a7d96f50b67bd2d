"""Bounded kinds of text that requests carry: names, descriptions, references to other entities, times."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, StringConstraints

from service.models.parsing import MemberError

MAX_NAME = 255
MAX_DESCRIPTION = 10_000
MAX_ENTRIES = 1_000

_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")

NO_NUL = r"^[^\u0000]*$"
_SOMETHING = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
"""For the document: no NUL, and not blank."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def without_nul(text: str) -> str:
    """A NUL separates the parts of an index entry in Redis."""
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    return text


Name = Annotated[
    str,
    Field(min_length=1, max_length=MAX_NAME, json_schema_extra={"pattern": _SOMETHING}, examples=["growth"]),
    AfterValidator(not_blank),
    AfterValidator(without_nul),
]
"""Kept as sent: spaces around it are part of the name."""

TrimmedName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME),
    Field(json_schema_extra={"pattern": _SOMETHING}),
    AfterValidator(without_nul),
]

Reference = Annotated[str, Field(max_length=MAX_NAME, json_schema_extra={"pattern": NO_NUL}), AfterValidator(without_nul)]
"""The id of something else; what an empty one means is for the member to say."""

Description = Annotated[str, Field(max_length=MAX_DESCRIPTION)]


def parse_time_ms(text: str) -> int:
    """Milliseconds since the epoch of an RFC 3339 time; ValueError when it is none."""
    if not _RFC_3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time in the future, such as 2030-01-31T00:00:00Z")
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be an RFC 3339 time in the future: there is no such day or hour") from error
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _time_or_empty(text: str) -> str:
    if text:
        try:
            parse_time_ms(text)
        except ValueError as error:
            # Clients of the API we follow see it with the malformed bodies, before an unknown id.
            raise MemberError("", str(error), malformed=True) from error
    return text


ExpiresAt = Annotated[
    str,
    Field(examples=["2030-01-31T00:00:00Z"], json_schema_extra={"anyOf": [{"format": "date-time"}, {"const": ""}]}),
    AfterValidator(_time_or_empty),
]
"""Whether it lies in the future is for the rules to say: only they know the time."""


def not_both(first: str, first_type: str, second: str, second_type: str) -> ConfigDict:
    """refuse_both for the document."""
    shape: dict[str, JsonValue] = {
        "required": [first, second],
        "properties": {first: {"type": first_type}, second: {"type": second_type}},
    }
    return ConfigDict(json_schema_extra={"not": shape})


def all_of(*refused: ConfigDict) -> ConfigDict:
    """Several of not_both."""
    shapes = [extra["not"] for config in refused if isinstance(extra := config.get("json_schema_extra"), dict)]
    return ConfigDict(json_schema_extra={"not": {"anyOf": shapes}})


def refuse_both(first_name: str, first: object, second_name: str, second: object, *, malformed: bool = False) -> None:
    """Two members that exclude each other."""
    if first is not None and second is not None:
        raise MemberError(second_name, f"must not be sent together with {first_name}", malformed=malformed)
