"""The operations on routing rules."""

from service.api.operations.operation import (
    PAGING,
    Answer,
    Operation,
    change,
    creation,
    in_path,
    in_query,
    listing,
    reading,
    removal,
)
from service.models.routing_evaluation import EvaluateRoutingRequest, EvaluateRoutingResponse
from service.models.routing_rules import (
    CreateRoutingRuleRequest,
    ListRoutingRulesResponse,
    RoutingRuleEnvelope,
    RoutingRuleResponse,
    UpdateRoutingRuleRequest,
)

_ALL = "/api/governance/routing-rules"
_ONE = "/api/governance/routing-rules/{rule_id}"
_ID = in_path("rule_id", "Routing rule ID")

OPERATIONS = (
    listing(
        "listRoutingRules",
        _ALL,
        "routing rules",
        ListRoutingRulesResponse,
        in_query("scope", "Only rules of this scope: global, team, customer or virtual_key."),
        in_query("scope_id", "Only rules with this scope ID."),
        *PAGING,
        in_query("search", "Only rules whose name or expression contains this text, in any letter case."),
        refuses=True,
        description="Routing rules, enabled or not, by priority. All of them until limit, offset or search is sent.",
    ),
    creation(
        "createRoutingRule",
        _ALL,
        "routing rule",
        CreateRoutingRuleRequest,
        RoutingRuleResponse,
        description="Makes a rule: when its CEL expression holds, the request goes to one of its targets. "
        "A target without provider or model keeps the one that was asked for.",
    ),
    reading("getRoutingRule", _ONE, "routing rule", RoutingRuleEnvelope, _ID, description="A routing rule by its ID."),
    change(
        "updateRoutingRule",
        _ONE,
        "routing rule",
        UpdateRoutingRuleRequest,
        RoutingRuleResponse,
        _ID,
        description="Changes what is sent.",
    ),
    Operation(
        id="evaluateRoutingRules",
        method="post",
        path=f"{_ALL}/evaluate",
        summary="Evaluate routing rules",
        description="A dry run: what the rules in scope would make of this request now, which of them were looked at, which "
        "matched, and why the others did not. Changes nothing. Whether the request may go is asked of /quota/explain.",
        body=EvaluateRoutingRequest,
        answers={200: Answer(description="Successful response", schema=EvaluateRoutingResponse)},
        errors=(400, 401, 403, 413, 500, 503),
    ),
    removal("deleteRoutingRule", _ONE, "routing rule", _ID, description="Removes the rule."),
)
