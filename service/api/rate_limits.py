"""/api/governance/rate-limits: every rate limit of every owner."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin.limits import owners_of_limits
from service.api.answers import json_answer
from service.api.rendering.limits import rate_limit_body
from service.api.routes import route
from service.api.services import services_of


async def list_rate_limits(request: Request) -> Response:
    rows: list[tuple[int, str, dict[str, Any]]] = []
    async for owner in owners_of_limits(services_of(request).store):
        limit = owner.rate_limit
        if limit is not None:
            shown = rate_limit_body(limit, owner.counters, owner.now_ms, aligned=owner.aligned)
            rows.append((limit.created_at_ms, limit.id, shown))
    rows.sort(key=lambda row: row[:2])
    return json_answer({"rate_limits": [row for _, _, row in rows], "count": len(rows)})


ROUTES: Final = [route("/rate-limits", GET=list_rate_limits)]
