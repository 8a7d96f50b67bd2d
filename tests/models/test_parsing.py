"""Decoding of bodies, the sentence that names what is wrong, and which kind of wrong it is."""

import json
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Field, field_validator, model_validator

from service.errors import InvalidRequest
from service.models.parsing import InvalidValue, MemberError, parse
from service.models.strict import StrictModel


class Part(StrictModel):
    size: Annotated[float, Field(gt=0, le=9_000_000)]
    colour: Literal["red", "blue"] = "red"
    label: Annotated[str, Field(min_length=1, max_length=5)] | None = None

    @field_validator("colour")
    @classmethod
    def _not_blue(cls, colour: str) -> str:
        if colour == "blue":
            raise ValueError("must not be blue")
        return colour

    @model_validator(mode="after")
    def _seven_needs_a_label(self) -> Self:
        if self.size == 7 and self.label is None:
            raise MemberError("label", "is required with a size of 7")
        if self.size == 8:
            raise MemberError("colour", "is not for a size of 8", malformed=True)
        return self


class Whole(StrictModel):
    parts: Annotated[tuple[Part, ...], Field(min_length=1, max_length=3)]
    count: Annotated[int, Field(ge=0)] = 0
    flag: bool | None = None
    numbers: dict[str, float] | None = None


class Optional(StrictModel):
    name: str | None = None


NOT_JSON = [
    b"",
    b"  ",
    b"{",
    b"{} {}",
    b"{'parts': []}",
    b'{"parts": [{"size": NaN}]}',
    b'{"unknown": NaN}',
    b'{"unknown": [-Infinity]}',
    b'{"parts": "\xff"}',
    b'{"parts": "\\ud800"}',
    b"\xef\xbb\xbf{}",
    b'{"unknown": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    b"[]",
    b'[{"parts": []}]',
    b"1",
    b'"text"',
    b"true",
]


@pytest.mark.parametrize("body", NOT_JSON)
def test_what_is_no_json_object_is_malformed(body: bytes):
    with pytest.raises(InvalidRequest, match="invalid JSON") as caught:
        parse(Whole, body)
    assert type(caught.value) is InvalidRequest
    assert caught.value.param is None


@pytest.mark.parametrize("body", [b"null", b" null\n", b"{}", b'{"other": 1}', b'{"name": null}', b'{"other": "NaN"}'])
def test_null_and_unknown_members_are_nothing(body: bytes):
    assert parse(Optional, body) == Optional()


def test_the_last_of_two_members_counts():
    assert parse(Optional, b'{"name": "a", "name": "b"}').name == "b"


MALFORMED = [
    (b'{"parts": {}}', "parts must be an array", "parts"),
    (b'{"parts": [4]}', "parts[0] must be an object", "parts[0]"),
    (b'{"parts": [null]}', "parts[0] must be an object", "parts[0]"),
    (b'{"parts": [{"size": "1"}]}', "parts[0].size must be a number", "parts[0].size"),
    (b'{"parts": [{"size": true}]}', "parts[0].size must be a number", "parts[0].size"),
    (b'{"parts": [{"size": 1}, {"size": 1, "label": 5}]}', "parts[1].label must be a string", "parts[1].label"),
    (b'{"parts": [{"size": 1, "colour": 1}]}', 'parts[0].colour must be one of "red" or "blue"', "parts[0].colour"),
    (b'{"parts": [{"size": 1}], "count": 1.5}', "count must be an integer", "count"),
    (b'{"parts": [{"size": 1}], "count": 1.0}', "count must be an integer", "count"),
    (b'{"parts": [{"size": 1}], "count": "1"}', "count must be an integer", "count"),
    (b'{"parts": [{"size": 1}], "flag": 0}', "flag must be true or false", "flag"),
    (b'{"parts": [{"size": 1}], "numbers": []}', "numbers must be an object", "numbers"),
    (b'{"parts": [{"size": 1}], "numbers": {"a": "1"}}', "numbers.a must be a number", "numbers.a"),
    (b'{"parts": [{"size": 8}]}', "parts[0].colour is not for a size of 8", "parts[0].colour"),
]

