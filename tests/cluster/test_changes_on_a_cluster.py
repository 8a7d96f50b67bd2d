"""Windows of providers and models change while requests are in flight: the version of what limits all keys is in another slot."""

from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from service.entities import CounterEdits, LimitOwner, RateLimit
from service.governance.virtual_keys import new_value
from service.models.enforcement import ReserveRequest
from service.models.parsing import parse
from service.quota.enforcer import open_enforcer
from service.quota.explain import explain
from service.quota.reserve import Admission, reserve
from service.reservation import Plan
from service.settings import Settings
from service.store import keys
from service.store.connection import Store
from service.windows import CarryOver, Window
from tests.enforcement.world import Limits, World, model_config, provider, provider_config, virtual_key
from tests.store.plans import HOUR, MINUTE, NOW
from tests.store.quota_desk import Desk

WINDOWS = {"1m": Window(MINUTE, ""), "1h": Window(HOUR, "")}
LATER = NOW + 5 * MINUTE
OWNERS = {"provider": provider, "model config": lambda **members: model_config("model", **members)}
KEY = virtual_key("key", provider_configs=(provider_config(1),))


class Changing:
    """A key and one owner that limits all keys; its tokens and requests are counted in one window, later in another."""

    def __init__(self, world: World, owner: str) -> None:
        self._world = world
        self._make: Any = OWNERS[owner]

    async def plan(self, window: str) -> Plan:
        self._window = window
        self._rate = Limits().rate(1000, 100, window, window)
        self._owner: LimitOwner = self._make(rate_limit=self._rate)
        await self._world.create(KEY, self._owner)
        return await self.current_plan()

    async def plan_after(self, window: str) -> Plan:
        carried = CarryOver(usage=None, last_reset_ms=None, was=WINDOWS[self._window], into=WINDOWS[window])
        changed: RateLimit = replace(self._rate, token_reset_duration=window, request_reset_duration=window)
        slots = (self._rate.token_slot, self._rate.request_slot)
        await self._world.change(self._owner, CounterEdits(dict.fromkeys(slots, carried), set()), rate_limit=changed)
        return await self.current_plan()

    async def plan_after_a_change_of_the_key(self) -> Plan:
        await self._world.change(KEY, name="another name")
        return await self.current_plan()

    async def current_plan(self) -> Plan:
        return await self._world.plan("key")


@pytest.fixture(params=OWNERS)
def changing(request: pytest.FixtureRequest, store: Store) -> Changing:
    return Changing(World(store, NOW), request.param)


@pytest.fixture(params=["who made it", "another worker"])
def later(request: pytest.FixtureRequest, desk: Desk) -> Desk:
    """The worker that is asked after the change."""
    return desk if request.param == "who made it" else desk.another_worker()


async def test_a_settlement_counts_in_a_shorter_window(changing: Changing, desk: Desk, later: Desk):
    """By the hour it was reserved by, it would be counted in a minute that is over, so not at all."""
    old = await changing.plan("1h")
    assert await desk.call(old, "reserve", "a", 100) == "granted 100/0"
    new = await changing.plan_after("1m")
    assert await later.at(LATER).call(new, "settle", "a", 50) == "settled 50/0"
    assert await later.counters(new) == "50+0 0+0"


