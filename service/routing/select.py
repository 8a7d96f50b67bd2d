"""Where a request goes: the first rule in scope whose condition holds, a target drawn by weight, then the rules it chains to.

Nothing here reads the store: `read_usage` says how full the limits are, and is asked only when evaluation comes to a rule that
refers to it.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from service.entities import RoutingRule, RoutingTarget
from service.names import split_model
from service.routing.draw import Draw, draw_target, hashed
from service.routing.environment import Environment
from service.routing.rules import Caller, Candidates
from service.routing.usage import Usage

DEPTH: Final = 10
"""Most rules that are applied to one request."""


class Aim(NamedTuple):
    """Where a request is headed: as it asks, then as rules say. None: it does not say."""

    provider: str | None
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedRequest:
    """What conditions know of a request. Names in `headers` and `params` are told apart without their case."""

    request_id: str
    aim: Aim
    request_type: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    caller: Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One rule looked at, while the request was headed for `aim`. `target` is what was drawn of a rule that matched."""

    rule: RoutingRule
    aim: Aim
    matched: bool
    error: str | None = None
    target: RoutingTarget | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What the last applied rule made of the request. `fallbacks` are "provider/model", () where the rule has none."""

    rule_id: str
    rule_name: str
    provider: str | None
    model: str | None
    key_id: str | None
    fallbacks: tuple[str, ...]


End = Literal["no_match", "final_rule", "seen_before", "depth"]
"""Why no further rule was applied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`route` is None when no rule matched: the request goes where it asked to go.

    `trace`: the rules that were applied; where it is explained, all that were looked at.
    """

    route: Route | None
    trace: tuple[Step, ...]
    end: End

    def aim(self, asked: Aim) -> Aim:
        """Where the request goes, which asked to go there."""
        return Aim(self.route.provider, self.route.model) if self.route is not None else asked


NOTHING_SELECTED: Final = Selection(route=None, trace=(), end="no_match")

ReadUsage = Callable[[Aim], Awaitable[Usage]]


async def select(
    candidates: Candidates,
    request: RoutedRequest,
    read_usage: ReadUsage,
    *,
    known_providers: Collection[str] = (),
    draw: Draw = hashed,
    avoided: frozenset[str] = frozenset(),
    explained: bool = False,
) -> Selection:
    """Targets whose provider is `avoided` are drawn only where a rule has no other. `known_providers` are told apart from first
    parts of models.

    `explained`: the trace has all rules that were looked at, not only those applied.
    """
    if not candidates.rules:
        return NOTHING_SELECTED
    aim = request.aim
    seen = {aim}
    trace: list[Step] = []
    end: End = "depth"
    last: tuple[RoutingRule, RoutingTarget] | None = None
    for depth in range(DEPTH):
        rule = await _first_match(candidates, request, aim, read_usage, trace if explained else None)
        if rule is None:
            end = "no_match"
            break
        open_targets = _open_targets(rule, aim, avoided, known_providers)
        subject = f"{rule.id}\0{depth}"
        if len(open_targets) < len(rule.targets):
            # The number that drew what is avoided says where among the others it would fall: they are to be drawn anew.
            subject += f"\0{len(open_targets)}"
        target = draw_target(open_targets, draw(request.request_id, subject))
        trace.append(Step(rule=rule, aim=aim, matched=True, target=target))
        last = rule, target
        aim = aim_at(target, aim, known_providers)
        if not rule.chain_rule:
            end = "final_rule"
            break
        if aim in seen:
            end = "seen_before"
            break
        seen.add(aim)
    return Selection(route=_route(*last, aim) if last is not None else None, trace=tuple(trace), end=end)


async def _first_match(
    candidates: Candidates, request: RoutedRequest, aim: Aim, read_usage: ReadUsage, passed_over: list[Step] | None
) -> RoutingRule | None:
    """`passed_over` collects the rules before it."""
    variables = variables_of(request, aim)
    environment = Environment.of(variables, candidates.variables)
    knows_usage = False
    for prepared in candidates.rules:
        if prepared.wants_usage and not knows_usage:
            environment = Environment.of({**variables, **(await read_usage(aim)).variables}, candidates.variables)
            knows_usage = True
        outcome = prepared.evaluate(environment)
        if outcome.matched:
            return prepared.rule
        if passed_over is not None:
            passed_over.append(Step(rule=prepared.rule, aim=aim, matched=False, error=outcome.error))
    return None


def variables_of(request: RoutedRequest, aim: Aim) -> dict[str, object]:
    """What conditions see, but for how full the limits are."""
    caller = request.caller
    return {
        "provider": aim.provider or "",
        "model": aim.model or "",
        "request_type": request.request_type,
        "headers": request.headers,
        "params": request.params,
        "virtual_key_id": caller.virtual_key_id,
        "virtual_key_name": caller.virtual_key_name,
        "team_id": caller.team_id,
        "team_name": caller.team_name,
        "customer_id": caller.customer_id,
        "customer_name": caller.customer_name,
    }


def _open_targets(
    rule: RoutingRule, aim: Aim, avoided: frozenset[str], known_providers: Collection[str]
) -> Sequence[RoutingTarget]:
    if not avoided:
        return rule.targets
    return [target for target in rule.targets if aim_at(target, aim, known_providers).provider not in avoided] or rule.targets


def aim_at(target: RoutingTarget, aim: Aim, known_providers: Collection[str]) -> Aim:
    """As a request says where it goes: a model may have its provider in front, where none is named."""
    return Aim(*split_model(target.provider or aim.provider, target.model or aim.model, known_providers))


def _route(rule: RoutingRule, target: RoutingTarget, aim: Aim) -> Route:
    return Route(
        rule_id=rule.id,
        rule_name=rule.name,
        provider=aim.provider,
        model=aim.model,
        key_id=target.key_id,
        fallbacks=tuple(complete_fallback(fallback, aim.model) for fallback in rule.fallbacks),
    )


def complete_fallback(fallback: str, model: str | None) -> str:
    """In "provider/" the routed model is to be filled in."""
    provider, _, own_model = fallback.partition("/")
    return f"{provider}/{own_model or model or ''}"
