"""A plan is kept as long as any reservation made by it may be asked about, and not much longer."""

from typing import Any

import pytest
from redis import Redis

from service.errors import StoreUnavailable
from service.reservation import Mode
from service.store import keys
from service.store.packed_plan import pack
from tests.store.plans import DAY, HOUR, MINUTE, NOW, budget, create, plan_of, tokens
from tests.store.quota_desk import RETENTION_MS, Desk

PLAN = plan_of(tokens("key", 10_000), budget("team", 10_000), mode=Mode.STRICT)
SAVED = keys.plan(pack(PLAN).digest)
MARGIN_MS = 2 * HOUR


@pytest.fixture(autouse=True)
def _owners(redis: Redis):
    create(redis, PLAN)


def lives_ms(redis: Redis) -> int:
    return int(redis.pttl(SAVED))


def check_lives(redis: Redis, lease_ms: int) -> None:
    """As long as it may take until it is released in the last moment, settled in the last one then, and this remembered."""
    wanted = lease_ms + 3 * RETENTION_MS
    assert wanted + MARGIN_MS // 2 < lives_ms(redis) <= wanted + MARGIN_MS


@pytest.mark.parametrize("lease_ms", [1_000, 10 * MINUTE, DAY])
async def test_a_plan_outlives_the_reservation(desk: Desk, redis: Redis, lease_ms: int):
    await desk.call(PLAN, "reserve", "a", 5, lease_ms=lease_ms)
    check_lives(redis, lease_ms)


async def test_what_nobody_reserved_needs_its_plan_for_replays_alone(desk: Desk, redis: Redis):
    assert await desk.call(PLAN, "settle unreserved", "a", 5) == "settled 5/0"
    check_lives(redis, 0)


@pytest.mark.parametrize("again", ["same worker", "another worker"])
async def test_a_longer_lease_has_the_plan_kept_longer(desk: Desk, redis: Redis, again: str):
    await desk.call(PLAN, "reserve", "a", 5, lease_ms=MINUTE)
    other = desk if again == "same worker" else desk.another_worker()
    await other.call(PLAN, "reserve", "b", 5, lease_ms=DAY)
    check_lives(redis, DAY)


@pytest.mark.parametrize("verb, values", [("reserve", ("b", 5)), ("settle unreserved", ("b", 5)), ("renew", ("a", MINUTE))])
async def test_a_shorter_lease_does_not_shorten_the_life_of_a_plan(desk: Desk, redis: Redis, verb: str, values: tuple[Any, ...]):
    await desk.call(PLAN, "reserve", "a", 5, lease_ms=DAY)
    await desk.another_worker().call(PLAN, verb, *values)
    check_lives(redis, DAY)


@pytest.mark.parametrize("by", ["same worker", "another worker"])
async def test_a_renewed_lease_has_its_plan_as_long(desk: Desk, redis: Redis, by: str):
    await desk.call(PLAN, "reserve", "a", 5, lease_ms=MINUTE)
    other = desk if by == "same worker" else desk.another_worker()
    assert (await other.call(PLAN, "renew", "a", DAY)).startswith("renewed")
    check_lives(redis, DAY)


async def test_a_plan_that_was_refused_before_is_kept_for_the_lease_that_is_admitted(desk: Desk, redis: Redis):
    await desk.call(PLAN, "reserve", "a", 5, lease_ms=MINUTE)
    other = desk.another_worker()
    assert (await other.call(PLAN, "reserve", "b", 10_000)).startswith("refused")
    # Its text is not sent at first: the one that is there would be gone too early.
    assert await other.call(PLAN, "reserve", "c", 5, lease_ms=DAY) == "granted 5/0"
    check_lives(redis, DAY)


async def test_a_settlement_in_the_last_moment_is_told_again_as_long_as_others(desk: Desk, redis: Redis):
    await desk.call(PLAN, "reserve", "a", 5, lease_ms=DAY)
    end = NOW + DAY + RETENTION_MS
    assert await desk.at(end).call(PLAN, "settle", "a", 5) == "settled 5/0"
    # What is left of the life of the plan by then is more than what is left of the reservation's.
    assert lives_ms(redis) - DAY - RETENTION_MS > redis.pttl(keys.reservation("a"))


async def test_what_is_settled_after_it_was_released_in_the_last_moment_is_told_again_as_long(desk: Desk, redis: Redis):
    await desk.call(PLAN, "reserve", "a", 5, lease_ms=MINUTE)
    at, life_ms = NOW + MINUTE + RETENTION_MS, lives_ms(redis)
    assert await desk.at(at).call(PLAN, "release", "a") == "released"
    assert await desk.at(at + RETENTION_MS).call(PLAN, "settle", "a", 5) == "settled 5/0"
    assert life_ms - MARGIN_MS + MINUTE > MINUTE + 2 * RETENTION_MS + redis.pttl(keys.reservation("a"))


async def test_a_worker_that_dies_behind_a_renewal_has_saved_the_plan(desk: Desk, redis: Redis, monkeypatch: pytest.MonkeyPatch):
    await desk.call(PLAN, "reserve", "a", 5, lease_ms=MINUTE)
    ask = type(desk.reservations)._ask

    async def dies(self, script, call):
        await ask(self, script, call)
        raise StoreUnavailable("killed")

    with monkeypatch.context() as patched:
        patched.setattr(type(desk.reservations), "_ask", dies)
        with pytest.raises(StoreUnavailable):
            await desk.call(PLAN, "renew", "a", DAY)
    check_lives(redis, DAY)


async def test_a_plan_that_is_just_long_enough_there_outlives_all_that_it_is_taken_for(desk: Desk, redis: Redis):
    """Leases end at round times: up to 500 seconds later than a day from now."""
    await desk.call(PLAN, "reserve", "a", 5, lease_ms=DAY)
    worker = desk.another_worker().at(NOW + 1)
    assert (await worker.call(PLAN, "reserve", "b", 10_000)).startswith("refused")
    redis.pexpire(SAVED, DAY + 3 * RETENTION_MS + HOUR + MINUTE)
    assert await worker.call(PLAN, "reserve", "c", 5, lease_ms=DAY) == "granted 5/0"
    # The worker takes it for saved for an hour.
    assert lives_ms(redis) >= HOUR + redis.pttl(keys.reservation("c")) + 2 * RETENTION_MS


async def test_a_settlement_that_finds_redis_empty_leaves_its_plan_there(desk: Desk, redis: Redis):
    await desk.call(PLAN, "settle unreserved", "a", 5)
    redis.flushall()
    redis.script_flush()
    create(redis, PLAN)
    assert await desk.call(PLAN, "settle unreserved", "b", 5) == "settled 5/0"
    assert await desk.another_worker().call(PLAN, "settle", "b", 5) == "settled again 5/0"
