"""On a real Redis Cluster: no CROSSSLOT, exact limits, a refusal in one slot gives back the others, retries change nothing."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from redis import Redis
from redis.crc import key_slot

from service.errors import StoreUnavailable
from service.reservation import LimitKind, Mode, Plan, Refused, Replayed
from service.store import keys
from service.store.connection import Store
from service.store.packed_plan import pack
from service.store.reservation_calls import Answer
from service.store.shards import shards_of
from tests.enforcement.clients import CLIENTS, Clients, Job
from tests.enforcement.lives import final_state
from tests.enforcement.machine import Machine
from tests.enforcement.test_differential import QUICK
from tests.enforcement.test_exactness import limits_of, usage_of
from tests.enforcement.world import World, six_kinds
from tests.store.plans import DAY, HOUR, MINUTE, NOW, budget, create, plan_of, requests, tokens, usage_key
from tests.store.quota_desk import Desk

EACH = 200


@pytest.fixture(scope="module")
def clients() -> Iterator[Clients]:
    running = Clients()
    yield running
    running.close()


async def six_kinds_plan(store: Store, mode: Mode = Mode.CLAMP, **tight: int) -> Plan:
    world = World(store, NOW)
    await world.create(*six_kinds(limits_of("team", **tight)))
    plan = await world.plan("key", mode=mode)
    assert len({key_slot(key.encode()) for key in pack(plan).usage_keys}) == len(plan.owners) == 5
    return plan


async def test_request_limits_admit_exactly_as_many(clients: Clients, store: Store, desk: Desk, cluster_url: str):
    plan = await six_kinds_plan(store, requests=333)
    told = clients.run(
        lambda number: Job(cluster_url, f"client {number}", (plan,), EACH, (10, 10), (20, 20), settles=True, clustered=True)
    )
    assert (len(told.admitted), told.refused) == (333, CLIENTS * EACH - 333)
    assert await usage_of(desk, plan, LimitKind.REQUESTS) == {333}
    assert await usage_of(desk, plan, LimitKind.TOKENS) == {told.tokens}
    assert await usage_of(desk, plan, LimitKind.BUDGET) == {told.cost_nanousd}


async def test_limits_in_several_slots_are_never_passed(clients: Clients, store: Store, desk: Desk, cluster_url: str):
    """What one slot refuses may have been held for a moment in another: fewer are admitted at times, never more."""
    world = World(store, NOW)
    limits = limits_of("team", requests=150, tokens=2_000) | {"customer": limits_of("customer", requests=150)["customer"]}
    await world.create(*six_kinds(limits))
    plan = await world.plan("key", mode=Mode.STRICT)
    told = clients.run(
        lambda number: Job(cluster_url, f"client {number}", (plan,), EACH, (20, 10), (20, 10), settles=True, clustered=True)
    )
    assert 75 <= len(told.admitted) <= 150
    assert told.tokens <= 2_000
    assert await usage_of(desk, plan, LimitKind.REQUESTS) == {len(told.admitted)}
    assert await usage_of(desk, plan, LimitKind.TOKENS) == {told.tokens}


async def test_a_refusal_in_one_slot_gives_back_the_others(store: Store, desk: Desk, redis: Redis):
    plan = await six_kinds_plan(store, tokens=100)
    assert await desk.call(plan, "reserve", "first", 100, 5) == "granted 100/5"
    before, lasting = await desk.counters(plan), set(redis.scan_iter())
    for number in range(5):
        assert (await desk.call(plan, "reserve", f"refused {number}", 1, 1)).startswith("refused by")
    assert await desk.counters(plan) == before
    assert set(redis.scan_iter()) == lasting
    assert await desk.call(plan, "release", "first") == "released"
    assert await desk.call(plan, "reserve", "refused 0", 100, 5) == "granted 100/5"


async def test_who_is_refused_in_advance_takes_nothing_anywhere(desk: Desk, redis: Redis):
    limits = (requests("provider", 5), tokens("key", 5), budget("team", 5))
    for plan, answer in [
        (plan_of(*limits, gate=1, blocked=True), "blocked"),
        (plan_of(*limits, gate=1, expires_at_ms=NOW), "expired"),
    ]:
        create(redis, plan)
        before = {key: redis.dump(key) for key in redis.scan_iter()}
        assert await desk.call(plan, "reserve", "a", 1, 1) == answer
        assert {key: redis.dump(key) for key in redis.scan_iter()} == before


@pytest.mark.parametrize("mode", Mode)
async def test_copies_change_nothing(redis: Redis, store: Store, mode: Mode):
    once = await final_state(redis, store, 1, (1, 1), mode)
    assert await final_state(redis, store, 1, (1, 5), mode) == once


def test_scripts_and_model_agree(cluster_url: str):
    machine = type("Machine", (Machine,), {"redis_url": cluster_url, "clustered": True})
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=8))


@pytest.mark.slow
def test_scripts_and_model_agree_for_long(cluster_url: str):
    machine = type("Machine", (Machine,), {"redis_url": cluster_url, "clustered": True})
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=150, stateful_step_count=40))


SLOTS = (tokens("key", 100), requests("key", 9), tokens("team", 100), budget("customer", 100))


async def abandoned(desk: Desk, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that dies when one slot has not answered yet: nothing is withdrawn."""
    with monkeypatch.context() as patched:
        patched.setattr(type(desk.reservations), "_withdraw", _nothing)
        patched.setattr("service.store.cluster_reservations.shards_of", lambda packed: shards_of(packed)[:-1])
        await desk.call(plan, "reserve", "a", 60, 7)


