"""Request bodies become models here, once: JSON decoding, and every validation error as one sentence for a human.

A model says what it wants as a predicate ("must not be blank"); the path of the member is put in front of it here.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from service.errors import InvalidRequest

MAX_SHOWN = 64
"""Longest part of a path repeated back to the client: names inside free-form objects are the client's own."""

_MOST_ERRORS = 1_000

Model = TypeVar("Model", bound=BaseModel)


class InvalidValue(InvalidRequest):
    """Well-formed JSON of the right types, with a value that breaks a rule. On PUT an unknown id is reported before it (404)."""


class MemberError(ValueError):
    """Raised by a validator of a whole object or list to put the blame on one of its members.

    `member` may be a path ("targets[1].key_id"); `wanted` is a predicate ("is required when ..."), never a value that was sent.
    `malformed` ranks the error with wrong types: reported before an unknown id.
    """

    def __init__(self, member: str, wanted: str, *, malformed: bool = False) -> None:
        super().__init__(wanted)
        self.member = member
        self.malformed = malformed


def parse(model: type[Model], body: bytes | Mapping[str, Any]) -> Model:
    """The body as `model`, or InvalidRequest (InvalidValue when only values are wrong) naming the first wrong member.

    A literal `null` is an empty object; a mapping is a part of a body that is decoded already.
    """
    # What model_validate and model_validate_json call, in two thirds of their time.
    validator = model.__pydantic_validator__
    try:
        if isinstance(body, bytes):
            # NaN and Infinity are no JSON, yet the decoder lets them through in members that no model looks at.
            if b"NaN" in body or b"Infinity" in body:
                _refuse_non_numbers(body)
            parsed: Model = validator.validate_json(body, strict=True)
        else:
            parsed = validator.validate_python(body, strict=True)
        return parsed
    except ValidationError as error:
        if isinstance(body, bytes) and body.strip() == b"null":
            return parse(model, {})
        if error.error_count() > _MOST_ERRORS:
            # To look at each would hold up all other callers.
            raise InvalidRequest(f"The body has {error.error_count():,} problems") from None
        raise _invalid(error.errors(include_url=False)) from error


def _refuse_non_numbers(body: bytes) -> None:
    """A text may hold the words."""
    try:
        from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequest(f"The body is invalid JSON: {_shorten(str(error))}") from error


def _invalid(found: list[ErrorDetails]) -> InvalidRequest:
    errors = [error for error in found if not _is_echo(error, found)]
    malformed = [error for error in errors if _is_malformed(error)]
    first = malformed[0] if malformed else errors[0]
    if first["type"] == "json_invalid":
        reason = first.get("ctx", {}).get("error", "it cannot be decoded")
        return InvalidRequest(f"The body is invalid JSON: {reason}")
    if not first["loc"] and first["type"] in OBJECT_WANTED:
        return InvalidRequest("The body is invalid JSON for this call: an object is wanted")
    path, sentence = _describe(first)
    others = len(errors) - 1
    if others:
        sentence += f" (and {others} more {'problem' if others == 1 else 'problems'})"
    return (InvalidRequest if malformed else InvalidValue)(sentence, param=path or None)


def _is_echo(error: ErrorDetails, found: list[ErrorDetails]) -> bool:
    """Wrong entries are not counted as entries, so a list of nothing else is also said to be too short."""
    place = error["loc"]
    return error["type"] == "too_short" and any(
        other["loc"][: len(place)] == place and len(other["loc"]) > len(place) for other in found
    )


def _is_malformed(error: ErrorDetails) -> bool:
    if _is_missing(error):
        return False
    if error["type"] in RULES:
        if error["type"] == "literal_error":
            return not isinstance(error["input"], str)
        cause = error.get("ctx", {}).get("error")
        return isinstance(cause, MemberError) and cause.malformed
    return True


def _is_missing(error: ErrorDetails) -> bool:
    """A required member that is null is as good as absent."""
    null_member = error["input"] is None and bool(error["loc"]) and isinstance(error["loc"][-1], str)
    return error["type"] == "missing" or null_member


def _describe(error: ErrorDetails) -> tuple[str, str]:
    """Path of the member and a sentence about it."""
    path = path_of(error["loc"])
    context = error.get("ctx", {})
    if error["type"] in ("value_error", "assertion_error"):
        cause = context.get("error")
        if isinstance(cause, MemberError):
            path = _join(path, cause.member)
        wanted = str(cause)
    elif _is_missing(error):
        wanted = "is required"
    else:
        wanted = _wanted(error["type"], context)
    return path, f"{path} {wanted}" if path else wanted


def path_of(location: tuple[int | str, ...]) -> str:
    """('budgets', 0, 'max_limit') is budgets[0].max_limit."""
    path = ""
    for part in location:
        if part == "[key]":
            continue
        path = _join(path, f"[{part}]" if isinstance(part, int) else _shorten(part))
    return path


def _join(path: str, member: str) -> str:
    if not path or not member or member.startswith("["):
        return path + member
    return f"{path}.{member}"


def _shorten(text: str) -> str:
    shown = json.dumps(text)[1:-1]
    return shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}..."


OBJECT_WANTED = ("model_type", "model_attributes_type", "dataclass_type", "dict_type")

PREDICATES: dict[str, str] = {
    "string_type": "must be a string",
    "string_unicode": "must be a string of Unicode characters",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "int_parsing": "must be an integer",
    "int_parsing_size": "is too large an integer",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "list_type": "must be an array",
    "tuple_type": "must be an array",
    "none_required": "must be null",
    **dict.fromkeys(OBJECT_WANTED, "must be an object"),
}

LIMITS: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda context: f"must be greater than {_plain(context['gt'])}",
    "greater_than_equal": lambda context: f"must not be less than {_plain(context['ge'])}",
    "less_than": lambda context: f"must be less than {_plain(context['lt'])}",
    "less_than_equal": lambda context: f"must not be greater than {_plain(context['le'])}",
    "string_too_short": lambda context: (
        "must not be empty" if context["min_length"] == 1 else f"must have at least {context['min_length']} characters"
    ),
    "string_too_long": lambda context: f"must not be longer than {_plain(context['max_length'])} characters",
    "too_short": lambda context: (
        "must not be empty" if context["min_length"] == 1 else f"must have at least {context['min_length']} entries"
    ),
    "too_long": lambda context: f"must not have more than {_plain(context['max_length'])} entries",
    "literal_error": lambda context: f"must be one of {context['expected']}".replace("'", '"'),
    "enum": lambda context: f"must be one of {context['expected']}".replace("'", '"'),
}

RULES = frozenset((*LIMITS, "value_error", "assertion_error", "finite_number"))
"""Types of errors about a value; the others are about its JSON type."""


def _wanted(error_type: str, context: dict[str, Any]) -> str:
    limit = LIMITS.get(error_type)
    return limit(context) if limit is not None else PREDICATES.get(error_type, "is not valid")


def _plain(number: float) -> str:
    """9000000.0 is 9000000: a bound, as a person would write it."""
    return str(int(number)) if number == int(number) else str(number)
