"""Bodies that are no JSON, or JSON of another shape: 400 with the standard body wherever one is taken, and nothing happens."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.api.documented import DOCUMENT
from tests.api.redis_state import contents
from tests.api.refusals import assert_refused

PREFIX = "/api/governance"
Call = tuple[str, str]


def calls_with_bodies() -> Iterator[Call]:
    """Of admins; every id in a path is one that does not exist, which is said only after the body was read."""
    for path, methods in DOCUMENT["paths"].items():
        for method in methods:
            if method in ("post", "put") and path.startswith(PREFIX) and not path.startswith(f"{PREFIX}/quota/"):
                yield method, path.removeprefix(PREFIX)


CALLS = [*calls_with_bodies()]
every_call = pytest.mark.parametrize("method, path", CALLS)


def nested(opening: bytes, closing: bytes, depth: int = 100_000) -> bytes:
    return b'{"name": "x", "query": ' + opening * depth + b"1" + closing * depth + b"}"


MALFORMED = {
    "nothing": b"",
    "a blank": b" \n",
    "half an object": b"{",
    "an object cut off": b'{"name": "x"',
    "an array": b"[]",
    "an object in an array": b'[{"name": "x"}]',
    "a string": b'"name"',
    "a number": b"1",
    "a boolean": b"true",
    "half a null": b"nul",
    "two objects": b"{} {}",
    "an object and more": b'{"name": "x"} x',
    "quotes of another language": b"{'name': 'x'}",
    "no quotes": b'{name: "x"}',
    "a comma too many": b'{"name": "x",}',
    "a comment": b'{"name": "x" /* y */}',
    "a form": b"name=x&budgets=",
    "a byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "Latin-1": '{"name": "é"}'.encode("latin-1"),
    "half a character": b'{"name": "\xf0\x9f"}',
    "an overlong character": b'{"name": "\xc0\xaf"}',
    "a surrogate as bytes": b'{"name": "\xed\xa0\x80"}',
    "half a pair of surrogates": b'{"name": "\\ud800"}',
    "the other half": b'{"name": "\\udc00"}',
    "halves in the wrong order": b'{"name": "\\udc00\\ud800"}',
    "half a pair in an unknown member": b'{"unheard of": "\\ud800"}',
    "half a pair as a name of a member": b'{"\\ud800": 1}',
    "an unknown escape": b'{"name": "\\x41"}',
    "a raw line end in a string": b'{"name": "a\nb"}',
    "a raw NUL in a string": b'{"name": "a\0b"}',
    "a NUL behind it": b'{"name": "x"}\0',
    "NaN": b'{"name": NaN}',
    "NaN in an unknown member": b'{"unheard of": NaN}',
    "Infinity in an unknown member": b'{"unheard of": [Infinity]}',
    "minus Infinity": b'{"unheard of": -Infinity}',
    "a number with a plus": b'{"unheard of": +1}',
    "a number with a leading zero": b'{"unheard of": 01}',
    "a number without an end": b'{"unheard of": 1.}',
    "a number without a beginning": b'{"unheard of": .5}',
    "a hexadecimal number": b'{"unheard of": 0x10}',
    "arrays 100,000 deep": nested(b"[", b"]"),
    "objects 100,000 deep": nested(b'{"a":', b"}"),
    "100,000 arrays that never end": b'{"query": ' + b"[" * 100_000,
}


@every_call
async def test_what_is_no_json_object(client: httpx.AsyncClient, redis: Redis, method: str, path: str):
    for what, body in MALFORMED.items():
        answer = await client.request(method, path, content=body)
        assert_refused(answer, 400, says="invalid JSON")
        assert len(answer.content) < 500, what
    assert contents(redis) == {}


@every_call
async def test_null_is_an_empty_object(client: httpx.AsyncClient, method: str, path: str):
    for body in (b"null", b" null\n"):
        answer = await client.request(method, path, content=body)
        if may_be_empty(method, path):
            assert answer.status_code == 200, answer.text
        elif method == "post":
            assert_refused(answer, 400, says="is required")
        else:
            assert_refused(answer, 404, says="there is no")


def body_schema(method: str, path: str) -> dict[str, Any]:
    schema = DOCUMENT["paths"][PREFIX + path][method]["requestBody"]["content"]["application/json"]["schema"]
    references = [option["$ref"] for option in (schema, *schema.get("anyOf", ())) if "$ref" in option]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][references[0].rpartition("/")[2]]
    return found


def may_be_empty(method: str, path: str) -> bool:
    """A dry run, which asks about whatever is sent."""
    return method == "post" and not body_schema(method, path).get("required")


def json_types(schema: dict[str, Any]) -> set[str]:
    if "$ref" in schema:
        return json_types(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema and "type" not in schema:
        return {found for option in schema["anyOf"] for found in json_types(option)}
    if "enum" in schema or "const" in schema:
        return {"string"}
    found = schema["type"]
    return {found} if isinstance(found, str) else {*found}


SAMPLES: dict[str, list[object]] = {
    "string": ["", "x"],
    "integer": [1, 0],
    "number": [1.5],
    "boolean": [True, False],
    "array": [[], [1]],
    "object": [{}, {"a": 1}],
}
WIDER = {"integer": {"integer", "number"}}


@every_call
async def test_members_of_another_type(client: httpx.AsyncClient, redis: Redis, method: str, path: str):
    """Nothing is converted: "1" is no number, 1 is no string, 1.5 no integer, 0 not false, {} not []."""
    tried = 0
    for member, schema in body_schema(method, path)["properties"].items():
        wanted = json_types(schema)
        for kind, values in SAMPLES.items():
            if wanted & WIDER.get(kind, {kind}):
                continue
            for value in values:
                answer = await client.request(method, path, json={member: value})
                body = assert_refused(answer, 400)
                assert body["error"]["param"].startswith(member), (member, value, body)
                tried += 1
    assert tried > 20
    assert contents(redis) == {}


NUMBERS = ["1e400", "-1e400", "1" * 400, "1" * 5_000, "-" + "1" * 5_000, "1e-400", "1e9999999999999999999", "0." + "1" * 5_000]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:20])
@every_call
async def test_numbers_out_of_any_range(client: httpx.AsyncClient, method: str, path: str, number: str):
    """In members of every kind, unknown ones too: refused or ignored, never a mistake of ours."""
    for member in [*body_schema(method, path)["properties"], "unheard of"]:
        text = f'{{"{member}": {number}, "extra": {{"deep": [{number}]}}}}'
        answer = await client.request(method, path, content=text)
        if answer.status_code == 200:
            assert member == "unheard of"
            assert may_be_empty(method, path)
            continue
        assert_refused(answer, answer.status_code)
        assert answer.status_code in (400, 404)


async def test_of_members_sent_twice_the_last_counts(client: httpx.AsyncClient):
    answer = await client.post("/teams", content=b'{"name": "first", "name": "second"}')
    assert answer.json()["team"]["name"] == "second"


async def test_unknown_members_are_ignored_and_known_ones_are_told_by_case(client: httpx.AsyncClient):
    answer = await client.post(
        "/teams", json={"name": "x", "Name": 5, "id": "mine", "created_at": [], "unheard of": {"of": None}}
    )
    assert answer.status_code == 200
    assert answer.json()["team"]["id"] != "mine"
    assert_refused(await client.post("/teams", json={"Name": "y"}), 400, param="name", says="is required")


@pytest.mark.parametrize("content_type", ["text/plain", "application/json; charset=latin-1", "multipart/form-data", ""])
async def test_the_content_type_plays_no_part(client: httpx.AsyncClient, content_type: str):
    answer = await client.post("/teams", content='{"name": "é"}'.encode(), headers={"content-type": content_type})
    assert answer.json()["team"]["name"] == "é"


TEXTS = [
    "é",
    "e\u0301",
    "日本語",
    "😀",
    "\u202eabc",
    "\ufeff",
    "a\tb",
    "a\nb",
    "a\u2028b",
    "\x7f",
    '"\\/',
    "{}",
    "%s%d",
    "x" * 255,
]


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
async def test_text_comes_back_as_it_was_sent(client: httpx.AsyncClient, text: str):
    for body in (json.dumps({"name": text}), json.dumps({"name": text}, ensure_ascii=False)):
        created = (await client.post("/customers", content=body.encode())).json()["customer"]
        assert created["name"] == text
        listed = (await client.get("/customers", params={"search": text})).json()
        assert [row["name"] for row in listed["customers"]] == [text]
        await client.delete(f"/customers/{created['id']}")


SIZES = [(1_000, 200), (1_024, 200), (1_025, 413), (100_000, 413)]


@pytest.mark.parametrize("size, status", SIZES)
async def test_bodies_up_to_a_size(make_client: Any, size: int, status: int):
    body = b'{"name": "x", "more": "'
    body += b"y" * (size - len(body) - 2) + b'"}'

    async def chunks(length: int = 100) -> Any:
        for start in range(0, len(body), length):
            yield body[start : start + length]

    async with make_client(max_body_bytes=1_024) as client:
        for number, content in enumerate((body, chunks())):
            answer = await client.post("/teams", content=content)
            if status == 413:
                assert_refused(answer, 413, says="larger than 1024 bytes")
            else:
                assert answer.status_code == (200 if number == 0 else 409)


LENGTHS = [("", 400), ("-1", 400), ("+2", 400), ("2.0", 400), ("0x2", 400), ("two", 400), ("2, 2", 400), ("9" * 30, 413)]


@pytest.mark.parametrize("declared, status", LENGTHS)
async def test_lengths_that_are_none(client: httpx.AsyncClient, declared: str, status: int):
    """The real server refuses most of them before (test_http.py); another one might not."""
    answer = await client.post("/teams", content=b"{}", headers={"content-length": declared})
    assert_refused(answer, status)