@pytest.mark.parametrize(
    ("call", "answer", "counters"),
    [
        (("settle", "a", 50), "settled 50/0", "60+0 2+0"),
        (("settle failed", "a", 50), "settled 50/0", "60+0 1+0"),
        (("release", "a"), "released", "10+0 1+0"),
        (("renew", "a", 30 * MINUTE), f"renewed until {35 * MINUTE}", "10+100 2+0"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
async def test_what_follows_keeps_what_a_longer_window_counts(
    changing: Changing, desk: Desk, later: Desk, call: tuple[Any, ...], answer: str, counters: str
):
    """By the minute it was reserved by, what was used in the first one would be forgotten."""
    old = await changing.plan("1m")
    assert await desk.call(old, "reserve", "a", 100) == "granted 100/0"
    assert await desk.call(old, "settle unreserved", "b", 10) == "settled 10/0"
    new = await changing.plan_after("1h")
    assert await later.at(LATER).call(new, *call) == answer
    assert await later.counters(new) == counters


async def test_a_lease_that_runs_out_is_charged_into_a_longer_window(changing: Changing, desk: Desk):
    charging = desk.another_worker(charge_expired=True)
    old = await changing.plan("1m")
    assert await charging.call(old, "reserve", "a", 100) == "granted 100/0"
    assert await charging.call(old, "settle unreserved", "b", 10) == "settled 10/0"
    new = await changing.plan_after("1h")
    assert await charging.at(NOW + 11 * MINUTE).call(new, "sweep") == "1 expired"
    assert await charging.counters(new) == "110+0 2+0"


async def test_an_attempt_by_an_old_plan_leaves_a_longer_window_as_it_is(changing: Changing, desk: Desk, later: Desk):
    """It takes its part by the minute, learns that the plan is stale, gives back: the requests of the hour must still count."""
    old = await changing.plan("1m")
    for request_id in "abc":
        assert await desk.call(old, "reserve", request_id, 10) == "granted 10/0"
    new = await changing.plan_after("1h")
    assert await later.at(LATER).call(old, "reserve", "d", 10) == "stale"
    assert await later.counters(new) == "0+30 3+0"
    # Known ids are answered all the same.
    assert await later.call(old, "reserve", "a", 10) == "replayed 10/0"
    assert await later.call(old, "other body", "a", 10) == "conflict"
    assert await later.counters(new) == "0+30 3+0"


async def test_a_change_of_the_key_makes_a_plan_stale_that_was_not_used_yet(changing: Changing, desk: Desk):
    """The version of the provider or model is read for it, that of the key is the one it was made of."""
    old = await changing.plan("1m")
    new = await changing.plan_after_a_change_of_the_key()
    assert await desk.call(old, "reserve", "a", 10) == "stale"
    assert await desk.call(new, "reserve", "a", 10) == "granted 10/0"


async def test_a_change_that_a_crash_cut_short_makes_a_plan_stale_once(changing: Changing, desk: Desk, redis: Redis):
    """The owner is changed, the version by which workers would notice is not raised: they go on, by the windows of now."""
    plan = await changing.plan("1m")
    assert await desk.call(plan, "reserve", "a", 10) == "granted 10/0"
    version = redis.hget(keys.versions(), "limits")
    await changing.plan_after("1h")
    redis.hset(keys.versions(), "limits", str(version))
    assert await desk.at(LATER).call(plan, "reserve", "b", 10) == "stale"
    assert await desk.call(plan, "reserve", "b", 10) == "granted 10/0"
    new = await changing.current_plan()
    assert await desk.counters(new) == "0+20 2+0"


async def test_limits_of_which_workers_are_not_told_yet_keep_no_request_waiting(store: Store, redis: Redis):
    """A crash after the limits were written and before the version was raised: they are learnt of with the next change."""
    value, world = new_value(), World(store, NOW)
    key = replace(KEY, id=keys.virtual_key_id(value), value=value)
    rate = Limits().rate(1000, 100)
    governance = provider(rate_limit=rate)
    await world.create(key, governance)
    enforcer = open_enforcer(Settings(), store)

    async def is_admitted(request_id: str) -> bool:
        request = parse(ReserveRequest, {"provider": "openai", "model": "gpt-4o", "request_id": request_id})
        assert (await explain(enforcer, request, value, request_id)).decision == "allow"
        return isinstance(await reserve(enforcer, request, value, request_id), Admission)

    assert await is_admitted("before")
    told: Any = redis.hgetall(keys.versions())
    await world.change(governance, rate_limit=replace(rate, token_max_limit=2000))
    redis.hset(keys.versions(), mapping=told)
    assert await is_admitted("after")
    await world.change(key, name="another name")
    assert await is_admitted("of a key that changed")
