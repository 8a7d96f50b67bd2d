"""Holds responses against the OpenAPI document: the status is documented, its headers are there, every member is known."""

import re
from functools import lru_cache
from typing import Any, Final

import httpx
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from service.api.openapi import openapi_document

_URI: Final = "urn:quotad"


def _closed(schema: Any) -> Any:
    """The same with every object closed: the document allows members to come later, these tests want each of them in it."""
    if isinstance(schema, dict):
        closed = {name: _closed(value) for name, value in schema.items()}
        if isinstance(schema.get("properties"), dict):
            closed.setdefault("additionalProperties", False)
        return closed
    return [_closed(value) for value in schema] if isinstance(schema, list) else schema


DOCUMENT: Final[dict[str, Any]] = openapi_document("0")
DOCUMENT["components"]["schemas"] = _closed(DOCUMENT["components"]["schemas"])
_REGISTRY: Final = Registry().with_resource(_URI, DRAFT202012.create_resource(DOCUMENT))
# A path without parameters wins over one with them.
_PATHS: Final = [
    (re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), path) for path in sorted(DOCUMENT["paths"], key=lambda path: path.count("{"))
]


async def assert_documented(response: httpx.Response) -> None:
    """An event hook of httpx clients."""
    await response.aread()
    call = f"{response.request.method} {response.request.url.path} answered {response.status_code}"
    operation = _operation(response.request)
    if operation is None:
        assert response.status_code in (404, 405), f"{call}: it is not in the document"
        pointer = "components/schemas/BifrostError"
    else:
        found = _documented_body(operation, response, call)
        if found is None:
            assert not response.content, call
            return
        pointer = found
    body: Any = response.json() if _media_type(response).endswith("json") else response.text
    errors = sorted(_validator(pointer).iter_errors(body), key=lambda error: len(error.absolute_path), reverse=True)
    assert not errors, f"{call}: {errors[0].json_path}: {errors[0].message}"
    if pointer.endswith("/BifrostError"):
        assert body["status_code"] == response.status_code, call


def _operation(request: httpx.Request) -> str | None:
    """The place of the operation in the document."""
    raw_path = request.url.raw_path.decode().partition("?")[0]
    for pattern, path in _PATHS:
        if pattern.fullmatch(raw_path) and request.method.lower() in DOCUMENT["paths"][path]:
            return f"paths/{_escaped(path)}/{request.method.lower()}"
    return None


def _documented_body(operation: str, response: httpx.Response, call: str) -> str | None:
    """The place of its schema; None where no body is documented."""
    responses = _at(f"{operation}/responses")
    status = str(response.status_code)
    assert status in responses, f"{call}: only {', '.join(responses)} are documented"
    pointer = responses[status].get("$ref", f"#/{operation}/responses/{status}").removeprefix("#/")
    documented = _at(pointer)
    headers = documented.get("headers", {})
    missing = [name for name, header in headers.items() if header.get("required") and name not in response.headers]
    assert not missing, f"{call} without {missing}"
    if "content" not in documented:
        return None
    media_type = _media_type(response)
    assert media_type in documented["content"], f"{call} as {media_type}"
    schema = documented["content"][media_type]["schema"]
    return str(schema.get("$ref", f"#/{pointer}/content/{_escaped(media_type)}/schema").removeprefix("#/"))


def _media_type(response: httpx.Response) -> str:
    return str(response.headers.get("content-type", "")).partition(";")[0]


def _at(pointer: str) -> Any:
    found: Any = DOCUMENT
    for part in pointer.split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


@lru_cache
def _validator(pointer: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"{_URI}#/{pointer}"}, registry=_REGISTRY)