async def _nothing(*_: object) -> None: ...


async def test_a_crash_half_way_is_finished_by_a_retry(desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    plan = plan_of(*SLOTS)
    create(redis, plan)
    await abandoned(desk, plan, monkeypatch)
    assert await desk.counters(plan) == "0+60 1+0 0+60 0+0"
    assert await desk.another_worker().call(plan, "reserve", "a", 60, 7) == "replayed 60/7"
    assert await desk.counters(plan) == "0+60 1+0 0+60 0+7"
    assert await desk.call(plan, "settle", "a", 50, 5) == "settled 50/5"
    assert await desk.counters(plan) == "50+0 1+0 50+0 5+0"


async def test_a_crash_half_way_costs_nothing_after_the_lease(desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    plan = plan_of(*SLOTS)
    create(redis, plan)
    await abandoned(desk, plan, monkeypatch)
    assert await desk.at(NOW + 10 * MINUTE).counters(plan) == "0+0 1+0 0+0 0+0"


async def forget_head(redis: Redis, request_id: str) -> None:
    """Its node did not write it, or has lost it."""
    redis.delete(keys.reservation(request_id))
    redis.zrem(keys.open_index(request_id), request_id)


async def test_what_a_crash_left_by_another_plan_hinders_no_settlement(desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    plan, other = plan_of(*SLOTS), plan_of(*SLOTS, budget("team", 100))
    create(redis, other)
    await abandoned(desk, other, monkeypatch)
    await forget_head(redis, "a")
    assert await desk.counters(plan) == "0+60 1+0 0+60 0+0"
    worker = desk.another_worker()
    assert await worker.call(plan, "settle unreserved", "a", 50, 5) == "settled 50/5"
    assert await worker.call(plan, "settle unreserved", "a", 50, 5) == "settled again 50/5"
    assert await desk.counters(plan) == "50+60 2+0 50+60 5+0"
    assert await desk.at(NOW + 10 * MINUTE).counters(plan) == "50+0 2+0 50+0 5+0"


async def test_what_a_crash_left_admits_nobody_once_its_lease_has_run_out(
    desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch
):
    plan = plan_of(*SLOTS)
    create(redis, plan)
    await abandoned(desk, plan, monkeypatch)
    await forget_head(redis, "a")
    later = desk.another_worker().at(NOW + 10 * MINUTE)
    assert await later.call(plan, "reserve", "b", 100, 5) == "granted 100/5"
    with pytest.raises(StoreUnavailable):
        await later.call(plan, "reserve", "a", 60, 7)
    assert await later.counters(plan) == "0+100 2+0 0+100 0+5"


async def test_a_reservation_stays_listed_while_a_part_of_it_runs(desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    """By the clock of its node the lease ends a step later than by that of the head."""
    plan = plan_of(*SLOTS)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 60, 7)
    desk.at(NOW + 10 * MINUTE)
    with monkeypatch.context() as patched:
        patched.setattr(type(desk.reservations), "_on_parts", _still_running)
        assert await desk.call(plan, "sweep") == "0 expired"
    assert redis.zrange(keys.open_index("a"), 0, -1) == ["a"]
    assert await desk.call(plan, "sweep") == "1 expired"
    assert redis.zcard(keys.open_index("a")) == 0


async def _still_running(*_: object) -> list[tuple[None, Answer]]:
    return [(None, Answer(NOW, "running", []))]


async def test_a_settlement_that_stopped_half_way_is_finished_by_a_retry(
    desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch
):
    plan = plan_of(*SLOTS)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 60, 7)
    with monkeypatch.context() as patched:
        patched.setattr(type(desk.reservations), "_on_parts", _unavailable)
        with pytest.raises(StoreUnavailable):
            await desk.call(plan, "settle", "a", 50, 5)
    # The first settlement counts, whatever a later one says.
    assert await desk.another_worker().call(plan, "settle failed", "a", 99, 9) == "settled again 50/5"
    assert await desk.counters(plan) == "50+0 1+0 50+0 5+0"
    assert await desk.call(plan, "settle", "a", 50, 5) == "settled again 50/5"
    assert await desk.counters(plan) == "50+0 1+0 50+0 5+0"


async def _unavailable(*_: object) -> None:
    raise StoreUnavailable("gone")


async def test_a_slot_that_does_not_answer_has_the_others_withdrawn(desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    plan = plan_of(*SLOTS)
    create(redis, plan)
    ask = type(desk.reservations)._ask

    async def fails_for_the_team(self, script, call):
        answer = await ask(self, script, call)
        if script == "reserve" and call.any_key.startswith("q1:{team"):
            raise StoreUnavailable("it ran, but its answer was lost")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.reservations), "_ask", fails_for_the_team)
        with pytest.raises(StoreUnavailable):
            await desk.call(plan, "reserve", "a", 60, 7)
    assert await desk.counters(plan) == "0+0 0+0 0+0 0+0"
    assert await desk.call(plan, "reserve", "a", 60, 7) == "granted 60/7"


async def test_an_attempt_that_is_withdrawn_leaves_another_what_it_has(desk: Desk, redis: Redis):
    """Of many copies of a request some meet a limit that is full for a moment; all that are admitted are admitted once."""
    plan = plan_of(tokens("key", 100), requests("team", 1), requests("customer", 9))
    create(redis, plan)
    workers = [desk.another_worker() for _ in range(6)]
    answers = await asyncio.gather(
        *(worker.call(plan, "reserve", request_id, 50) for worker in workers for request_id in ("a", "b"))
    )
    told = {answer.split()[0] for answer in answers}
    assert told <= {"granted", "replayed", "refused"}
    counters = await desk.counters(plan)
    assert counters in ("0+50 1+0 1+0", "0+0 0+0 0+0")
    assert ("granted" in told) == (counters != "0+0 0+0 0+0")


async def test_who_repeats_a_reserve_when_the_lease_has_ended_can_settle_what_they_were_told(
    desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch
):
    """Whatever the worker that was asked first, and could neither finish nor withdraw it, takes back afterwards."""
    plan = plan_of(*SLOTS)
    create(redis, plan)
    ask = type(desk.reservations)._ask

    async def withdraws_nothing(self, script, call):
        if script == "withdraw":
            raise StoreUnavailable("gone")
        return await ask(self, script, call)

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.reservations), "_ask", withdraws_nothing)
        patched.setattr(type(desk.reservations._plans), "save", _unavailable)
        with pytest.raises(StoreUnavailable):
            await desk.call(plan, "reserve", "a", 60, 7)
    worker = desk.another_worker().at(NOW + 10 * MINUTE)
    assert await worker.call(plan, "reserve", "a", 60, 7) == "replayed 60/7"
    expiries = {key: redis.pttl(key) for key in redis.scan_iter("q1:*:id:a")}
    await desk.at(NOW + 11 * MINUTE).call(plan, "sweep")
    assert all(0 < redis.pttl(key) <= expiry for key, expiry in expiries.items())
    assert redis.zcard(keys.open_index("a")) == 0
    assert await worker.call(plan, "settle", "a", 50, 5) == "settled 50/5"
    assert await worker.counters(plan) == "50+0 1+0 50+0 5+0"


