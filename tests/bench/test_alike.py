"""What is compared is of the same kind: what is refused and what is admitted, what one call asks for and the next."""

from types import SimpleNamespace
from typing import Any

import pytest

from bench.plain_http import ask
from bench.promises import PROMISES
from bench.recording import replay_rate
from bench.scenarios.scenario import GATEWAY, reserve_body
from bench.steps import scripts_alone
from bench.traffic import GATEWAY_PATH, KEY, NUMBER, Traffic, post
from bench.world import World, opened_world
from service.store.keys import all_open_indexes


def opened(world: World) -> int:
    return sum(int(world.redis.zcard(index)) for index in all_open_indexes())


def limits_of(world: World, key: str) -> list[str]:
    asked = post(f"{GATEWAY_PATH}/explain", {**GATEWAY, "x-bf-vk": key}, reserve_body("one"))
    return [limit["scope"] for limit in ask(world.quotad.url, [asked])[0].json()["limits"]]


def test_what_is_refused_has_the_limits_of_what_is_admitted():
    with opened_world(20, used_up=2) as world:
        assert len(limits_of(world, world.keys[0])) == 10
        assert limits_of(world, world.used_up_keys[0]) == limits_of(world, world.keys[0])


def test_a_script_that_is_sent_again_has_its_work_to_do_again():
    with opened_world(20, used_up=2) as world:
        for place, scenario in enumerate(one for one in scripts_alone._MEASURED if one.name in ("reserve", "authorize")):
            context: Any = SimpleNamespace(world=world)
            number, sent = scripts_alone._recorded(context, scenario, 900_000_000_000 + place * 1_000_000, 100)
            before = opened(world)
            pipelines = scripts_alone._pipelines(sent, scripts_alone._name(context, sent, number), number, 100)
            replay_rate(world.redis_url, pipelines, 10, again=False)
            # But for those that were recorded.
            assert opened(world) - before >= sum(map(len, pipelines)) - 3, scenario.name


def test_every_place_has_a_key_of_its_own():
    traffic = Traffic((f"{KEY} {NUMBER} {KEY} {KEY}".encode(),), ("a", "b", "c", "d"))
    assert traffic.sample(1) == [b"b 000000000001 c d"]
    assert Traffic(traffic.requests).sample() == [b" 000000000000  "]


@pytest.mark.parametrize(
    "name, measured, told",
    [
        ("overspend", 0.0103, "0.0103"),
        ("overspend", 0, "0"),
        ("overspend", 1_030, "1,030"),
        ("sizes reserve all", 0.9476, "0.948"),
        ("sizes reserve all", 0.951, "0.95"),
        ("latency", 2.004, "2.004"),
        ("memory", 1.96, "1.96 KiB"),
    ],
)
def test_a_figure_does_not_belie_its_verdict(name: str, measured: float, told: str):
    promise = PROMISES[name]
    assert promise.measured_text(measured) == told
    number = float(told.removesuffix(promise.unit).replace(",", ""))
    assert promise.is_kept(number) == promise.is_kept(measured)
