"""The OpenAPI document, built from the tables in operations/ and the models."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from service import __version__
from service.api import documentation
from service.api.answers import json_answer
from service.api.operations import enforcement, limit_owners, prices, pricing_overrides, process, routing_rules, virtual_keys
from service.api.operations.operation import Answer, Operation, Parameter
from service.models.responses import BifrostError

OPERATIONS: Final[tuple[Operation, ...]] = (
    *virtual_keys.OPERATIONS,
    *limit_owners.TEAMS,
    *limit_owners.CUSTOMERS,
    *limit_owners.ALL_LIMITS,
    *routing_rules.OPERATIONS,
    *limit_owners.MODEL_CONFIGS,
    *limit_owners.PROVIDERS,
    *pricing_overrides.OPERATIONS,
    *prices.OPERATIONS,
    *enforcement.OPERATIONS,
    *process.OPERATIONS,
)

_DESCRIPTION: Final = """\
Virtual keys, budgets, rate limits, routing rules and prices for LLM gateways.

In requests a member that is absent and one that is null mean the same, unless said otherwise; unknown members are ignored.
Every failure has the same body (BifrostError), except for those of the quota call. Money is in US dollars, times are RFC 3339."""

_TAGS: Final = (
    {
        "name": "Governance",
        "description": "What admins configure and read. Needs an admin credential where the operator has set one.",
    },
    {
        "name": "Enforcement",
        "description": "What gateways call around every request. Needs a gateway or admin token where the operator has set one.",
    },
    {"name": "Service", "description": "The service itself. Needs no credential."},
)

_ERRORS: Final[Mapping[int, tuple[str, str, tuple[str, ...]]]] = {
    400: ("BadRequest", "The request is wrong; `error.param` names the member at fault.", ()),
    401: ("Unauthorized", "No credential, or one that is not known.", ("WWW-Authenticate",)),
    403: ("Forbidden", "A known credential that may not do this.", ()),
    404: ("NotFound", "There is nothing by this name.", ()),
    409: ("Conflict", "The name is taken, or another admin changed the same entity meanwhile.", ()),
    413: ("PayloadTooLarge", "The body is too large.", ()),
    500: ("InternalError", "A mistake of the service; its log says which.", ()),
    503: ("StoreUnavailable", "Redis did not answer. Whether a change was made is not known.", ("Retry-After",)),
}

_HEADERS: Final = {
    "WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "integer", "minimum": 0}},
    "RateLimit": {"description": "What is left of each policy (IETF draft).", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The limits that apply (IETF draft).", "schema": {"type": "string"}},
    **{
        f"x-ratelimit-{part}-{noun}": {"description": f"Of the limit with the fewest {noun} left.", "schema": dict(schema)}
        for noun in ("requests", "tokens")
        for part, schema in (
            ("limit", {"type": "integer"}),
            ("remaining", {"type": "integer"}),
            ("reset", {"type": "string", "examples": ["6m0s"]}),
        )
    },
    "x-quota-reservation": {"description": "The reservation_id, to settle or release.", "schema": {"type": "string"}},
    "x-quota-degraded": {"description": "true: admitted uncounted because Redis was away.", "schema": {"type": "string"}},
    "x-quota-status": {"description": "The status that nginx would not understand.", "schema": {"type": "integer"}},
}

_SECURITY_SCHEMES: Final = {
    "BearerAuth": {
        "type": "http",
        "scheme": "bearer",
        "description": "An admin token; for enforcement a gateway token, for the quota call a virtual key.",
    },
    "BasicAuth": {"type": "http", "scheme": "basic", "description": "Any user name, and an admin token as the password."},
    "ApiKeyAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "An admin token; for the quota call a virtual key.",
    },
    "QuotaTokenAuth": {"type": "apiKey", "in": "header", "name": "x-quota-token", "description": "A gateway or admin token."},
    "VirtualKeyAuth": {"type": "apiKey", "in": "header", "name": "x-bf-vk", "description": "A virtual key."},
}
_ADMIN: Final = ("BearerAuth", "BasicAuth", "ApiKeyAuth")


class _Schemas(GenerateJsonSchema):
    """Plainer schemas: no `default: null` beside members that may be left out, no titles that repeat their names."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def openapi_document(version: str) -> dict[str, Any]:
    schemas = _component_schemas(OPERATIONS)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "quotad", "version": version, "description": _DESCRIPTION},
        "security": _any_one_of(_ADMIN),
        "tags": list(_TAGS),
        "paths": paths,
        "components": {
            "securitySchemes": _SECURITY_SCHEMES,
            "headers": _HEADERS,
            "responses": {
                name: _answer(Answer(description=description, schema=BifrostError, headers=headers))
                for name, description, headers in _ERRORS.values()
            },
            "schemas": schemas,
        },
    }


def docs_routes() -> list[BaseRoute]:
    """/openapi.json, /docs and what that page loads."""
    return [Route("/openapi.json", _serve_document), *documentation.ROUTES]


async def _serve_document(request: Request) -> Response:
    return json_answer(_document())


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    return openapi_document(__version__)


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "description": operation.description,
        "tags": [operation.tag],
    }
    if operation.security is not None:
        described["security"] = _any_one_of(operation.security)
    if operation.parameters:
        described["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _body(operation)}}}
    described["responses"] = {
        str(status): _answer(operation.answers[status])
        if status in operation.answers
        else {"$ref": f"#/components/responses/{_ERRORS[status][0]}"}
        for status in sorted((*operation.answers, *operation.errors))
    }
    return described


def _body(operation: Operation) -> dict[str, Any]:
    """`null` stands for an object without members, which is a complete request where nothing is required."""
    assert operation.body is not None
    schema = _schema(operation.body)
    requires_something = any(field.is_required() for field in operation.body.model_fields.values())
    return schema if requires_something else {"anyOf": [schema, {"type": "null"}]}


def _any_one_of(schemes: Iterable[str]) -> list[dict[str, list[str]]]:
    return [{scheme: []} for scheme in schemes]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.schema is not None:
        schemas = {answer.media_type: answer.schema, **answer.also}
        described["content"] = {media_type: {"schema": _schema(schema)} for media_type, schema in schemas.items()}
    if answer.headers or answer.optional_headers:
        described["headers"] = {
            **{name: {**_HEADERS[name], "required": True} for name in answer.headers},
            **{name: {"$ref": f"#/components/headers/{name}"} for name in answer.optional_headers},
        }
    return described


def _schema(schema: type[BaseModel] | Mapping[str, Any]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema.__name__}"} if isinstance(schema, type) else dict(schema)


def _component_schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    named: dict[str, type[BaseModel]] = {"BifrostError": BifrostError}
    for operation in operations:
        answers = operation.answers.values()
        also = (schema for answer in answers for schema in answer.also.values())
        for schema in (operation.body, *(answer.schema for answer in answers), *also):
            if isinstance(schema, type):
                named[schema.__name__] = schema
    _, definitions = models_json_schema(
        [(model, "validation") for model in named.values()],
        schema_generator=_Schemas,
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return dict(sorted(schemas.items()))