async def test_a_replay_after_the_configuration_changed(store: Store, desk: Desk):
    world = World(store, NOW)
    owners = six_kinds(limits_of("team", tokens=100))
    await world.create(*owners)
    old = await world.plan("key")
    assert await desk.call(old, "reserve", "a", 60, 7) == "granted 60/7"
    await world.change(owners[1], name="another name")
    new = await world.plan("key")
    again = await desk.another_worker().outcome(new, "reserve", "a", 60, 7)
    assert isinstance(again, Replayed)
    assert again.plan == old
    assert await desk.call(new, "other body", "a", 60, 7) == "conflict"
    assert await desk.counters(new) == await desk.counters(new)
    assert await desk.call(new, "settle", "a", 60, 7) == "settled 60/7"


async def test_when_trying_again_helps(desk: Desk, redis: Redis):
    plan = plan_of(tokens("key", 100), requests("team", 1), budget("customer", 10))
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 100, 10)
    refused = await desk.outcome(plan, "reserve", "b", 1, 1)
    assert isinstance(refused, Refused)
    assert (refused.violations, refused.retry_at_ms) == ((0, 1, 2), NOW + DAY)
    assert [state.usage + state.held for state in refused.states] == [100, 1, 10]


async def test_records_of_parts_outlive_the_head(desk: Desk, redis: Redis):
    plan = plan_of(*SLOTS)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 60, 7)
    await desk.call(plan, "renew", "a", HOUR)
    await desk.call(plan, "settle", "a", 60, 7)
    head = redis.pttl(keys.reservation("a"))
    parts = [redis.pttl(key) for key in redis.scan_iter() if str(key).endswith(":id:a") and key != keys.reservation("a")]
    assert len(parts) == 3
    assert all(part > head + 50_000 for part in parts)
    assert {key for key in redis.scan_iter() if redis.pttl(key) < 0} == {usage_key(name) for name in ("key", "team", "customer")}


async def test_whoever_is_told_the_first_answer_can_settle(desk: Desk, redis: Redis):
    """Also where the attempt that made it did not come to save its plan."""
    plan = plan_of(*SLOTS)
    create(redis, plan)
    assert await desk.call(plan, "reserve", "a", 60, 7) == "granted 60/7"
    for key in redis.scan_iter(match="q1:{plan:*"):
        redis.delete(key)
    assert await desk.another_worker().call(plan, "reserve", "a", 60, 7) == "replayed 60/7"
    assert await desk.another_worker().call(plan, "settle", "a", 50, 5) == "settled 50/5"
