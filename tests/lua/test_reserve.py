"""lua/reserve.lua: who is admitted, what is taken, what is refused and when trying again makes sense."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from redis import Redis

from service.models.limit_owners import MAX_BUDGETS
from service.reservation import Granted, Mode, Plan, Refused, Replayed
from service.windows import Window
from tests.enforcement.world import Limits, World, provider, provider_config, virtual_key
from tests.store.plans import DAY, HOUR, MINUTE, NOW, budget, create, plan_of, requests, tokens
from tests.store.quota_desk import Desk, Row, check_rows

MINUTELY = Window(MINUTE, "")
SMALL = (tokens("key", 1000), requests("key", 3), budget("team", 50))

MODES: dict[str, tuple[Plan, Sequence[Row]]] = {
    "postpaid looks at usage alone and holds nothing": (
        plan_of(*SMALL, mode=Mode.POSTPAID),
        [
            (0, ("reserve", "a", 5000, 500), "granted 0/0", "0+0 1+0 0+0"),
            (0, ("settle", "a", 999, 49), "settled 999/49", "999+0 1+0 49+0"),
            (0, ("reserve", "b", 5000, 500), "granted 0/0", "999+0 2+0 49+0"),
            (0, ("settle", "b", 5000, 500), "settled 5000/500", "5999+0 2+0 549+0"),
            (0, ("reserve", "c", 1, 1), f"refused by 0,2, retry at {DAY}", "5999+0 2+0 549+0"),
        ],
    ),
    "clamp holds what is left, and refuses when nothing is": (
        plan_of(*SMALL, mode=Mode.CLAMP),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (0, ("reserve", "b", 600, 20), "granted 400/20", "0+1000 2+0 0+40"),
            (0, ("reserve", "c", 1, 1), f"refused by 0, retry at {10 * MINUTE}", "0+1000 2+0 0+40"),
            (0, ("reserve", "c"), f"refused by 0, retry at {10 * MINUTE}", "0+1000 2+0 0+40"),
            (0, ("settle", "b", 300, 10), "settled 300/10", "300+600 2+0 10+20"),
            (0, ("reserve", "d"), "granted 0/0", "300+600 3+0 10+20"),
            (0, ("reserve", "e"), f"refused by 1, retry at {DAY}", "300+600 3+0 10+20"),
        ],
    ),
    "what stands aside is the smallest hold": (
        plan_of(tokens("key", 100), tokens("team", 40), tokens("customer", 70), budget("key", 9), budget("team", 30)),
        [(0, ("reserve", "a", 60, 20), "granted 40/9", "0+60 0+40 0+60 0+9 0+20")],
    ),
    "strict admits only what fits whole": (
        plan_of(*SMALL, mode=Mode.STRICT),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (0, ("reserve", "b", 401, 20), f"refused by 0, retry at {10 * MINUTE}", "0+600 1+0 0+20"),
            (0, ("reserve", "b", 400, 30), "granted 400/30", "0+1000 2+0 0+50"),
            (0, ("reserve", "c"), f"refused by 0,2, retry at {10 * MINUTE}", "0+1000 2+0 0+50"),
            (0, ("reserve", "d", 1001, 1), "refused by 0,2", "0+1000 2+0 0+50"),
        ],
    ),
    "a limit is reached when usage is equal to it": (
        plan_of(tokens("key", 10), mode=Mode.POSTPAID),
        [
            (0, ("reserve", "a"), "granted 0/0", "0+0"),
            (0, ("settle", "a", 10), "settled 10/0", "10+0"),
            (0, ("reserve", "b"), f"refused by 0, retry at {DAY}", "10+0"),
        ],
    ),
    "what is not limited is counted": (
        plan_of(tokens("key", None), requests("key", None), mode=Mode.STRICT),
        [
            (0, ("reserve", "a", 2**53 - 1, 5), f"granted {2**53 - 1}/5", "0+0 1+0"),
            (0, ("settle", "a", 7), "settled 7/0", "7+0 1+0"),
        ],
    ),
}

WINDOWS: dict[str, tuple[Plan, Sequence[Row]]] = {
    "usage goes when the window is over, and the next one begins with a request": (
        plan_of(requests("key", 1, MINUTELY)),
        [
            (0, ("reserve", "a"), "granted 0/0", "1+0"),
            (MINUTE - 1, ("reserve", "b"), f"refused by 0, retry at {MINUTE}", "1+0"),
            (MINUTE, ("explain", ""), "would be granted 0/0", "0+0"),
            (MINUTE + 5, ("reserve", "b"), "granted 0/0", "1+0"),
            (2 * MINUTE + 4, ("reserve", "c"), f"refused by 0, retry at {2 * MINUTE + 5}", "1+0"),
            (2 * MINUTE + 5, ("reserve", "c"), "granted 0/0", "1+0"),
        ],
    ),
    "a hold survives the window it was taken in": (
        plan_of(tokens("key", 100, MINUTELY)),
        [
            (0, ("reserve", "a", 100), "granted 100/0", "0+100"),
            (2 * MINUTE, ("reserve", "b", 1), f"refused by 0, retry at {10 * MINUTE}", "0+100"),
            (2 * MINUTE, ("settle", "a", 60), "settled 60/0", "60+0"),
            (2 * MINUTE, ("reserve", "b", 100), "granted 40/0", "60+40"),
            (3 * MINUTE, ("reserve", "c", 1), "granted 1/0", "0+41"),
        ],
    ),
    "a hold does not begin a window, a charge does": (
        plan_of(tokens("key", 100, MINUTELY)),
        [
            (90_000, ("reserve", "a", 10), "granted 10/0", "0+10"),
            (100_000, ("settle", "a", 100), "settled 100/0 over by 90/0", "100+0"),
            (100_000, ("reserve", "b"), f"refused by 0, retry at {100_000 + MINUTE}", "100+0"),
        ],
    ),
    "a calendar window ends at midnight": (
        plan_of(requests("key", 1, Window(DAY, "d"))),
        [
            (0, ("reserve", "a"), "granted 0/0", "1+0"),
            (1, ("reserve", "b"), "refused by 0, retry at 22400000", "1+0"),
            (22_400_000 - 1, ("reserve", "b"), "refused by 0, retry at 22400000", "1+0"),
            (22_400_000, ("reserve", "b"), "granted 0/0", "1+0"),
            (22_400_000 + DAY, ("reserve", "c"), "granted 0/0", "1+0"),
        ],
    ),
}

LEASES: dict[str, tuple[Plan, Sequence[Row]]] = {
    "a hold that ran out never refuses": (
        plan_of(tokens("key", 100), budget("team", 100)),
        [
            (0, ("reserve", "a", 100, 50), "granted 100/50", "0+100 0+50"),
            (10 * MINUTE - 1, ("reserve", "b", 1), f"refused by 0, retry at {10 * MINUTE}", "0+100 0+50"),
            (10 * MINUTE, ("explain", ""), "would be granted 0/0", "0+0 0+0"),
            (10 * MINUTE, ("reserve", "b", 100, 100), "granted 100/100", "0+100 0+100"),
        ],
    ),
    "the request of a lease that ran out stays counted": (
        plan_of(requests("key", 1)),
        [
            (0, ("reserve", "a"), "granted 0/0", "1+0"),
            (10 * MINUTE, ("reserve", "b"), f"refused by 0, retry at {DAY}", "1+0"),
        ],
    ),
}

GATE = (tokens("provider", 10), requests("provider", 1), tokens("key", 10), requests("key", 1), budget("team", 5))

ORDER: dict[str, tuple[Plan, Sequence[Row]]] = {
    "all violated limits are named": (
        plan_of(*GATE, mode=Mode.STRICT),
        [
            (0, ("reserve", "a", 10, 5), "granted 10/5", "0+10 1+0 0+10 1+0 0+5"),
            (0, ("reserve", "b", 1, 1), f"refused by 0,1,2,3,4, retry at {DAY}", "0+10 1+0 0+10 1+0 0+5"),
        ],
    ),
    "limits before the gate are judged first": (
        plan_of(*GATE, gate=2, mode=Mode.STRICT),
        [
            (0, ("reserve", "a", 10, 5), "granted 10/5", "0+10 1+0 0+10 1+0 0+5"),
            (0, ("reserve", "b", 1, 1), f"refused by 0,1, retry at {DAY}", "0+10 1+0 0+10 1+0 0+5"),
        ],
    ),
    "then the key, then the rest": (
        plan_of(*GATE, gate=2, blocked=True),
        [
            (0, ("reserve", "a", 1, 1), "blocked", "0+0 0+0 0+0 0+0 0+0"),
            (0, ("settle unreserved", "b", 10, 5), "settled 10/5", "10+0 1+0 10+0 1+0 5+0"),
            (0, ("reserve", "c", 1, 1), "refused by 0,1", "10+0 1+0 10+0 1+0 5+0"),
            (DAY, ("explain", "", 11, 6), "would be blocked", "0+0 0+0 0+0 0+0 0+0"),
        ],
    ),
    "a key expires in the millisecond it says": (
        plan_of(*GATE, gate=2, expires_at_ms=NOW + HOUR),
        [
            (HOUR - 1, ("reserve", "a"), "granted 0/0", "0+0 1+0 0+0 1+0 0+0"),
            (HOUR - 1, ("reserve", "b"), "refused by 1", "0+0 1+0 0+0 1+0 0+0"),
            (HOUR, ("reserve", "b"), "refused by 1", "0+0 1+0 0+0 1+0 0+0"),
            (DAY + HOUR - 1, ("reserve", "b"), "expired", "0+0 0+0 0+0 0+0 0+0"),
        ],
    ),
    "expiry is told before a block": (
        plan_of(*GATE, blocked=True, expires_at_ms=NOW),
        [(0, ("reserve", "a"), "expired", "0+0 0+0 0+0 0+0 0+0")],
    ),
}

RETRIES: dict[str, tuple[Plan, Sequence[Row]]] = {
    "the same id is answered once and for all": (
        plan_of(*SMALL),
        [
            (0, ("reserve", "a", 600, 20), "granted 600/20", "0+600 1+0 0+20"),
            (1, ("reserve", "a", 600, 20), "replayed 600/20", "0+600 1+0 0+20"),
            (1, ("other body", "a", 1, 1), "conflict", "0+600 1+0 0+20"),
            (2, ("settle", "a", 100, 10), "settled 100/10", "100+0 1+0 10+0"),
            (3, ("reserve", "a", 600, 20), "replayed 600/20", "100+0 1+0 10+0"),
            (3, ("other body", "a", 600, 20), "conflict", "100+0 1+0 10+0"),
            (10 * MINUTE, ("reserve", "b", 600, 20), "granted 600/20", "100+600 2+0 10+20"),
            (10 * MINUTE, ("release", "b"), "released", "100+0 1+0 10+0"),
            (11 * MINUTE, ("reserve", "b", 600, 20), "replayed 600/20", "100+0 1+0 10+0"),
        ],
    ),
    "what was refused may be asked again": (
        plan_of(requests("key", 1, MINUTELY)),
        [
            (0, ("reserve", "a"), "granted 0/0", "1+0"),
            (1, ("reserve", "b"), f"refused by 0, retry at {MINUTE}", "1+0"),
            (MINUTE, ("other body", "b"), "granted 0/0", "1+0"),
        ],
    ),
}

TABLES = MODES | WINDOWS | LEASES | ORDER | RETRIES


@pytest.mark.parametrize("name", TABLES)
async def test_decisions(desk: Desk, redis: Redis, name: str):
    plan, rows = TABLES[name]
    create(redis, plan)
    await check_rows(desk, plan, rows)


async def test_what_a_granted_and_a_replayed_call_say(desk: Desk, redis: Redis):
    plan = plan_of(*SMALL)
    create(redis, plan, now_ms=NOW - HOUR)
    first = await desk.outcome(plan, "reserve", "a", 600, 20)
    assert isinstance(first, Granted)
    assert (first.now_ms, first.expires_at_ms) == (NOW, NOW + 10 * MINUTE)
    assert [tuple(state) for state in first.states] == [
        (0, NOW - HOUR, 600),
        (1, NOW - HOUR, 0),
        (0, NOW - HOUR, 20),
    ]
    again = await desk.at(NOW + 5).another_worker().outcome(plan, "reserve", "a", 600, 20)
    assert isinstance(again, Replayed)
    assert again.first == first
    assert again.plan == plan
    assert again.detail == b'{"detail": "of a"}'


async def test_a_refusal_says_how_all_limits_stand(desk: Desk, redis: Redis):
    plan = plan_of(*GATE, gate=2)
    create(redis, plan)
    await desk.call(plan, "reserve", "a", 10, 5)
    refused = await desk.outcome(plan, "reserve", "b", 1, 1)
    assert isinstance(refused, Refused)
    assert [state.usage + state.held for state in refused.states] == [10, 1, 10, 1, 5]


async def test_leases_end_at_round_times(desk: Desk, redis: Redis):
    plan = plan_of(tokens("key", 10**6))
    create(redis, plan)
    for number, (lease_ms, ends) in enumerate([(1_000, 10), (60_000, 500), (600_000, 5_000), (DAY, 500_000)]):
        for late in (0, 1, 777):
            granted = await desk.at(NOW + late).outcome(plan, "reserve", f"{number}/{late}", 1, lease_ms=lease_ms)
            assert granted.expires_at_ms % ends == 0
            assert 0 <= granted.expires_at_ms - (NOW + late + lease_ms) < ends


STALE_PLANS = [
    plan_of(tokens("key", 5), versions={"key": 2}),
    plan_of(tokens("key", 5), budget("team", 5), versions={"team": 0}),
    plan_of(tokens("key", 5), tokens("customer", 5), versions={"customer": 7}),
    plan_of(tokens("key", 5), global_version=1),
    plan_of(tokens("key", 5), tokens("key", 5, slot=9)),
]


@pytest.mark.parametrize("stale", STALE_PLANS)
async def test_a_plan_of_another_configuration_is_stale(desk: Desk, redis: Redis, stale: Plan):
    create(redis, plan_of(tokens("key", 5), budget("team", 5)))
    assert await desk.call(stale, "reserve", "a", 1) == "stale"
    if stale is not STALE_PLANS[-1]:
        assert await desk.call(stale, "settle unreserved", "a", 1) == "stale"


async def test_the_global_version_covers_owners_without_one(desk: Desk):
    world = World(desk.reservations.store, NOW)
    await world.create(provider(rate_limit=Limits().rate(5, None)), virtual_key("key", provider_configs=(provider_config(1),)))
    plan = await world.plan("key")
    assert [owner.version for owner in plan.owners] == [None, 1]
    assert plan.global_version is not None
    for another in (plan.global_version - 1, plan.global_version + 1):
        assert await desk.call(replace(plan, global_version=another), "reserve", "a", 1) == "stale"
    assert await desk.call(plan, "reserve", "a", 1) == "granted 1/0"


async def test_large_amounts_stay_exact(desk: Desk, redis: Redis):
    largest = 2**53 - 1
    plan = plan_of(tokens("key", largest), budget("key", 9 * 10**15), mode=Mode.STRICT)
    create(redis, plan)
    assert await desk.call(plan, "reserve", "a", largest - 2, 9 * 10**15 - 3) == f"granted {largest - 2}/{9 * 10**15 - 3}"
    assert await desk.call(plan, "reserve", "b", 1, 2) == "granted 1/2"
    assert await desk.counters(plan) == f"0+{largest - 1} 0+{9 * 10**15 - 1}"
    assert await desk.call(plan, "settle", "a", largest - 2, 9 * 10**15 - 3) == f"settled {largest - 2}/{9 * 10**15 - 3}"
    assert await desk.counters(plan) == f"{largest - 2}+1 {9 * 10**15 - 3}+2"
    assert await desk.call(plan, "settle", "b", largest, 0) == f"settled {largest}/0 over by {largest - 1}/0"
    assert await desk.counters(plan) == f"{largest}+0 {9 * 10**15 - 3}+0"


async def test_as_many_limits_as_may_bind_a_request(desk: Desk, redis: Redis):
    """Provider, provider config, key, team and customer, and a model config of every tier: each with as much as it may have."""
    owners = ["provider", "key", "key 2", "team", "customer", *(f"model {number}" for number in range(12))]
    slots = range(1, MAX_BUDGETS + 3)
    plan = plan_of(*(budget(owner, 1000, slot=slot) for owner in owners for slot in slots))
    create(redis, plan)
    assert await desk.call(plan, "reserve", "a", 0, 600) == "granted 0/600"
    assert (await desk.call(plan, "reserve", "b", 0, 600)).startswith("granted 0/400")
    assert await desk.call(plan, "settle", "a", 0, 1000) == "settled 0/1000 over by 0/400"
    assert await desk.counters(plan) == " ".join(["1000+400"] * len(plan.limits))
