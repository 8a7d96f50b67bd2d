"""Random rules and requests: the selection agrees with a plain reading of docs/routing.md, step by step."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.entities import RoutingRule
from service.routing.rules import Caller, Rules
from service.routing.select import Aim, Selection, select
from service.routing.usage import Usage
from tests.routing.rules import UsageReader, request, rule, target

NAMES = ("a", "b", "c")
SCOPE_IDS = {"virtual_key": ("v1", "v2"), "team": ("t1", "t2"), "customer": ("c1", "c2"), "global": (None,)}
ORDER = ("virtual_key", "team", "customer", "global")

Holds = Callable[[Aim, Usage], bool]
CONDITIONS: dict[str, Holds] = {
    "": lambda aim, usage: True,
    "false": lambda aim, usage: False,
    "headers['x-missing'] == ''": lambda aim, usage: False,
    "not cel at all": lambda aim, usage: False,
    "budget_used > 50": lambda aim, usage: usage.budget_used > 50,
    **{f"model == '{name}'": lambda aim, usage, name=name: aim.model == name for name in NAMES},  # type: ignore[misc]
    **{f"provider == '{name}'": lambda aim, usage, name=name: aim.provider == name for name in NAMES},  # type: ignore[misc]
}
USAGES = {f"{provider}/{model}": Usage(budget_used=60.0) for provider in ("a", "") for model in ("b", "c", "")}


@dataclass
class Expected:
    applied: list[str]
    aim: Aim
    key_id: str | None = None
    fallbacks: tuple[str, ...] = ()


def expected(rules: list[RoutingRule], caller: Caller, asked: Aim, pick: Callable[[RoutingRule], int]) -> Expected:
    ids = {"virtual_key": caller.virtual_key_id, "team": caller.team_id, "customer": caller.customer_id, "global": None}
    in_scope = [
        one
        for scope in ORDER
        for one in sorted(rules, key=lambda rule: (rule.priority, -rule.created_at_ms))
        if one.scope == scope and one.scope_id == ids[scope] and one.enabled
    ]
    outcome = Expected([], asked)
    been = [asked]
    while len(outcome.applied) < 10:
        usage = USAGES.get(f"{outcome.aim.provider or ''}/{outcome.aim.model or ''}", Usage())
        hit = next((one for one in in_scope if CONDITIONS[one.cel_expression](outcome.aim, usage)), None)
        if hit is None:
            break
        to = hit.targets[pick(hit)]
        aim = Aim(to.provider or outcome.aim.provider, to.model or outcome.aim.model)
        fallbacks = tuple(one if not one.endswith("/") else f"{one}{aim.model or ''}" for one in hit.fallbacks)
        outcome = Expected([*outcome.applied, hit.id], aim, to.key_id, fallbacks)
        if not hit.chain_rule or aim in been:
            break
        been.append(aim)
    return outcome


parts = st.sampled_from(("", *NAMES))
targets = st.builds(
    lambda provider, model, key_id: target(f"{provider}/{model}", 0.5, key_id if provider else None),
    parts,
    parts,
    st.sampled_from((None, "k1")),
)


@st.composite
def rule_sets(draw: Any) -> list[RoutingRule]:
    rules = []
    for number in range(draw(st.integers(0, 8))):
        scope = draw(st.sampled_from(ORDER))
        rules.append(
            rule(
                f"rule-{number}",
                draw(targets),
                draw(targets),
                when=draw(st.sampled_from(sorted(CONDITIONS))),
                scope=scope,
                scope_id=draw(st.sampled_from(SCOPE_IDS[scope])),
                priority=draw(st.integers(-2, 2)),
                created_at_ms=number,
                enabled=draw(st.integers(0, 4)) > 0,
                chain_rule=draw(st.booleans()),
                fallbacks=tuple(draw(st.lists(st.sampled_from(("a/", "b/x")), max_size=2))),
            )
        )
    return rules


callers = st.builds(
    Caller,
    virtual_key_id=st.sampled_from(("v1", "v2")),
    team_id=st.sampled_from(("", "t1", "t2")),
    customer_id=st.sampled_from(("", "c1")),
)


@settings(max_examples=300)
@given(rules=rule_sets(), caller=callers, provider=parts, model=parts, second=st.booleans(), explained=st.booleans())
def test_the_selection_is_what_the_contract_says(
    rules: list[RoutingRule], caller: Caller, provider: str, model: str, second: bool, explained: bool
):
    asked = request(f"{provider}/{model}", caller=caller)
    want = expected(rules, caller, asked.aim, lambda _: int(second))
    # As the store gives them: by priority, the newest first.
    stored = sorted(rules, key=lambda rule: (rule.priority, -rule.created_at_ms))

    async def run() -> Selection:
        return await select(
            Rules(stored).in_scope(caller),
            asked,
            UsageReader(USAGES),
            draw=lambda *_: 0.75 if second else 0.25,
            explained=explained,
        )

    selection = asyncio.run(run())
    assert [step.rule.id for step in selection.trace if step.matched] == want.applied
    if selection.route is None:
        assert want.applied == []
        return
    assert Aim(selection.route.provider, selection.route.model) == want.aim
    assert (selection.route.key_id, selection.route.fallbacks) == (want.key_id, want.fallbacks)
    assert explained or all(step.matched for step in selection.trace)
