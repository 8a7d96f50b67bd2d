"""Short ways to write routing rules and the requests that they judge."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from service.entities import RoutingRule, RoutingTarget
from service.routing.rules import Caller, Rules
from service.routing.select import Aim, RoutedRequest, Selection, select
from service.routing.usage import Usage

CALLER = Caller(
    virtual_key_id="vk1", virtual_key_name="key", team_id="t1", team_name="team", customer_id="c1", customer_name="customer"
)
_numbers = count()


def target(to: str, weight: float = 1.0, key_id: str | None = None) -> RoutingTarget:
    """`to` is "provider/model", either part may be empty."""
    provider, _, model = to.partition("/")
    return RoutingTarget(provider=provider or None, model=model or None, key_id=key_id, weight=weight)


def rule(name: str, *targets: RoutingTarget | str, when: str = "", scope: str = "global", **members: Any) -> RoutingRule:
    ids = {"virtual_key": "vk1", "team": "t1", "customer": "c1", "global": None}
    return RoutingRule(
        **{
            "id": name,
            "name": name,
            "cel_expression": when,
            "targets": tuple(target(one) if isinstance(one, str) else one for one in targets) or (target(f"{name}/"),),
            "scope": scope,
            "scope_id": ids[scope],
            "priority": next(_numbers),
            "created_at_ms": 0,
            "updated_at_ms": 0,
            **members,
        }
    )


def request(
    asked: str = "openai/gpt-4o",
    *,
    request_id: str = "r1",
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    caller: Caller = CALLER,
    request_type: str = "chat_completion",
) -> RoutedRequest:
    provider, _, model = asked.partition("/")
    return RoutedRequest(
        request_id=request_id,
        aim=Aim(provider or None, model or None),
        request_type=request_type,
        headers=headers or {},
        params=params or {},
        caller=caller,
    )


class UsageReader:
    """Says how full limits are, and remembers for whom it was asked."""

    def __init__(self, usages: Mapping[str, Usage] | None = None) -> None:
        self._usages = usages or {}
        self.asked: list[str] = []

    async def __call__(self, aim: Aim) -> Usage:
        self.asked.append(f"{aim.provider or ''}/{aim.model or ''}")
        return self._usages.get(self.asked[-1], Usage())


async def chosen(rules: list[RoutingRule], asked: RoutedRequest, usage: UsageReader | None = None, **options: Any) -> Selection:
    """`rules` in order of evaluation."""
    return await select(Rules(rules).in_scope(asked.caller), asked, usage or UsageReader(), **options)
