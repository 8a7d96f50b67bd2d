"""Answers to gateways: admissions, refusals, settlements, explanations. Hot."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from service.api.answers import error_body
from service.api.headers import names_of
from service.api.rendering.templates import fill, template_of
from service.api.rendering.times import timestamp, timestamp_bytes
from service.money import to_dollars
from service.quota.decision import ALLOW, UNPRICED, Reading, Verdict
from service.quota.explain import Check, Explanation
from service.quota.reserve import Admission, DegradedAdmission
from service.quota.rule_routing import RouteFacts
from service.remembered import remembered
from service.reservation import LimitKind, Plan, Settled

_PROBLEMS: Final = "https://iana.org/assignments/http-problem-types#"
_OVER_QUOTA: Final = (402, 429)


def limit_body(reading: Reading) -> dict[str, Any]:
    planned = reading.planned
    limit, usage, held, remaining = reading.limit, reading.usage, reading.held, reading.remaining
    in_dollars = planned.kind is LimitKind.BUDGET
    return {
        "scope": planned.scope,
        "owner_id": planned.owner_id,
        "limit_id": planned.limit_id,
        "kind": planned.kind,
        "limit": to_dollars(limit) if in_dollars else limit,
        "usage": to_dollars(usage) if in_dollars else usage,
        "reserved": to_dollars(held) if in_dollars else held,
        "remaining": to_dollars(remaining) if in_dollars else remaining,
        "window": planned.reset_duration,
        "resets_at": timestamp(reading.resets_at_ms),
    }


_ADMISSION: Final = template_of(
    b'{"decision":"allow","reservation_id":@,"expires_at":"@","replayed":@,@,'
    b'"reserved":{"requests":1,"tokens":@,"cost":@},"priced":@,"price":@,"limits":@}',
    b"@",
)
_SETTLEMENT: Final = template_of(
    b'{"cost":@,"tokens":@,"priced":@,"price":@,"replayed":@,"overrun":{"tokens":@,"cost":@},"limits":@}', b"@"
)
_BOOLEANS: Final = {True: b"true", False: b"false"}


def admission_body(admission: Admission, limits: bytes) -> bytes:
    """Written out, as `limits` are: to look at every member anew would cost more than all that differs."""
    plan, granted, fallbacks, route = admission.plan, admission.granted, admission.fallbacks, admission.route
    texts = (
        orjson.dumps(admission.request_id),
        timestamp_bytes(granted.expires_at_ms),
        _BOOLEANS[admission.replayed],
        _route_of_plan(plan) if route is None and not fallbacks else _route_json(plan, admission.key_ids, fallbacks, route),
        b"%d" % granted.reserved_tokens,
        orjson.dumps(to_dollars(granted.reserved_nanousd)),
        _BOOLEANS[admission.price != UNPRICED],
        admission.price,
        limits,
    )
    return fill(_ADMISSION, texts)


@remembered()
def _route_of_plan(plan: Plan) -> bytes:
    """Where no rule had a say and there is nowhere to fall back to."""
    return _route_json(plan, plan.key_ids, (), None)


def _route_json(plan: Plan, key_ids: Sequence[str], fallbacks: Sequence[str], route: RouteFacts | None) -> bytes:
    """The members alone, without their braces."""
    return orjson.dumps({**_route_body(plan), "key_ids": key_ids, "fallbacks": fallbacks, **_routing(route)})[1:-1]


def _route_body(plan: Plan) -> dict[str, Any]:
    return {
        "provider": plan.provider or None,
        "model": plan.model or None,
        "virtual_key": {"id": plan.key_id, "name": plan.key_name} if plan.key_id is not None else None,
        "team_id": plan.team_id,
        "customer_id": plan.customer_id,
    }


def _routing(route: RouteFacts | None) -> dict[str, Any]:
    return {"route": route} if route is not None else {}


def degraded_body(admission: DegradedAdmission) -> dict[str, Any]:
    """The same members as an admission; nothing is held, so nothing expires."""
    known = admission.plan
    route = {
        "provider": admission.provider or None,
        "model": admission.model or None,
        "virtual_key": None,
        "team_id": None,
        "customer_id": None,
    }
    return {
        "decision": ALLOW,
        "degraded": True,
        "reservation_id": admission.request_id,
        "expires_at": None,
        "replayed": False,
        **(_route_body(known) if known is not None else route),
        "key_ids": admission.key_ids,
        "fallbacks": admission.route["fallbacks"] if admission.route is not None else [],
        **_routing(admission.route),
        "reserved": {"requests": 0, "tokens": 0, "cost": 0.0},
        "priced": False,
        "price": None,
        "limits": [],
    }


def refusal_body(verdict: Verdict) -> dict[str, Any]:
    """The standard error with the decision as its type, and the facts behind it."""
    body = error_body(verdict.status, verdict.message)
    body["type"] = verdict.decision
    if verdict.plan is not None:
        named = {"provider": verdict.plan.provider, "model_requested": verdict.plan.model}
        body["extra_fields"] = {member: value for member, value in named.items() if value}
    return body | _facts(verdict)


def refusal_problem(verdict: Verdict) -> dict[str, Any]:
    """The same facts as RFC 9457 tells them."""
    body = problem_body(verdict.status, verdict.decision.replace("_", " ").capitalize(), verdict.message)
    if verdict.status in _OVER_QUOTA and verdict.plan is not None:
        body["type"] = _PROBLEMS + "quota-exceeded"
        names = dict(names_of(verdict.plan.limits))
        body["violated-policies"] = [names[reading.planned] for reading in verdict.violations]
    return body | _facts(verdict)


def problem_body(status: int, title: str, detail: str) -> dict[str, Any]:
    kind = f"{_PROBLEMS}temporary-reduced-capacity" if status == 503 else "about:blank"
    return {"type": kind, "title": title, "status": status, "detail": detail}


def _facts(verdict: Verdict) -> dict[str, Any]:
    facts: dict[str, Any] = {"decision": verdict.decision}
    if verdict.retry_after_s is not None:
        facts["retry_after"] = verdict.retry_after_s
    if verdict.violations:
        violations = [limit_body(reading) for reading in verdict.violations]
        facts["limit"], facts["violations"] = violations[0], violations
    if verdict.route is not None:
        facts["route"] = verdict.route
    return facts


def settlement_body(settled: Settled, limits: bytes) -> bytes:
    texts = (
        orjson.dumps(to_dollars(settled.cost_nanousd)),
        b"%d" % settled.tokens,
        _BOOLEANS[settled.detail != UNPRICED],
        settled.detail,
        _BOOLEANS[settled.replayed],
        b"%d" % settled.overrun_tokens,
        orjson.dumps(to_dollars(settled.overrun_nanousd)),
        limits,
    )
    return fill(_SETTLEMENT, texts)


def explanation_body(explanation: Explanation) -> dict[str, Any]:
    verdict, plan, granted = explanation.verdict, explanation.plan, explanation.granted
    body: dict[str, Any] = {"decision": explanation.decision, "status": 200 if verdict is None else verdict.status}
    if verdict is not None:
        body |= {"message": verdict.message, **_facts(verdict)}
    if plan is not None:
        body |= {
            **_route_body(plan),
            "key_ids": explanation.key_ids,
            "fallbacks": explanation.fallbacks,
            **_routing(explanation.route),
            "enforcement": plan.mode,
        }
    if granted is not None:
        body["reserved"] = {"requests": 1, "tokens": granted.reserved_tokens, "cost": to_dollars(granted.reserved_nanousd)}
    estimate = explanation.estimate
    of_limits = [check for check in explanation.checks if check.limit_id is not None]
    return {
        **body,
        "estimate": {"tokens": estimate.tokens, "cost": to_dollars(estimate.cost_nanousd)},
        "priced": estimate.price != UNPRICED,
        "price": orjson.Fragment(estimate.price),
        "checks": [_check_body(check) for check in explanation.checks],
        "limits": [
            {**limit_body(reading), "passed": check.passed, "reason": check.reason}
            for reading, check in zip(explanation.readings, of_limits, strict=True)
        ],
    }


def _check_body(check: Check) -> dict[str, Any]:
    body = {"check": check.name, "passed": check.passed, "reason": check.reason}
    return body if check.limit_id is None else {**body, "limit_id": check.limit_id}
