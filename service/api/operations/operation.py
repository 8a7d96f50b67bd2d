"""What the document says about one operation, and the parts that many operations share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from service.models.responses import MessageResponse

Model = type[BaseModel]

Schema = Model | Mapping[str, Any]
"""A model, which becomes a named schema, or a schema as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    place: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`schema` None: no body. `also` are other media types that callers may ask for. Headers are names of components/headers."""

    description: str
    schema: Schema | None
    media_type: str = "application/json"
    also: Mapping[str, Model] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    optional_headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """`errors` are the statuses with the standard body, `answers` all others."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    tag: str = "Governance"
    parameters: tuple[Parameter, ...] = ()
    body: Model | None = None
    answers: Mapping[int, Answer]
    errors: tuple[int, ...] = ()
    security: tuple[str, ...] | None = None
    """Names of components/securitySchemes, any one of them; none for everybody; None for admins, as nearly everything."""


def in_path(name: str, description: str) -> Parameter:
    return Parameter(name=name, place="path", description=description, schema={"type": "string", "minLength": 1})


def in_query(name: str, description: str, **schema: Any) -> Parameter:
    return Parameter(name=name, place="query", description=description, schema={"type": "string", **schema})


def switch(name: str, description: str) -> Parameter:
    """Off unless it is exactly "true": whatever else is sent is no error."""
    return Parameter(
        name=name,
        place="query",
        description=description,
        schema={"anyOf": [{"type": "boolean"}, {"type": "string"}], "default": False},
    )


FROM_MEMORY = switch("from_memory", "Accepted for clients that send it: what is read is always up to the moment.")

SEARCH = in_query("search", "Only entries whose name contains this text, in any letter case.")

_LIMIT = "Entries per page: 25 when 0 or left out, 100 at most."
_OFFSET = "Entries to skip."

PAGING = (
    in_query("limit", _LIMIT, type="integer", minimum=0),
    in_query("offset", _OFFSET, type="integer", minimum=0),
)

_NUMBER_OR_NOTHING: Mapping[str, Any] = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]}

LENIENT_PAGING = tuple(
    Parameter(
        name=name, place="query", description=f"{text} What is no such number counts as left out.", schema=_NUMBER_OR_NOTHING
    )
    for name, text in (("limit", _LIMIT), ("offset", _OFFSET))
)
"""Of teams and customers."""


def listing(
    operation_id: str, path: str, entities: str, model: Model, *parameters: Parameter, refuses: bool, description: str
) -> Operation:
    """`refuses`: a limit or offset that is no number is an error."""
    return Operation(
        id=operation_id,
        method="get",
        path=path,
        summary=f"List {entities}",
        description=description,
        parameters=parameters,
        answers={200: Answer(description="Successful response", schema=model)},
        errors=(400, 401, 403, 500, 503) if refuses else (401, 403, 500, 503),
    )


def creation(
    operation_id: str,
    path: str,
    entity: str,
    body: Model,
    model: Model,
    *,
    status: int = 200,
    description: str,
) -> Operation:
    return Operation(
        id=operation_id,
        method="post",
        path=path,
        summary=f"Create {entity}",
        description=description,
        body=body,
        answers={status: Answer(description=f"{entity.capitalize()} created successfully", schema=model)},
        errors=(400, 401, 403, 409, 413, 500, 503),
    )


def reading(operation_id: str, path: str, entity: str, model: Model, *parameters: Parameter, description: str) -> Operation:
    return Operation(
        id=operation_id,
        method="get",
        path=path,
        summary=f"Get {entity}",
        description=description,
        parameters=parameters,
        answers={200: Answer(description="Successful response", schema=model)},
        errors=(401, 403, 404, 500, 503),
    )


def change(
    operation_id: str,
    path: str,
    entity: str,
    body: Model,
    model: Model,
    *parameters: Parameter,
    description: str,
) -> Operation:
    return Operation(
        id=operation_id,
        method="put",
        path=path,
        summary=f"Update {entity}",
        description=description,
        parameters=parameters,
        body=body,
        answers={200: Answer(description=f"{entity.capitalize()} updated successfully", schema=model)},
        errors=(400, 401, 403, 404, 409, 413, 500, 503),
    )


def removal(operation_id: str, path: str, entity: str, *parameters: Parameter, description: str) -> Operation:
    return Operation(
        id=operation_id,
        method="delete",
        path=path,
        summary=f"Delete {entity}",
        description=description,
        parameters=parameters,
        answers={200: Answer(description=f"{entity.capitalize()} deleted successfully", schema=MessageResponse)},
        errors=(401, 403, 404, 409, 413, 500, 503),
    )
