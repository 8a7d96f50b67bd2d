"""Templates: what is filled in stands where the placeholders were, and nothing else changes."""

from typing import Any

import orjson
import pytest

from service.api.rendering.templates import JsonTemplate, fill, placeholder_for, template_of
from service.api.rendering.times import FromNow, timestamp

NOW_MS = 1_790_000_000_000


@pytest.mark.parametrize(
    ("text", "filled"), [(b"", b""), (b"a", b"a"), (b"@", b"1"), (b"@@", b"12"), (b"a@b@", b"a1b2"), (b"@a", b"1a")]
)
def test_placeholders_may_be_anywhere(text: bytes, filled: bytes):
    assert fill(template_of(text, b"@"), [b"1", b"2"][: text.count(b"@")]) == filled


@pytest.mark.parametrize("texts", [[], [b"1"], [b"1", b"2", b"3"]])
def test_too_few_and_too_many_texts_are_no_answer(texts: list[bytes]):
    with pytest.raises(ValueError, match="size"):
        fill(template_of(b"a@b@c", b"@"), texts)


def test_what_was_filled_in_does_not_stay():
    parts = template_of(b"a@b", b"@")
    fill(parts, [b"1"])
    assert fill(parts, [b"2"]) == b"a2b"


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"whole": 1},
        {"name": '% "%s" \\u0000text', "number": 4e-09, "text": "a"},
        {"at": FromNow(0)},
        {"text": "a", "at": FromNow(0), "ends": FromNow(60_000), "number": 2, "again": FromNow(1), "other": "b"},
    ],
)
def test_json_is_filled_as_it_would_be_written(told: dict[str, Any]):
    """All values are filled in, times at the moment of each answer."""
    written = {name: timestamp(0) if isinstance(value, FromNow) else value for name, value in told.items()}
    constant = {"name": told["name"]} if "name" in told else {}
    template = JsonTemplate({name: placeholder_for(value) for name, value in written.items()} | constant)
    filled = template.fill([value for name, value in told.items() if name not in constant])
    for now_ms in (NOW_MS, NOW_MS + 1, NOW_MS):
        at_once = {name: timestamp(now_ms + value) if isinstance(value, FromNow) else value for name, value in told.items()}
        assert filled.at(now_ms) == orjson.dumps(at_once)
