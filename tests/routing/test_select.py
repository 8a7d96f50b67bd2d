"""Which rule a request meets, and what the rule makes of it."""

from dataclasses import replace

import pytest

from service.routing.rules import NO_CANDIDATES, NOBODY, Rules
from service.routing.select import Aim
from service.routing.usage import Usage
from tests.routing.rules import CALLER, UsageReader, chosen, request, rule, target

ALL_SCOPES = [rule(scope, when="", scope=scope) for scope in ("global", "customer", "team", "virtual_key")]


@pytest.mark.parametrize(
    "missing, first",
    [
        ((), "virtual_key"),
        (("virtual_key",), "team"),
        (("virtual_key", "team"), "customer"),
        (("virtual_key", "team", "customer"), "global"),
    ],
)
async def test_the_nearest_scope_wins(missing, first):
    selection = await chosen([one for one in ALL_SCOPES if one.scope not in missing], request())
    assert selection.route is not None
    assert selection.route.rule_name == first


@pytest.mark.parametrize(
    "caller, rules",
    [
        (CALLER, ["virtual_key", "team", "customer", "global"]),
        (replace(CALLER, team_id=""), ["virtual_key", "customer", "global"]),
        (replace(CALLER, team_id="t2", customer_id="c2"), ["virtual_key", "global"]),
        (NOBODY, ["global"]),
    ],
)
def test_rules_in_scope(caller, rules):
    assert [prepared.rule.name for prepared in Rules(ALL_SCOPES).in_scope(caller).rules] == rules


def test_disabled_rules_are_no_rules():
    assert Rules([rule("off", enabled=False)]).in_scope(CALLER) == NO_CANDIDATES


def test_rules_are_compiled_when_their_scope_is_first_asked_for_and_then_kept():
    rules = Rules(ALL_SCOPES)
    assert rules.in_scope(CALLER).rules[0] is rules.in_scope(CALLER).rules[0]


def test_what_did_not_change_is_not_compiled_again():
    stays, goes = rule("stays", when="model == 'a'"), rule("goes", when="model == 'a'")
    changes = rule("changes", when="model == 'a'")
    old = Rules([stays, changes, goes])
    before = {prepared.rule.name: prepared for prepared in old.in_scope(CALLER).rules}
    new = Rules([stays, replace(changes, cel_expression="model == 'b'"), rule("comes")], old)
    after = {prepared.rule.name: prepared for prepared in new.in_scope(CALLER).rules}
    assert after.keys() == {"stays", "changes", "comes"}
    assert after["stays"] is before["stays"]
    assert after["changes"].condition != before["changes"].condition


@pytest.mark.parametrize(
    "conditions, winner",
    [
        (["model == 'gpt-4o'", ""], "0"),
        (["model == 'other'", "provider == 'openai'", ""], "1"),
        (["false", "request_type == 'embedding'", "team_name == 'team'"], "2"),
        (["headers['x-tier'] == 'gold'"], "0"),
        (["headers['X-Tier'] == 'gold'"], "0"),
        (["'X-Region' in params && params['x-region'] == 'eu'"], "0"),
        (["virtual_key_name == 'key' && customer_id == 'c1' && virtual_key_id == 'vk1' && team_id == 't1'"], "0"),
        (["headers['x-missing'] == ''", "   "], "1"),
        (["model.matches('^gpt-[0-9]o$')"], "0"),
        (["false", "false"], None),
    ],
)
async def test_the_first_rule_that_matches_wins(conditions, winner):
    rules = [rule(str(place), when=condition) for place, condition in enumerate(conditions)]
    selection = await chosen(rules, request(headers={"X-Tier": "gold"}, params={"X-REGION": "eu"}))
    assert (selection.route.rule_name if selection.route else None) == winner


@pytest.mark.parametrize(
    "asked, to, becomes",
    [
        ("openai/gpt-4o", "azure/gpt-5", Aim("azure", "gpt-5")),
        ("openai/gpt-4o", "azure/", Aim("azure", "gpt-4o")),
        ("openai/gpt-4o", "/gpt-5", Aim("openai", "gpt-5")),
        ("openai/gpt-4o", "/", Aim("openai", "gpt-4o")),
        ("/gpt-4o", "/", Aim(None, "gpt-4o")),
        ("/", "azure/", Aim("azure", None)),
        ("openai/gpt-4o", "openrouter/openai/gpt-4o", Aim("openrouter", "openai/gpt-4o")),
    ],
)
async def test_what_a_target_leaves_out_stays_as_it_was_asked(asked, to, becomes):
    route = (await chosen([rule("one", to)], request(asked))).route
    assert route is not None
    assert Aim(route.provider, route.model) == becomes


