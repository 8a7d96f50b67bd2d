"""A key reads its own quota: two budgets, a rate limit, two provider configs; 1,000 keys in turn."""

from bench.scenarios.scenario import Scenario
from bench.traffic import KEY, QUOTA_PATH, Traffic, get
from bench.world import World


def _traffic(world: World, _: int) -> Traffic:
    return Traffic((get(QUOTA_PATH, {"x-bf-vk": KEY}),), world.keys[:1_000])


QUOTA_READ = Scenario(name="quota_read", meaning="GET quota, 1,000 keys", traffic=_traffic)
