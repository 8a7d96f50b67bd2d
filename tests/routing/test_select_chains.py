"""Rules that start evaluation over with what they made of the request."""

import pytest

from service.routing.select import DEPTH
from service.routing.usage import Usage
from tests.routing.rules import UsageReader, chosen, request, rule, target


def hop(name: str, when: str, to: str, **members):
    return rule(name, to, when=when, chain_rule=True, **members)


def counting(length: int):
    """Rules that raise the number a model ends with, one after the other."""
    return [hop(str(place), f"model == 'm{place}'", f"/m{place + 1}") for place in range(length)]


@pytest.mark.parametrize(
    "rules, asked, applied, becomes, end",
    [
        pytest.param(
            [hop("a", "model == 'small'", "/large"), rule("b", "azure/", when="model == 'large'")],
            "openai/small", ["a", "b"], "azure/large", "final_rule", id="the second sees what the first made",
        ),
        pytest.param(
            [hop("a", "model == 'small'", "/large")],
            "openai/small", ["a"], "openai/large", "no_match", id="nothing else matches",
        ),
        pytest.param(
            [rule("b", "azure/", when="model == 'large'"), hop("a", "model == 'small'", "/large")],
            "openai/small", ["a", "b"], "azure/large", "final_rule", id="evaluation starts over from the top",
        ),
        pytest.param(
            [rule("b", "azure/", when="model == 'small'"), hop("a", "model == 'small'", "/large")],
            "openai/small", ["b"], "azure/small", "final_rule", id="a final rule before it ends everything",
        ),
        pytest.param(
            [hop("a", "provider == 'one'", "two/"), hop("b", "provider == 'two'", "one/")],
            "one/m", ["a", "b"], "one/m", "seen_before", id="there and back",
        ),
        pytest.param(
            [hop("a", "", "/")], "openai/m", ["a"], "openai/m", "seen_before", id="a rule that changes nothing",
        ),
        pytest.param(
            [hop("a", "", "/large")], "openai/small", ["a", "a"], "openai/large", "seen_before", id="a rule that meets itself",
        ),
        pytest.param(
            [hop("a", "provider == ''", "openai/"), rule("b", "/large", when="provider == 'openai'")],
            "/small", ["a", "b"], "openai/large", "final_rule", id="no provider is a state, too",
        ),
        pytest.param(
            counting(DEPTH), "openai/m0", [str(place) for place in range(DEPTH)], f"openai/m{DEPTH}", "depth",
            id="ten in a row",
        ),
        pytest.param(
            counting(DEPTH + 5), "openai/m0", [str(place) for place in range(DEPTH)], f"openai/m{DEPTH}", "depth",
            id="no more than ten",
        ),
        pytest.param(
            counting(DEPTH - 1), "openai/m0", [str(place) for place in range(DEPTH - 1)], f"openai/m{DEPTH - 1}", "no_match",
            id="nine, and then no match",
        ),
    ],
)  # fmt: skip
async def test_chains(rules, asked, applied, becomes, end):
    selection = await chosen(rules, request(asked))
    assert selection.route is not None
    assert [step.rule.name for step in selection.trace] == applied
    assert f"{selection.route.provider}/{selection.route.model}" == becomes
    assert selection.route.rule_name == applied[-1]
    assert selection.end == end


@pytest.mark.parametrize(
    "last, key_id, fallbacks",
    [
        (rule("b", target("azure/", key_id="k2"), when="model == 'large'", fallbacks=("groq/",)), "k2", ("groq/large",)),
        (rule("b", "azure/", when="model == 'large'"), None, ()),
        (rule("b", when="false"), "k1", ("anthropic/large",)),
    ],
)
async def test_fallbacks_and_pin_of_the_last_applied_rule_win(last, key_id, fallbacks):
    first = rule("a", target("openai/large", key_id="k1"), when="model == 'small'", chain_rule=True, fallbacks=("anthropic/",))
    route = (await chosen([first, last], request("openai/small"))).route
    assert route is not None
    assert (route.key_id, route.fallbacks) == (key_id, fallbacks)


async def test_the_trace_says_where_the_request_was_headed_at_each_step():
    rules = [rule("b", "azure/", when="model == 'large'"), hop("a", "model == 'small'", "/large")]
    selection = await chosen(rules, request("openai/small"), explained=True)
    assert [(step.rule.name, step.aim.model, step.matched) for step in selection.trace] == [
        ("b", "small", False),
        ("a", "small", True),
        ("b", "large", True),
    ]


async def test_how_full_the_limits_are_is_read_anew_for_where_the_chain_leads():
    usage = UsageReader({"openai/m": Usage(budget_used=90.0), "azure/m": Usage(budget_used=95.0)})
    rules = [
        hop("a", "provider == 'openai' && budget_used > 80", "azure/"),
        hop("b", "provider == 'azure' && budget_used > 80", "groq/"),
        rule("c", "never/", when="budget_used > 80"),
    ]
    selection = await chosen(rules, request("openai/m"), usage)
    assert selection.route is not None
    assert (selection.route.provider, selection.end) == ("groq", "no_match")
    assert usage.asked == ["openai/m", "azure/m", "groq/m"]
