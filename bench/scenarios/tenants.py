"""The same call with one busy key, with very many keys, and with keys that are over their limit."""

from bench.scenarios.reserve_settle import RESERVE
from bench.scenarios.scenario import Scenario, reserve_request
from bench.traffic import Traffic
from bench.world import World

SPREAD_KEYS = 100_000


def _hot(world: World, first: int) -> Traffic:
    return Traffic((reserve_request(),), world.keys[:1], first)


def _spread(world: World, first: int) -> Traffic:
    return Traffic((reserve_request(),), world.keys[:SPREAD_KEYS], first)


def _refused(world: World, first: int) -> Traffic:
    return Traffic((reserve_request(),), world.used_up_keys, first)


HOT_TENANT = Scenario(name="hot_tenant", meaning="reserve, every request with the same key", traffic=_hot)
SPREAD = Scenario(name="spread", meaning="reserve, 100,000 keys", traffic=_spread)
REFUSED = Scenario(name="refused", meaning="reserve, 1,000 keys over their limit", traffic=_refused, status=429, against=RESERVE)
