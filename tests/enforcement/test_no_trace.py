"""A refusal, and everything else that is answered without effect, leaves all of Redis as it was, byte for byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from service.reservation import Mode, Plan
from service.store.connection import Store
from tests.enforcement.dumps import dump, ends_at_ms, same_ends
from tests.enforcement.world import Limits, World, six_kinds
from tests.store.plans import DAY, HOUR, MINUTE, NOW
from tests.store.quota_desk import Desk


@pytest.fixture
def raw(redis_url: str) -> Redis:
    return Redis.from_url(redis_url)


@asynccontextmanager
async def unchanged(raw: Redis) -> AsyncIterator[None]:
    before, ends = dump(raw), ends_at_ms(raw)
    yield
    assert dump(raw) == before
    assert same_ends(ends_at_ms(raw), ends)


async def exhausted(store: Store, desk: Desk, mode: Mode = Mode.STRICT) -> Plan:
    """Six kinds of owners, each with limits that one open and one settled request have used up; some of it held."""
    limits = {
        kind: {"budgets": (own.budget(100, "1h"), own.budget(100, "1d")), "rate_limit": own.rate(100, 2, "1m", "1h")}
        for kind in ("provider", "model_config", "team", "customer")
        for own in [Limits()]
    }
    own = Limits()
    limits["virtual_key"] = {"budgets": (own.budget(100),), "rate_limit": own.rate(100, 2)}
    limits["provider_config"] = {"budgets": (own.budget(100),), "rate_limit": own.rate(100, 2)}
    world = World(store, NOW)
    await world.create(*six_kinds(limits))
    plan = await world.plan("key", mode=mode)
    assert await desk.call(plan, "reserve", "settled", 50, 50) == "granted 50/50"
    assert await desk.call(plan, "settle", "settled", 50, 50) == "settled 50/50"
    assert await desk.call(plan, "reserve", "open", 50, 50) == "granted 50/50"
    assert await desk.call(plan, "reserve", "released", 0, 0) != "granted 0/0"
    return plan


WITHOUT_EFFECT: list[tuple[str, str, tuple[Any, ...]]] = [
    ("refused by 0,1", "reserve", ("new", 1, 1)),
    ("would be refused by 0", "explain", ("", 1, 1)),
    ("replayed", "reserve", ("open", 50, 50)),
    ("replayed", "reserve", ("settled", 50, 50)),
    ("conflict", "other body", ("open", 50, 50)),
    ("settled again", "settle", ("settled", 1, 1)),
    ("conflict", "release", ("settled",)),
    ("unknown", "settle", ("never", 1, 1)),
    ("unknown", "renew", ("never", 1000)),
    ("unknown", "renew", ("settled", 1000)),
    ("renewed", "renew", ("open", 1000)),
    ("nothing to release", "release", ("never",)),
    ("0 expired", "sweep", ()),
]


@pytest.mark.parametrize("mode", Mode)
async def test_what_has_no_effect_leaves_no_trace(store: Store, desk: Desk, raw: Redis, redis: Redis, mode: Mode):
    plan = await exhausted(store, desk, mode) if mode is not Mode.POSTPAID else await spent(store, desk)
    for expected, verb, values in WITHOUT_EFFECT:
        # Neither the worker that did it all nor one that knows nothing yet writes anything.
        for worker in (desk, desk.another_worker(), desk.another_worker(charge_expired=True)):
            async with unchanged(raw):
                answer = await worker.call(plan, verb, *values)
        assert answer.startswith(expected.split(" by ")[0]), (verb, values)


async def spent(store: Store, desk: Desk) -> Plan:
    own = Limits()
    await World(store, NOW).create(*six_kinds({"customer": {"budgets": (own.budget(50),), "rate_limit": own.rate(50, 2)}}))
    plan = await World(store, NOW).plan("key", mode=Mode.POSTPAID)
    for request_id in ("settled", "open"):
        await desk.call(plan, "reserve", request_id, 50, 50)
    await desk.call(plan, "settle", "settled", 50, 50)
    return plan


async def test_refusals_write_nothing_back_of_what_ran_out_or_is_over(store: Store, desk: Desk, raw: Redis):
    """Windows that are over and leases that ran out are taken into account; writing that down is for who is admitted."""
    plan = await exhausted(store, desk)
    for late_ms in (MINUTE, 10 * MINUTE, HOUR):
        worker = desk.another_worker(charge_expired=late_ms == HOUR)
        async with unchanged(raw):
            assert (await worker.at(NOW + late_ms).call(plan, "explain", "", 1, 1)).startswith("would be refused")
            assert (await worker.call(plan, "reserve", "new", 1, 1)).startswith("refused by")
    assert (await desk.at(NOW + DAY).call(plan, "reserve", "new", 1, 1)) == "granted 1/1"


async def test_stale_and_blocked_calls_leave_no_trace(store: Store, desk: Desk, raw: Redis):
    world = World(store, NOW)
    owners = six_kinds({"team": {"budgets": (Limits().budget(100),)}})
    await world.create(*owners)
    old = await world.plan("key")
    await world.change(owners[1], name="another")
    blocked = await world.plan("key", provider="anthropic")
    async with unchanged(raw):
        assert await desk.call(old, "reserve", "a", 1) == "stale"
        assert await desk.call(old, "settle unreserved", "a", 1) == "stale"
        assert await desk.call(old, "explain", "", 1) == "stale"
        assert await desk.call(blocked, "reserve", "a", 1) == "blocked"
        assert await desk.call(blocked, "explain", "", 1) == "would be blocked"


async def test_a_refusal_beside_an_admission_of_the_same_batch(store: Store, desk: Desk, redis: Redis):
    """Calls of one tick go out together; what one of them is refused leaves no trace in what the others write."""
    own = Limits()
    await World(store, NOW).create(*six_kinds({"virtual_key": {"rate_limit": own.rate(100, 3)}}))
    plan = await World(store, NOW).plan("key", mode=Mode.STRICT)
    answers = await asyncio.gather(*(desk.call(plan, "reserve", str(number), 40) for number in range(5)))
    assert sorted(answer.split()[0] for answer in answers) == ["granted", "granted", "refused", "refused", "refused"]
    assert await desk.counters(plan) == "0+80 2+0"
    assert len([name for name in redis.scan_iter() if ":id:" in str(name)]) == 2


async def test_every_key_of_a_request_goes_by_itself(store: Store, desk: Desk, raw: Redis):
    plan = await exhausted(store, desk)
    await desk.call(plan, "settle unreserved", "late", 1, 1)
    await desk.call(plan, "renew", "open", 20 * MINUTE)
    lasting = {name for name, (_, goes) in dump(raw).items() if not goes}
    assert {name.rpartition(":")[2] for name in lasting if not name.startswith("q1:{directory}")} == {"config", "usage"}


async def test_when_the_keys_of_a_request_go(store: Store, raw: Redis, redis_url: str, desk: Desk):
    """On the clock of Redis: lease and retention while it is open, the retention once it is done."""
    own = Limits()
    world = World(store, NOW)
    await world.create(*six_kinds({"virtual_key": {"rate_limit": own.rate(100, 30)}}))
    plan = await world.plan("key")
    client: AsyncRedis = AsyncRedis.from_url(redis_url)
    live = Desk(Store(client, store.scripts))
    live.reservations.store = Store(client, store.scripts)
    await live.outcome(plan, "reserve", "running", 1)
    await live.outcome(plan, "reserve", "settled", 1)
    await live.outcome(plan, "settle", "settled", 1)
    await live.outcome(plan, "reserve", "released", 1)
    await live.outcome(plan, "release", "released")
    seconds, microseconds = raw.time()
    now_ms = seconds * 1000 + microseconds // 1000
    left_ms = {name.rpartition(":")[2]: ends - now_ms for name, ends in ends_at_ms(raw).items()}
    for name, expected_ms in [
        ("running", 20 * MINUTE),
        ("settled", 10 * MINUTE),
        ("released", 10 * MINUTE),
        ("plan", 2 * HOUR + 40 * MINUTE),
        ("open", 25 * HOUR + 10 * MINUTE),
    ]:
        assert expected_ms - MINUTE < left_ms[name] < expected_ms + MINUTE, name
    await client.aclose()
