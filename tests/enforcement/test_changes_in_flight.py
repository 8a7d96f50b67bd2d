"""What an admin changes binds the very next decision, and requests in flight are settled by what is configured then."""

from dataclasses import replace

import pytest
from redis import Redis

from service.entities import Counter, CounterEdits, Kind, RateLimit
from service.reservation import Mode
from service.store.change import Change, commit
from service.store.connection import Store
from service.windows import CarryOver, Window, window_of
from tests.enforcement.world import Limits, World, model_config, provider, provider_config, six_kinds, team, virtual_key
from tests.store.owners import existing
from tests.store.plans import DAY, HOUR, MINUTE, NOW, usage_key
from tests.store.quota_desk import Desk
from tests.store.stored_counters import stored_counters


@pytest.fixture
async def world(store: Store) -> World:
    return World(store, NOW)


async def test_a_lower_limit_binds_the_next_decision(world: World, desk: Desk):
    limits = Limits()
    key = virtual_key("key", provider_configs=(provider_config(1),), rate_limit=limits.rate(None, 10))
    await world.create(key)
    plan = await world.plan("key")
    assert await desk.call(plan, "reserve", "a") == "granted 0/0"
    assert isinstance(key.rate_limit, RateLimit)
    await world.change(key, rate_limit=replace(key.rate_limit, request_max_limit=1))
    assert await desk.call(plan, "reserve", "b") == "stale"
    assert await desk.call(await world.plan("key"), "reserve", "b") == f"refused by 1, retry at {DAY}"


@pytest.mark.parametrize(
    "created",
    [
        provider(rate_limit=Limits().rate(5, None)),
        model_config("any", "*", rate_limit=Limits().rate(5, None)),
        model_config("this", of_provider="openai", budgets=(Limits().budget(5),)),
    ],
    ids=["provider", "model config for all", "model config for one provider"],
)
async def test_a_new_limit_for_all_keys_binds_the_next_decision(world: World, desk: Desk, created):
    await world.create(*(owner for owner in six_kinds() if owner.id != created.id))
    plan = await world.plan("key")
    assert await desk.call(plan, "reserve", "a", 1) == "granted 1/0"
    await world.create(created)
    assert await desk.call(plan, "reserve", "b", 1) == "stale"
    assert await desk.call(await world.plan("key"), "reserve", "b", 9, 9) in ("granted 5/9", "granted 9/5")


@pytest.mark.parametrize("owner", ["key", "team", "customer"])
async def test_any_change_of_key_team_or_customer_makes_a_plan_stale(world: World, desk: Desk, owner: str):
    owners = {entity.id: entity for entity in six_kinds()}
    await world.create(*owners.values())
    plan = await world.plan("key")
    await world.change(owners[owner], name="another name")
    assert await desk.call(plan, "reserve", "a") == "stale"
    assert await desk.call(await world.plan("key"), "reserve", "a") == "granted 0/0"


async def test_a_settlement_finds_the_windows_of_now(world: World, desk: Desk):
    """By the minute it was reserved by, the usage of the first hour would be forgotten."""
    limits = Limits()
    key = virtual_key("key", provider_configs=(provider_config(1),), rate_limit=limits.rate(1000, None, "1m"))
    await world.create(key)
    plan = await world.plan("key")
    await desk.call(plan, "reserve", "a", 100)
    await desk.call(plan, "settle unreserved", "b", 10)
    assert key.rate_limit is not None
    await world.change(
        key,
        CounterEdits(
            {key.rate_limit.token_slot: CarryOver(usage=None, last_reset_ms=None, was=Window(MINUTE, ""), into=Window(HOUR, ""))},
            set(),
        ),
        rate_limit=replace(key.rate_limit, token_reset_duration="1h"),
    )
    fresh = await world.plan("key")
    for worker in (desk, desk.another_worker()):
        await worker.at(NOW + 5 * MINUTE).call(fresh, "settle", "a", 50)
    assert await desk.counters(fresh) == "60+0 2+0"


async def test_a_limit_that_is_removed_is_not_charged(world: World, desk: Desk, redis: Redis):
    limits = Limits()
    budget, rate = limits.budget(1000), limits.rate(1000, 5)
    key = virtual_key("key", provider_configs=(provider_config(1),), budgets=(budget,), rate_limit=rate)
    await world.create(key)
    plan = await world.plan("key")
    for request_id in "abc":
        await desk.call(plan, "reserve", request_id, 100, 10)
    await world.change(key, rate_limit=None)
    fresh = await world.plan("key")
    assert await desk.counters(fresh) == "0+30"
    assert await desk.call(fresh, "settle", "a", 50, 5) == "settled 50/5"
    assert await desk.another_worker().call(fresh, "settle", "b", 50, 5) == "settled 50/5"
    assert await desk.call(fresh, "release", "c") == "released"
    assert await desk.counters(fresh) == "10+0"
    assert stored_counters(redis, usage_key("key")).keys() == {1}


