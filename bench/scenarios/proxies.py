"""What a proxy asks with a sub-request, and many calls in one request."""

from bench.plain_http import ask
from bench.scenarios.reserve_settle import RESERVE_SETTLE
from bench.scenarios.scenario import GATEWAY, GATEWAY_WITH_KEY, Scenario, count_refused_and_lost, reserve_body, settle_body
from bench.traffic import EARLIER, GATEWAY_PATH, KEY, NUMBER, Traffic, get, post
from bench.world import MODEL, PROVIDER, World

BATCHED = 50
_IN_FLIGHT = 128
"""Twice the connections: what was reserved so many batches before is surely answered."""


def _authorize(world: World, first: int) -> Traffic:
    path = f"{GATEWAY_PATH}/authorize?provider={PROVIDER}&model={MODEL}"
    return Traffic((get(path, GATEWAY_WITH_KEY),), world.keys[:1_000], first)


def _batch(world: World, first: int) -> Traffic:
    settles = [{"op": "settle", **settle_body(f"{EARLIER}-{place}")} for place in range(BATCHED // 2)]
    operations = [operation for both in zip(_reserves(), settles, strict=True) for operation in both]
    return Traffic((_in_one(operations),), world.keys[:1_000], first, lag=_IN_FLIGHT)


def _reserves() -> list[dict[str, object]]:
    return [{"op": "reserve", "virtual_key": KEY, **reserve_body(f"{NUMBER}-{place}")} for place in range(BATCHED // 2)]


def _in_one(operations: list[dict[str, object]]) -> bytes:
    return post(f"{GATEWAY_PATH}/batch", GATEWAY, {"operations": operations})


def _reserve_earlier(world: World, first: int, _: int) -> None:
    """What the first batches settle."""
    traffic = Traffic((_in_one(_reserves()),), world.keys[:1_000])
    ask(world.quotad.url, [traffic.sample(number)[0] for number in range(first - _IN_FLIGHT, first)], at_once=4)


AUTHORIZE = Scenario(name="authorize", meaning="GET authorize, no body, 1,000 keys", traffic=_authorize)
BATCH = Scenario(
    name="batch",
    meaning="POST batch: 25 reserves, 25 settles of earlier ones",
    traffic=_batch,
    before=_reserve_earlier,
    operations=BATCHED,
    count_wrong=count_refused_and_lost,
    against=RESERVE_SETTLE,
)