@pytest.mark.parametrize(
    "fallbacks, complete",
    [
        ((), ()),
        (("azure/gpt-4", "anthropic/"), ("azure/gpt-4", "anthropic/routed")),
        (("openrouter/openai/gpt-4o",), ("openrouter/openai/gpt-4o",)),
    ],
)
async def test_fallbacks_without_a_model_take_the_routed_one(fallbacks, complete):
    route = (await chosen([rule("one", "azure/routed", fallbacks=fallbacks)], request())).route
    assert route is not None
    assert route.fallbacks == complete


async def test_a_target_pins_a_key_of_the_provider():
    route = (await chosen([rule("one", target("azure/", key_id="k1"))], request())).route
    assert route is not None
    assert route.key_id == "k1"


async def test_without_rules_nothing_is_looked_at():
    selection = await chosen([], request())
    assert (selection.route, selection.trace, selection.end) == (None, (), "no_match")


BROKEN = [
    rule("missing", when="headers['x-missing'] == 'a'"),
    rule("index", when="['a'][3] == 'a'"),
    rule("division", when="1 / size(model.matches('x') ? 'a' : '') == 1"),
    rule("not-cel", when="model ==="),
    rule("no-boolean", when="model"),
    rule("unknown", when="budget > 1"),
    rule("no-targets", targets=()),
]


async def test_a_rule_that_fails_is_passed_over():
    selection = await chosen([*BROKEN, rule("good")], request(), explained=True)
    assert selection.route is not None
    assert selection.route.rule_name == "good"
    *passed_over, last = selection.trace
    assert [(step.rule.name, step.matched) for step in passed_over] == [(one.name, False) for one in BROKEN]
    assert all(step.error for step in passed_over)
    assert passed_over[0].error == "there is no key x-missing"
    assert passed_over[-1].error == "has no targets"
    assert (last.matched, last.error, last.target) == (True, None, target("good/"))


@pytest.mark.parametrize("explained, looked_at", [(False, ["hit"]), (True, ["miss", "hit"])])
async def test_the_trace_has_every_rule_that_was_looked_at_when_it_is_asked_for(explained, looked_at):
    rules = [rule("miss", when="false"), rule("hit"), rule("never")]
    selection = await chosen(rules, request(), explained=explained)
    assert [step.rule.name for step in selection.trace] == looked_at


async def test_the_trace_of_no_match():
    selection = await chosen([rule("miss", when="false")], request(), explained=True)
    assert [(step.rule.name, step.matched, step.error) for step in selection.trace] == [("miss", False, None)]
    assert (await chosen([rule("miss", when="false")], request())).trace == ()


@pytest.mark.parametrize(
    "condition, usage, matches",
    [
        ("budget_used > 80", Usage(budget_used=80.5), True),
        ("budget_used > 80.0", Usage(budget_used=80.0), False),
        ("tokens_used >= 100 || request >= 100", Usage(request=120.0), True),
        ("tokens_used >= 100 || request >= 100", Usage(tokens_used=99.9), False),
        ("budget_used == 0.0", Usage(), True),
    ],
)
async def test_conditions_see_how_full_the_limits_are(condition, usage, matches):
    selection = await chosen([rule("full", when=condition)], request(), UsageReader({"openai/gpt-4o": usage}))
    assert (selection.route is not None) is matches


@pytest.mark.parametrize(
    "conditions, asked",
    [
        (["model == 'gpt-4o'", "budget_used > 1"], []),  # never comes to the second
        (["model == 'other'", "budget_used > 1", "request > 1", "tokens_used > 1"], ["openai/gpt-4o"]),
        (["headers['request'] == 'tokens_used'"], []),
    ],
)
async def test_how_full_the_limits_are_is_read_once_and_only_for_a_rule_that_refers_to_it(conditions, asked):
    usage = UsageReader()
    await chosen([rule(str(place), when=condition) for place, condition in enumerate(conditions)], request(), usage)
    assert usage.asked == asked
