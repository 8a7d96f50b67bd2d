"""Lives of requests whose every call is made several times, and the state of Redis after them."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from redis import Redis

from service.reservation import Mode, Plan
from service.store.connection import Store
from tests.enforcement.world import SIX_KINDS, Limits, World, six_kinds
from tests.store.plans import MINUTE, NOW
from tests.store.quota_desk import Desk

Work = Callable[[], Awaitable[str]]


@dataclass(frozen=True)
class Life:
    """One request: what is reserved, then how it ends."""

    request_id: str
    tokens: int
    cost: int
    renewals: tuple[int, ...]
    ends: str
    used: tuple[int, int]


def lives(chance: random.Random, count: int) -> list[Life]:
    return [
        Life(
            request_id=f"request {number}",
            tokens=chance.randint(0, 90),
            cost=chance.randint(0, 90),
            renewals=tuple(chance.choices([MINUTE, 20 * MINUTE, 60 * MINUTE], k=chance.randint(0, 2))),
            ends=chance.choice(["settle", "settle", "settle failed", "settle unreserved", "release", "stays open"]),
            used=(chance.randint(0, 120), chance.randint(0, 120)),
        )
        for number in range(count)
    ]


async def live(plan: Plan, life: Life, workers: Sequence[Desk], chance: random.Random, copies: tuple[int, int]) -> None:
    """The first reserve is answered before anything else happens; then all the rest at once, in a random order."""

    def call(verb: str, *amounts: int) -> Work:
        return lambda: chance.choice(workers).call(plan, verb, life.request_id, *amounts)

    reserve = call("reserve", life.tokens, life.cost)
    first = await reserve()
    assert first.startswith("granted"), first
    for lease_ms in life.renewals:
        renew = call("renew", lease_ms)
        await asyncio.gather(*(renew() for _ in range(chance.randint(*copies))))
    rest = [reserve] * (chance.randint(*copies) - copies[0])
    if life.ends != "stays open":
        rest += [call(life.ends, *(life.used if life.ends != "release" else ()))] * chance.randint(*copies)
    chance.shuffle(rest)
    answers = await asyncio.gather(*(one() for one in rest))
    assert {answer.removeprefix("replayed").strip() for answer in answers if answer.startswith("replayed")} <= {
        first.removeprefix("granted").strip()
    }
    assert len({answer.replace(" again", "") for answer in answers if answer.startswith("settled")}) <= 1


async def final_state(redis: Redis, store: Store, seed: int, copies: tuple[int, int], mode: Mode) -> dict[str, object]:
    redis.flushall()
    own = {name: Limits() for name in SIX_KINDS}
    own["provider_config"] = own["virtual_key"]
    plenty = 10**9
    limits = {name: {"rate_limit": own[name].rate(plenty, plenty), "budgets": (own[name].budget(plenty),)} for name in SIX_KINDS}
    world = World(store, NOW)
    await world.create(*six_kinds(limits))
    plan = await world.plan("key", mode=mode)
    # Which copies there are is random; what the requests are is not.
    workers = [Desk(store, largest_cache=20) for _ in range(3)]
    chance = random.Random(f"copies {seed} {copies}")
    await asyncio.gather(*(live(plan, life, workers, chance, copies) for life in lives(random.Random(seed), 60)))
    state: dict[str, object] = {}
    for key in redis.scan_iter(count=10_000):
        kind = redis.type(key)
        if kind == "hash" and str(key).endswith(":usage"):
            state[str(key)] = {name: value for name, value in redis.hgetall(key).items() if not str(name).startswith("e")}
        elif kind == "zset" and str(key).endswith(":open"):
            state[str(key)] = redis.zrange(key, 0, -1, withscores=True)
        elif ":id:" in str(key):
            state[str(key)] = "a record"
    return state
