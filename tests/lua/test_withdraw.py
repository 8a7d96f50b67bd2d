"""lua/withdraw.lua: one attempt's part goes back as if it had never been asked; what another attempt has stays."""

from collections.abc import Sequence

import pytest
from redis import Redis

from service.entities import Kind
from service.reservation import Plan
from service.store import keys
from service.store.keys import Ref
from service.store.packed_plan import pack
from service.store.reservation_calls import Answer, Call, run_calls
from service.windows import Window
from tests.store.plans import MINUTE, NOW, budget, create, plan_of, requests, tokens
from tests.store.quota_desk import RETENTION_MS, Desk

MINUTELY = Window(MINUTE, "")
PLAN = plan_of(tokens("key", 100, MINUTELY), requests("key", 9, MINUTELY), budget("key", 50), global_version=-1)
RECORD = keys.reservation_part(Ref(Kind.VIRTUAL_KEY, "key"), "a")


async def part(desk: Desk, plan: Plan, script: str, attempt: str, fingerprint: str = "same") -> str:
    """A call on the part of a request that lies in one slot."""
    numbers, texts = {
        "reserve": ((60, 5, 10 * MINUTE, 1, 0), (b"{}", fingerprint, "", attempt)),
        "withdraw": ((), (attempt,)),
        "settle": ((60, 5, 1, 0), (b"{}", "")),
        "release": ((), ()),
    }[script]
    call = Call(pack(plan), numbers, ("a", *texts), RECORD)
    (answer,) = await run_calls(desk.reservations.store, script, [call], retention_ms=RETENTION_MS)
    assert isinstance(answer, Answer)
    return answer.word


# Milliseconds since the beginning, script, attempt, answer, counters afterwards.
Row = tuple[int, str, str, str, str]

TABLES: dict[str, Sequence[Row]] = {
    "the only attempt": [
        (0, "reserve", "x", "granted", "0+60 1+0 0+5"),
        (0, "withdraw", "x", "withdrawn", "0+0 0+0 0+0"),
        (0, "withdraw", "x", "done", "0+0 0+0 0+0"),
        (0, "reserve", "y", "granted", "0+60 1+0 0+5"),
    ],
    "one of two attempts": [
        (0, "reserve", "x", "granted", "0+60 1+0 0+5"),
        (0, "reserve", "y", "replayed", "0+60 1+0 0+5"),
        (0, "withdraw", "x", "kept", "0+60 1+0 0+5"),
        (0, "withdraw", "x", "done", "0+60 1+0 0+5"),
        (0, "withdraw", "y", "withdrawn", "0+0 0+0 0+0"),
    ],
    "an attempt that was not made": [
        (0, "withdraw", "x", "done", "0+0 0+0 0+0"),
        (0, "reserve", "x", "granted", "0+60 1+0 0+5"),
        (0, "withdraw", "y", "done", "0+60 1+0 0+5"),
    ],
    "not what was settled since": [
        (0, "reserve", "x", "granted", "0+60 1+0 0+5"),
        (0, "settle", "x", "settled", "60+0 1+0 5+0"),
        (0, "withdraw", "x", "done", "60+0 1+0 5+0"),
        (0, "reserve", "y", "replayed", "60+0 1+0 5+0"),
        (0, "withdraw", "y", "done", "60+0 1+0 5+0"),
    ],
    "not what was released since": [
        (0, "reserve", "x", "granted", "0+60 1+0 0+5"),
        (0, "release", "x", "released", "0+0 0+0 0+0"),
        (0, "withdraw", "x", "done", "0+0 0+0 0+0"),
    ],
    "a window that it began was none": [
        (90_000, "reserve", "x", "granted", "0+60 1+0 0+5"),
        (91_000, "withdraw", "x", "withdrawn", "0+0 0+0 0+0"),
        (120_000, "reserve", "y", "granted", "0+60 1+0 0+5"),
        (179_999, "reserve", "y", "replayed", "0+60 1+0 0+5"),
        (180_000, "reserve", "y", "replayed", "0+60 0+0 0+5"),
    ],
    "a window that was there goes on": [
        (1_000, "reserve", "x", "granted", "0+60 1+0 0+5"),
        (2_000, "withdraw", "x", "withdrawn", "0+0 0+0 0+0"),
        (3_000, "reserve", "y", "granted", "0+60 1+0 0+5"),
        (60_000, "reserve", "y", "replayed", "0+60 0+0 0+5"),
    ],
}


@pytest.mark.parametrize("name", TABLES)
async def test_withdrawals(desk: Desk, redis: Redis, name: str):
    create(redis, PLAN)
    shown = plan_of(tokens("key", 100, MINUTELY), requests("key", 9, MINUTELY), budget("key", 50))
    for number, (after_ms, script, attempt, answer, counters) in enumerate(TABLES[name], start=1):
        desk.at(NOW + after_ms)
        assert (number, await part(desk, PLAN, script, attempt)) == (number, answer)
        assert (number, await desk.counters(shown)) == (number, counters)


async def test_nothing_is_left_of_it(desk: Desk, redis: Redis):
    create(redis, PLAN)
    before = {key: redis.type(key) for key in redis.scan_iter()}
    await part(desk, PLAN, "reserve", "x")
    await part(desk, PLAN, "withdraw", "x")
    assert {key: redis.type(key) for key in redis.scan_iter()} == before


async def test_another_body_is_no_attempt(desk: Desk, redis: Redis):
    create(redis, PLAN)
    await part(desk, PLAN, "reserve", "x")
    assert await part(desk, PLAN, "reserve", "y", fingerprint="another") == "conflict"
    assert await part(desk, PLAN, "withdraw", "y") == "done"
    assert await part(desk, PLAN, "withdraw", "x") == "withdrawn"


async def test_an_attempt_by_another_plan_is_told_nothing_and_keeps_nothing(desk: Desk, redis: Redis):
    """It cannot withdraw what it does not know."""
    create(redis, PLAN)
    changed = plan_of(tokens("key", 200, MINUTELY), requests("key", 9, MINUTELY), budget("key", 50), global_version=-1)
    await part(desk, PLAN, "reserve", "x")
    record = redis.dump(RECORD)
    assert await part(desk, changed, "reserve", "y") == "replayed"
    assert redis.dump(RECORD) == record
    assert await part(desk, PLAN, "withdraw", "x") == "withdrawn"


async def test_an_attempt_that_comes_when_the_lease_has_ended_prolongs_nothing(desk: Desk, redis: Redis):
    create(redis, PLAN)
    await part(desk, PLAN, "reserve", "x")
    desk.at(NOW + 11 * MINUTE)
    redis.pexpire(RECORD, 5_000)
    assert await part(desk, PLAN, "reserve", "y") == "replayed"
    assert 0 < redis.pttl(RECORD) <= 5_000


async def test_an_attempt_that_goes_when_the_lease_has_ended_prolongs_nothing(desk: Desk, redis: Redis):
    create(redis, PLAN)
    await part(desk, PLAN, "reserve", "x")
    await part(desk, PLAN, "reserve", "y")
    desk.at(NOW + 11 * MINUTE)
    redis.pexpire(RECORD, 5_000)
    assert await part(desk, PLAN, "withdraw", "x") == "kept"
    assert 0 < redis.pttl(RECORD) <= 5_000
