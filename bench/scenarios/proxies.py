"""What a proxy asks with a sub-request, and many calls in one request."""

from bench.plain_http import ask
from bench.scenarios.scenario import GATEWAY, GATEWAY_WITH_KEY, Scenario, reserve_body, settle_body
from bench.traffic import EARLIER, GATEWAY_PATH, KEY, NUMBER, Traffic, get, post
from bench.world import MODEL, PROVIDER, World

BATCHED = 50
_IN_FLIGHT = 128
"""Twice the connections: what was reserved so many batches before is surely answered."""


def _authorize(world: World, first: int) -> Traffic:
    path = f"{GATEWAY_PATH}/authorize?provider={PROVIDER}&model={MODEL}"
    return Traffic((get(path, GATEWAY_WITH_KEY),), world.keys[:1_000], first)


def _batch(world: World, first: int) -> Traffic:
    operations: list[dict[str, object]] = []
    for place in range(BATCHED // 2):
        operations.append({"op": "reserve", "virtual_key": KEY, **reserve_body(f"{NUMBER}-{place}")})
        operations.append({"op": "settle", **settle_body(f"{EARLIER}-{place}")})
    request = post(f"{GATEWAY_PATH}/batch", GATEWAY, {"operations": operations})
    return Traffic((request,), world.keys[:1_000], first, lag=_IN_FLIGHT)


def _reserve_earlier(world: World, first: int, _: int) -> None:
    """What the first batches settle."""
    traffic = _batch(world, first)
    ask(world.quotad.url, [traffic.sample(number)[0] for number in range(first - _IN_FLIGHT, first)], at_once=4)


AUTHORIZE = Scenario(name="authorize", meaning="GET authorize, no body, 1,000 keys", traffic=_authorize)
BATCH = Scenario(
    name="batch",
    meaning="POST batch: 25 reserves, 25 settles of earlier ones",
    traffic=_batch,
    before=_reserve_earlier,
    operations=BATCHED,
    has_floor=False,
)
