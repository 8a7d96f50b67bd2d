"""Routing rules on the wire. Whether the expression is CEL and the providers exist is for the rules of routing to say."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal, Self

import orjson
from pydantic import AfterValidator, Field, model_validator

from service.models.limit_owners import EntityResponse
from service.models.parsing import MemberError
from service.models.responses import Page, ResponseModel, omitted
from service.models.strict import StrictModel
from service.models.text import MAX_ENTRIES, MAX_NAME, NO_NUL, Description, Name, Reference, without_nul

Scope = Literal["global", "team", "customer", "virtual_key"]

LARGEST_PRIORITY = 2**53 - 1
MAX_EXPRESSION = 10_000
MAX_QUERY_BYTES = 64 * 1024
MAX_QUERY_DEPTH = 32

WEIGHT_TOLERANCE = 0.001
# Three weights of 0.333 miss 1 by 0.001 and a few bits of binary arithmetic.
_ROUNDING = 1e-9

_A_FALLBACK = r"^[^/\u0000]*[^/\s\u0000][^/\u0000]*/[^\u0000]*$"


def _absent_if_empty(text: str | None) -> str | None:
    if text and not text.strip():
        raise ValueError("must not be blank")
    return text or None


TargetPart = Annotated[Reference | None, AfterValidator(_absent_if_empty)]


class RoutingTargetRequest(StrictModel):
    provider: TargetPart = Field(default=None, description="Unset: the provider that was asked for.")
    model: TargetPart = Field(default=None, description="Unset: the model that was asked for.")
    key_id: TargetPart = Field(default=None, description="The provider key to use. Needs a provider.")
    weight: Annotated[float, Field(gt=0, le=1 + WEIGHT_TOLERANCE + _ROUNDING)] = Field(description="Its probability.")

    @model_validator(mode="after")
    def _key_needs_provider(self) -> Self:
        if self.key_id is not None and self.provider is None:
            raise MemberError("key_id", "needs a provider in the same target")
        return self


def _weights_and_identity(targets: tuple[RoutingTargetRequest, ...]) -> tuple[RoutingTargetRequest, ...]:
    seen: dict[tuple[str, str, str], int] = {}
    for position, target in enumerate(targets):
        identity = ((target.provider or "").lower(), (target.model or "").lower(), target.key_id or "")
        earlier = seen.setdefault(identity, position)
        if earlier != position:
            raise MemberError(f"[{position}]", f"repeats entry [{earlier}]: the same provider, model and key_id")
    total = math.fsum(target.weight for target in targets)
    if abs(total - 1) > WEIGHT_TOLERANCE + _ROUNDING:
        raise MemberError("", f"must have weights that add up to 1 (give or take {WEIGHT_TOLERANCE}), not {total:.6g}")
    return targets


def _a_fallback(text: str) -> str:
    provider, slash, _ = text.partition("/")
    if not slash or not provider.strip():
        raise ValueError('must be "provider/model", or "provider/" for the model that was asked for')
    return text


def _a_bounded_query(query: dict[str, object]) -> dict[str, object]:
    level: list[object] = [query]
    for _ in range(MAX_QUERY_DEPTH):
        level = [value for container in level for value in _values(container)]
        for value in level:
            _check_number(value)
        level = [value for value in level if isinstance(value, dict | list)]
        if not level:
            break
    else:
        raise ValueError(f"must not be nested deeper than {MAX_QUERY_DEPTH} levels")
    if len(orjson.dumps(query)) > MAX_QUERY_BYTES:
        raise ValueError(f"must not be larger than {MAX_QUERY_BYTES // 1024} KiB")
    return query


def _values(container: object) -> Iterable[object]:
    if isinstance(container, dict):
        return container.values()
    return container if isinstance(container, list) else ()


def _check_number(value: object) -> None:
    """What JSON can say and we could not give back unchanged."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must not hold numbers beyond 1.8e308")
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("must not hold integers of more than 64 bits")


Targets = Annotated[
    tuple[RoutingTargetRequest, ...], Field(min_length=1, max_length=MAX_ENTRIES), AfterValidator(_weights_and_identity)
]
Fallback = Annotated[
    str,
    Field(max_length=2 * MAX_NAME, json_schema_extra={"pattern": _A_FALLBACK}),
    AfterValidator(_a_fallback),
    AfterValidator(without_nul),
]
Query = Annotated[dict[str, object], AfterValidator(_a_bounded_query)]
Expression = Annotated[str, Field(max_length=MAX_EXPRESSION, json_schema_extra={"pattern": NO_NUL}), AfterValidator(without_nul)]
Priority = Annotated[int, Field(ge=-LARGEST_PRIORITY, le=LARGEST_PRIORITY)]


class _RoutingRuleRequest(StrictModel):
    description: Description | None = None
    enabled: bool | None = Field(default=None, description="A new rule is enabled.")
    scope_id: Reference | None = Field(
        default=None, description="The team, customer or virtual key. Plays no part in scope global."
    )
    fallbacks: Annotated[tuple[Fallback, ...], Field(max_length=MAX_ENTRIES)] | None = Field(
        default=None, description="`provider/model`, in this order; `provider/` stands for the model that was asked for."
    )
    query: Query | None = Field(default=None, description="Kept and given back as it is, for user interfaces.")
    chain_rule: bool | None = Field(default=None, description="Start over with the new provider and model. A new rule does not.")


class CreateRoutingRuleRequest(_RoutingRuleRequest):
    name: Name
    cel_expression: Expression = Field(description="The condition in CEL; the empty string always holds.")
    scope: Scope
    priority: Priority = Field(description="Smaller ones first.")
    targets: Targets = Field(description="One is drawn by weight; weights add up to 1.")

    @model_validator(mode="after")
    def _scope_needs_its_id(self) -> Self:
        if scope_id_is_missing(self.scope, self.scope_id):
            raise MemberError("scope_id", f"is required in scope {self.scope}")
        return self


class UpdateRoutingRuleRequest(_RoutingRuleRequest):
    """What is left out, or null, stays as it is. Whether scope and scope_id go together is checked with what is stored."""

    name: Name | None = None
    cel_expression: Expression | None = Field(default=None, description="The empty string always holds.")
    scope: Scope | None = None
    priority: Priority | None = None
    targets: Targets | None = Field(default=None, description="The complete new list.")


def scope_id_is_missing(scope: str, scope_id: str | None) -> bool:
    return scope != "global" and not (scope_id or "").strip()


class RoutingTarget(ResponseModel):
    provider: str = omitted("Left out: the provider that was asked for.")
    model: str = omitted("Left out: the model that was asked for.")
    key_id: str = omitted()
    weight: float = Field(gt=0)


class RoutingRule(EntityResponse):
    id: str
    name: str
    description: str
    enabled: bool
    cel_expression: str
    targets: tuple[RoutingTarget, ...]
    fallbacks: tuple[str, ...]
    scope: Scope
    scope_id: str | None
    priority: int
    query: dict[str, object] | None
    chain_rule: bool


class RoutingRuleEnvelope(ResponseModel):
    rule: RoutingRule


class RoutingRuleResponse(RoutingRuleEnvelope):
    message: str


class ListRoutingRulesResponse(Page):
    rules: tuple[RoutingRule, ...]