WRONG = [
    (b"{}", "parts is required", "parts"),
    (b"null", "parts is required", "parts"),
    (b'{"parts": null}', "parts is required", "parts"),
    (b'{"parts": []}', "parts must not be empty", "parts"),
    (b'{"parts": [{}]}', "parts[0].size is required", "parts[0].size"),
    (b'{"parts": [{"size": null}]}', "parts[0].size is required", "parts[0].size"),
    (b'{"parts": [{"size": 0}]}', "parts[0].size must be greater than 0", "parts[0].size"),
    (b'{"parts": [{"size": 9000000.5}]}', "parts[0].size must not be greater than 9000000", "parts[0].size"),
    (b'{"parts": [{"size": 1e999}]}', "parts[0].size must be a finite number", "parts[0].size"),
    (b'{"parts": [{"size": 1, "label": ""}]}', "parts[0].label must not be empty", "parts[0].label"),
    (b'{"parts": [{"size": 1, "label": "123456"}]}', "parts[0].label must not be longer than 5 characters", "parts[0].label"),
    (b'{"parts": [{"size": 1, "colour": "red "}]}', 'parts[0].colour must be one of "red" or "blue"', "parts[0].colour"),
    (b'{"parts": [{"size": 1, "colour": "blue"}]}', "parts[0].colour must not be blue", "parts[0].colour"),
    (b'{"parts": [{"size": 7}]}', "parts[0].label is required with a size of 7", "parts[0].label"),
    (b'{"parts": [{"size": 1}], "count": -1}', "count must not be less than 0", "count"),
]


@pytest.mark.parametrize("body, message, param", MALFORMED)
def test_wrong_types(body: bytes, message: str, param: str):
    with pytest.raises(InvalidRequest) as caught:
        parse(Whole, body)
    assert (type(caught.value), caught.value.message, caught.value.param) == (InvalidRequest, message, param)


@pytest.mark.parametrize("body, message, param", WRONG)
def test_wrong_values(body: bytes, message: str, param: str):
    with pytest.raises(InvalidValue) as caught:
        parse(Whole, body)
    assert (caught.value.message, caught.value.param) == (message, param)


def test_more_problems_are_counted_and_wrong_types_come_first():
    with pytest.raises(InvalidValue) as values:
        parse(Whole, b'{"parts": [{"size": 0}, {"size": -1}], "count": -1}')
    assert values.value.message == "parts[0].size must be greater than 0 (and 2 more problems)"
    with pytest.raises(InvalidRequest) as types:
        parse(Whole, b'{"parts": [{"size": 0}], "count": "x"}')
    assert types.value.message == "count must be an integer (and 1 more problem)"
    assert type(types.value) is InvalidRequest


SECRET = "sk-" + "x" * 10_000


@pytest.mark.parametrize(
    "members",
    [
        {"parts": [{"size": SECRET}]},
        {"parts": [{"size": 1, "label": SECRET}]},
        {"parts": [{"size": 1, "colour": SECRET}]},
        {"parts": SECRET},
        {"numbers": {SECRET: "text"}, "parts": [{"size": 1}]},
    ],
)
def test_values_are_not_repeated_and_names_only_in_part(members: dict[str, Any]):
    with pytest.raises(InvalidRequest) as caught:
        parse(Whole, json.dumps(members).encode())
    assert len(caught.value.message) < 200
    assert "sk-" not in caught.value.message or caught.value.message.startswith("numbers.sk-xxx")


def test_very_many_problems_are_counted_only():
    class Many(StrictModel):
        sizes: list[int]

    with pytest.raises(InvalidRequest, match=r"^The body has 5,000 problems$"):
        parse(Many, {"sizes": ["x"] * 5_000})
