"""A settlement whose cost follows from a price: that of the reservation's plan, refused when the price is not in force."""

from redis import Redis

from service.reservation import Charge, Granted, Plan, Reserve, Settle, Settled, Stale, Unknown
from service.store import keys
from service.store.connection import Store
from service.store.reservations import Reservations
from tests.store.plans import budget, create, plan_of

PLAN = plan_of(budget("key", 1_000))


def reserve(request_id: str) -> Reserve:
    return Reserve(plan=PLAN, request_id=request_id, fingerprint=b"f", tokens=0, cost_nanousd=5, lease_ms=60_000, detail=b"1")


def settle(request_id: str, cost_nanousd: int, basis: str, seen: list[Plan], plan: Plan | None = None) -> Settle:
    def charge(charged: Plan) -> Charge:
        seen.append(charged)
        return Charge(cost_nanousd=cost_nanousd, detail=b'"priced"', basis=basis)

    return Settle(request_id=request_id, tokens=0, success=True, charge_by=charge, plan=plan)


async def test_the_price_is_asked_for_the_plan_that_was_reserved_by(redis: Redis, store: Store):
    create(redis, PLAN)
    one, other = Reservations(store, retention_ms=60_000), Reservations(store, retention_ms=60_000)
    for number, settling in enumerate((one, other)):
        assert isinstance(await one.reserve(reserve(f"r{number}")), Granted)
        seen: list[Plan] = []
        settled = await settling.settle(settle(f"r{number}", 7, "0:0", seen))
        assert isinstance(settled, Settled)
        assert (settled.cost_nanousd, settled.detail) == (7, b'"priced"')
        assert {plan.limits for plan in seen} == {PLAN.limits}


async def test_a_price_that_is_not_in_force_charges_nothing(redis: Redis, store: Store):
    create(redis, PLAN)
    reservations = Reservations(store, retention_ms=60_000)
    await reservations.reserve(reserve("r1"))
    redis.hset(keys.versions(), "pricing", 3)
    before = redis.dump(keys.usage(keys.Ref(PLAN.owners[0].kind, PLAN.owners[0].id)))
    assert isinstance(await reservations.settle(settle("r1", 7, "0:2", [])), Stale)
    assert redis.dump(keys.usage(keys.Ref(PLAN.owners[0].kind, PLAN.owners[0].id))) == before
    settled = await reservations.settle(settle("r1", 8, "0:3", []))
    assert isinstance(settled, Settled)
    assert settled.cost_nanousd == 8
    # Repeated, it gets its first answer, whatever the prices are by then.
    redis.hset(keys.versions(), "pricing", 4)
    again = await reservations.settle(settle("r1", 9, "0:3", []))
    assert isinstance(again, Settled)
    assert (again.replayed, again.cost_nanousd) == (True, 8)


async def test_usage_that_nobody_reserved(redis: Redis, store: Store):
    create(redis, PLAN)
    reservations = Reservations(store, retention_ms=60_000)
    seen: list[Plan] = []
    assert isinstance(await reservations.settle(settle("r1", 7, "0:0", seen)), Unknown)
    assert seen == []
    assert isinstance(await reservations.settle(settle("r1", 7, "0:1", seen, PLAN)), Stale)
    settled = await reservations.settle(settle("r1", 7, "0:0", seen, PLAN))
    assert isinstance(settled, Settled)
    assert settled.cost_nanousd == 7
    assert set(seen) == {PLAN}
