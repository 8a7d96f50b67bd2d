"""An administrator's day: keys shown, listed and changed, customers created."""

from bench.scenarios.scenario import Scenario
from bench.seed import ADMIN, GOVERNANCE
from bench.traffic import KEY, NUMBER, Traffic, get, post
from bench.world import World
from service.store.keys import virtual_key_id


def _traffic(world: World, first: int) -> Traffic:
    one = f"{GOVERNANCE}/virtual-keys/{KEY}"
    requests = (
        get(one, ADMIN),
        get(f"{GOVERNANCE}/virtual-keys?limit=25", ADMIN),
        post(one, ADMIN, {"description": f"changed {NUMBER}"}, method="PUT"),
        post(f"{GOVERNANCE}/customers", ADMIN, {"name": f"customer {NUMBER}"}),
    )
    # Of administration a key is known by its id.
    return Traffic(requests, [virtual_key_id(value) for value in world.keys[:1_000]], first)


ADMIN_MIX = Scenario(name="admin", meaning="show, list, change keys, create customers", traffic=_traffic)
