"""The service itself: whether it is well, which version it is, what it counts, and this document."""

from typing import Any

from service.api.operations.operation import Answer, Operation
from service.models.responses import HealthResponse, StatusResponse


def _open_to_all(operation_id: str, path: str, summary: str, description: str, answer: Answer, *errors: int) -> Operation:
    return Operation(
        id=operation_id,
        method="get",
        path=path,
        summary=summary,
        description=description,
        tag="Service",
        answers={200: answer},
        errors=errors,
        security=(),
    )


_STRING: dict[str, Any] = {"type": "string"}

OPERATIONS = (
    _open_to_all(
        "getHealth",
        "/health",
        "Health",
        "Whether the service and its Redis answer.",
        Answer(description="Both answer", schema=HealthResponse),
        503,
    ),
    _open_to_all(
        "getLiveness",
        "/livez",
        "Liveness",
        "Whether this process answers. Redis is not asked.",
        Answer(description="It does", schema=StatusResponse),
    ),
    _open_to_all(
        "getReadiness",
        "/readyz",
        "Readiness",
        "Whether this process can do its work: Redis answers.",
        Answer(description="It can", schema=StatusResponse),
        503,
    ),
    _open_to_all(
        "getVersion",
        "/api/version",
        "Version",
        "The version of the service.",
        Answer(description="A JSON string", schema=_STRING),
    ),
    _open_to_all(
        "getMetrics",
        "/metrics",
        "Metrics",
        "In the text format of Prometheus, of all workers.",
        Answer(description="The metrics", schema=_STRING, media_type="text/plain"),
    ),
    _open_to_all(
        "getOpenApiDocument",
        "/openapi.json",
        "OpenAPI document",
        "This document.",
        Answer(description="OpenAPI 3.1", schema={"type": "object", "required": ["openapi", "info", "paths"]}),
    ),
    _open_to_all(
        "getDocumentation",
        "/docs",
        "Documentation",
        "This document as a page to read and to try.",
        Answer(description="A page that loads nothing from elsewhere", schema=_STRING, media_type="text/html"),
    ),
)
