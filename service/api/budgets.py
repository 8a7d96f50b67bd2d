"""/api/governance/budgets: every budget of every owner."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.admin.limits import owners_of_limits
from service.api.answers import json_answer
from service.api.rendering.limits import budget_body
from service.api.routes import route
from service.api.services import services_of


async def list_budgets(request: Request) -> Response:
    rows: list[tuple[int, str, dict[str, Any]]] = []
    async for owner in owners_of_limits(services_of(request).store):
        rows += [
            (
                budget.created_at_ms,
                budget.id,
                budget_body(budget, owner.counters, owner.now_ms, aligned=owner.aligned, owner=owner.named),
            )
            for budget in owner.budgets
        ]
    rows.sort(key=lambda row: row[:2])
    return json_answer({"budgets": [row for _, _, row in rows], "count": len(rows)})


ROUTES: Final = [route("/budgets", GET=list_budgets)]