async def test_an_owner_that_is_deleted_stays_deleted(world: World, desk: Desk, redis: Redis):
    limits = Limits()
    one = team("team", budgets=(limits.budget(1000),))
    key = virtual_key("key", team_id="team", provider_configs=(provider_config(1),), budgets=(limits.budget(1000),))
    await world.create(one, key)
    plan = await world.plan("key")
    for request_id in "ab":
        await desk.call(plan, "reserve", request_id, 0, 10)
    await world.delete(one)
    assert await desk.call(plan, "settle", "a", 0, 7) == "settled 0/7"
    assert not redis.exists(usage_key("team"))
    await world.delete(key)
    assert await desk.call(plan, "settle", "b", 0, 7) == "settled 0/7"
    assert await desk.call(plan, "settle", "b", 0, 7) == "settled again 0/7"
    assert not redis.exists(usage_key("key"))


async def test_a_provider_configured_anew_does_not_pay_for_what_went_before(world: World, desk: Desk):
    """Its slots begin with 1 again: the tokens of then must not become the dollars of now."""
    await world.create(*six_kinds({"provider": {"rate_limit": Limits().rate(1000, None)}}))
    plan = await world.plan("key")
    await desk.call(plan, "reserve", "a", 100)
    await world.delete(provider())
    await world.create(replace(provider(), budgets=(replace(Limits().budget(1000), id="another"),)))
    fresh = await world.plan("key")
    await desk.call(plan, "settle", "a", 50, 3)
    assert await desk.counters(fresh) == "0+0"


async def test_expired_leases_of_a_limit_that_was_removed(world: World, desk: Desk, redis: Redis):
    limits = Limits()
    budget, other = limits.budget(1000), limits.budget(1000, "1w")
    key = virtual_key("key", provider_configs=(provider_config(1),), budgets=(budget, other))
    await world.create(key)
    await desk.call(await world.plan("key"), "reserve", "a", 0, 100)
    await world.change(key, budgets=(budget,))
    assert await desk.at(NOW + HOUR).call(await world.plan("key"), "sweep") == "1 expired"
    assert redis.hgetall(usage_key("key")).keys() == {"v", "s0"}
    assert stored_counters(redis, usage_key("key")) == {1: Counter(0, NOW, 0)}


async def test_calendar_windows_are_those_of_the_key(world: World, desk: Desk):
    limits = Limits()
    key = virtual_key(
        "key",
        provider_configs=(provider_config(1, rate_limit=limits.rate(100, 3)),),
        calendar_aligned=True,
        budgets=(limits.budget(1000, "1M"),),
    )
    await world.create(key)
    plan = await world.plan("key")
    assert [limit.window for limit in plan.limits] == [window_of("1d", True), window_of("1d", True), window_of("1M", True)]
    await desk.call(plan, "reserve", "a", 10, 100)
    await desk.at(NOW + 7 * HOUR).call(plan, "settle", "a", 10, 100)
    assert await desk.counters(plan) == "10+0 0+0 100+0"


async def test_a_settlement_is_not_kept_waiting_by_admins(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch):
    """Who changes the configuration in every moment delays it by a few reads."""
    await world.create(*six_kinds({"customer": {"rate_limit": Limits().rate(100, 5)}}))
    plan = await world.plan("key", mode=Mode.STRICT)
    await desk.call(plan, "reserve", "a", 10)
    run, changes = desk.reservations.store.scripts.run, 0

    async def run_after_a_change(name, keys, args):
        nonlocal changes
        if name == "settle":
            changes += 1
            await world.change(team("team"), name=f"team {changes}")
        return await run(name, keys, args)

    monkeypatch.setattr(type(desk.reservations.store.scripts), "run", lambda _, *call: run_after_a_change(*call))
    assert await desk.call(plan, "settle", "a", 10) == "settled 10/0"
    assert changes > 3


async def test_a_commit_and_a_decision_do_not_mix(world: World, desk: Desk):
    """A replaced entity keeps its counters, whatever was taken between reading and writing it."""
    limits = Limits()
    key = virtual_key("key", provider_configs=(provider_config(1),), budgets=(limits.budget(1000),))
    await world.create(key)
    read_before = await existing(world.store, key)
    await desk.call(await world.plan("key"), "settle unreserved", "a", 0, 70)
    change = Change(0)
    change.replace(Kind.VIRTUAL_KEY, read_before, replace(read_before.entity, name="new"))
    assert await commit(world.store, change)
    assert await desk.counters(await world.plan("key")) == "70+0"
