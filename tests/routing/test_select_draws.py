"""Targets are drawn by weight: as often as the weight says, and always the same for one request."""

import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.routing.draw import draw_target, hashed
from tests.routing.rules import chosen, request, rule, target

DRAWS = 4_000


def within_bounds(found: int, probability: float) -> bool:
    """Five standard deviations: of a million right draws, one series fails."""
    return abs(found - DRAWS * probability) <= 5 * math.sqrt(DRAWS * probability * (1 - probability)) + 1e-9


async def distribution(targets, requests=None, **options) -> Counter[str]:
    rules = [rule("split", *targets)]
    found: Counter[str] = Counter()
    for number in range(DRAWS):
        route = (await chosen(rules, request("openai/m", request_id=f"request-{number}"), **options)).route
        assert route is not None
        found[route.provider or ""] += 1
    return found


WEIGHTS = [
    (1.0,),
    (0.5, 0.5),
    (0.9, 0.1),
    (0.99, 0.01),
    (0.333, 0.333, 0.334),
    (0.2, 0.2, 0.2, 0.2, 0.2),
    (0.7, 0.1),  # what an older quotad let through
]


@pytest.mark.parametrize("weights", WEIGHTS)
async def test_targets_are_drawn_as_often_as_their_weights_say(weights):
    found = await distribution([target(f"p{place}/", weight) for place, weight in enumerate(weights)])
    for place, weight in enumerate(weights):
        assert within_bounds(found[f"p{place}"], weight / sum(weights))


async def test_another_source_of_chance_can_be_put_in():
    chance = Random(7)
    found = await distribution([target("a/", 0.25), target("b/", 0.75)], draw=lambda *_: chance.random())
    assert within_bounds(found["a"], 0.25)


@pytest.mark.parametrize("drawn, expected", [(1e-19, "a"), (0.25, "a"), (0.2500001, "b"), (0.75, "b"), (0.76, "c"), (1.0, "c")])
def test_a_draw_falls_into_the_stretch_of_its_target(drawn, expected):
    targets = [target("a/", 0.25), target("b/", 0.5), target("c/", 0.25)]
    assert draw_target(targets, drawn).provider == expected


@given(
    weights=st.lists(st.floats(min_value=1e-9, max_value=1.0), min_size=1, max_size=20), drawn=st.floats(0, 1, exclude_min=True)
)
def test_every_draw_hits_a_target(weights, drawn):
    targets = [target(f"p{place}/", weight) for place, weight in enumerate(weights)]
    assert draw_target(targets, drawn) in targets


@given(st.text(), st.text())
def test_draws_are_numbers_above_0_and_at_most_1(request_id, subject):
    assert 0 < hashed(request_id, subject) <= 1
    assert hashed(request_id, subject) == hashed(request_id, subject)


async def test_the_same_request_goes_the_same_way_each_time():
    rules = [rule("split", target("a/", 0.5), target("b/", 0.5))]
    for number in range(50):
        asked = request(request_id=f"request-{number}")
        routes = {(await chosen(rules, asked)).route for _ in range(3)}
        assert len(routes) == 1


async def test_rules_and_steps_of_a_chain_draw_independently():
    """Or a request that was lucky once would be lucky always."""
    first = rule("first", target("/x", 0.5), target("/y", 0.5), when="model == 'm'", chain_rule=True)
    second = rule("second", target("a/", 0.5), target("b/", 0.5), when="model != 'm'")
    found: Counter[tuple[str | None, str | None]] = Counter()
    for number in range(DRAWS):
        route = (await chosen([first, second], request("openai/m", request_id=f"request-{number}"))).route
        assert route is not None
        found[route.provider, route.model] += 1
    assert len(found) == 4
    assert all(within_bounds(times, 0.25) for times in found.values())


@pytest.mark.parametrize(
    "avoided, expected",
    [
        (set(), {"a", "b", "openai"}),
        ({"a"}, {"b", "openai"}),
        ({"openai"}, {"a", "b"}),
        ({"a", "b"}, {"openai"}),
        ({"a", "b", "openai"}, {"a", "b", "openai"}),  # nothing else is left
    ],
)
async def test_providers_to_avoid_are_not_drawn_while_there_are_others(avoided, expected):
    found = await distribution([target("a/", 0.25), target("b/", 0.25), target("/", 0.5)], avoided=frozenset(avoided))
    assert set(found) == expected


async def test_what_is_drawn_instead_is_drawn_by_weight_too():
    """Of those that drew what is avoided: the others need not draw again."""
    rules = [rule("split", target("a/", 0.5), target("b/", 0.25), target("c/", 0.25))]
    instead: Counter[str | None] = Counter()
    for number in range(2 * DRAWS):
        asked = request(request_id=f"request-{number}")
        first = (await chosen(rules, asked)).route
        second = (await chosen(rules, asked, avoided=frozenset({"a"}))).route
        assert first is not None
        assert second is not None
        if first.provider == "a":
            instead[second.provider] += 1
    total = instead.total()
    assert abs(instead["b"] - total / 2) <= 5 * math.sqrt(total / 4)
