"""POST /api/governance/routing-rules/evaluate: a dry run of all rules in scope for one request. Changes nothing."""

import uuid
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from service.api.answers import json_answer
from service.api.bodies import parse_body
from service.api.routes import route
from service.api.services import services_of
from service.models.routing_evaluation import EvaluateRoutingRequest
from service.quota.rule_evaluation import RuleEvaluation, evaluate_rules
from service.routing.facts import route_facts
from service.routing.select import variables_of


async def evaluate(request: Request) -> Response:
    asked = await parse_body(request, EvaluateRoutingRequest)
    request_id = asked.request_id or str(uuid.uuid4())
    return json_answer(_shown(await evaluate_rules(services_of(request).enforcer, asked, request_id)))


def _shown(evaluation: RuleEvaluation) -> dict[str, Any]:
    request, selection = evaluation.request, evaluation.selection
    fallbacks = selection.route.fallbacks if selection.route is not None else ()
    return {
        "matched": selection.route is not None,
        "route": route_facts(selection, selection.aim(request.aim), fallbacks),
        "variables": {**variables_of(request, request.aim), **evaluation.usage.variables},
        "rules_in_scope": evaluation.rules_in_scope,
    }


ROUTES: Final = [route("/routing-rules/evaluate", POST=evaluate)]
