"""What a gateway does around every request: reserve, then settle; each alone, and both in turn."""

from bench.plain_http import ask
from bench.scenarios.scenario import GATEWAY, GATEWAY_WITH_KEY, Scenario, reserve_body, reserve_request, settle_body
from bench.traffic import EARLIER, GATEWAY_PATH, Traffic, digits, post
from bench.world import World

_LARGEST_BATCH = 256
_IN_FLIGHT = 1_000
"""In the mixed scenario a settlement names what was reserved so many requests before: surely answered by then."""


def _reserve(world: World, first: int) -> Traffic:
    return Traffic((reserve_request(),), world.keys[:1_000], first)


def _settle(_: World, first: int) -> Traffic:
    return Traffic((post(f"{GATEWAY_PATH}/settle", GATEWAY, settle_body()),), (), first)


def _both(world: World, first: int) -> Traffic:
    settle = post(f"{GATEWAY_PATH}/settle", GATEWAY, settle_body(EARLIER))
    return Traffic((reserve_request(), settle), world.keys[:1_000], first, lag=_IN_FLIGHT)


def _reserve_many(world: World, first: int, count: int) -> None:
    """Reservations `first`, `first + 1`, ..., so that there is something to settle."""
    traffic = Traffic((), world.keys[:1_000])
    requests = []
    for start in range(first, first + count, _LARGEST_BATCH):
        ids = (digits(number).decode() for number in range(start, min(start + _LARGEST_BATCH, first + count)))
        operations = [{"op": "reserve", **reserve_body(request_id)} for request_id in ids]
        requests.append(traffic.fill(post(f"{GATEWAY_PATH}/batch", GATEWAY_WITH_KEY, {"operations": operations}), start))
    if any(answer.status != 200 for answer in ask(world.quotad.url, requests, at_once=4)):
        raise RuntimeError("reservations to settle could not be made")


def _reserve_earlier(world: World, first: int, _: int) -> None:
    _reserve_many(world, first - _IN_FLIGHT, _IN_FLIGHT)


RESERVE = Scenario(name="reserve", meaning="POST reserve, 6 owners, 10 limits, 1,000 keys", traffic=_reserve)
SETTLE = Scenario(name="settle", meaning="POST settle of what was reserved before", traffic=_settle, before=_reserve_many)
RESERVE_SETTLE = Scenario(
    name="reserve_settle", meaning="reserve and settle in turn, 1,000 keys", traffic=_both, before=_reserve_earlier
)
