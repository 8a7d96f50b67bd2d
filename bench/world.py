"""What every scenario runs in: a Redis with seeded owners, and quotad serving from it."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from redis import Redis

from bench.plain_http import ask
from bench.seed import ADMIN, CHUNK, GOVERNANCE, Copier, SeededKey, check_copies, create, create_key
from bench.servers import Server, quotad, redis_server
from bench.traffic import GATEWAY_PATH, GATEWAY_TOKEN, get, post

PROVIDER: Final = "openai"
MODEL: Final = "gpt-4o"
ENDLESS: Final = 10**12
"""A limit that no run reaches."""
ENDLESS_DOLLARS: Final = 9_000_000
_TEAMS: Final = 10
_TEAMS_OF_A_CUSTOMER: Final = 5


@dataclass(frozen=True, slots=True)
class World:
    """`keys` are the values of all seeded keys; `used_up_keys` may not make one more request."""

    redis: "Redis" = field(repr=False)
    redis_url: str
    quotad: Server
    originals: Sequence[SeededKey]
    used_up_keys: list[str] = field(repr=False)
    keys: list[str] = field(repr=False)
    _copier: Copier

    def grow(self, count: int, progress: Callable[[int], None] = lambda _: None) -> None:
        """Seeds keys until there are `count`."""
        made = self._copier.copy(count - len(self.keys), progress)
        if made:
            # Copies of one original come one after the other, in chunks.
            first = min(CHUNK, 1 + len(made) // len(self.originals) // 2)
            check_copies(self.quotad.url, self.originals[0], made[:first])
            self.keys.extend(made)


@contextlib.contextmanager
def opened_world(count: int, *, used_up: int = 1_000, **settings: object) -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        redis_url = stack.enter_context(redis_server(folder))
        redis = stack.enter_context(Redis.from_url(redis_url))
        # A rewrite of the append-only file in the middle of a run would be measured, too.
        redis.config_set("auto-aof-rewrite-percentage", 0)
        server = stack.enter_context(quotad(redis_url, **settings))
        originals = seed_owners(server.url)
        used_up_original = _used_up_key(server.url, originals[0])
        copier = Copier(redis, originals)
        used_up_keys = Copier(redis, [used_up_original]).copy(used_up)
        check_copies(server.url, used_up_original, used_up_keys)
        world = World(redis, redis_url, server, originals, used_up_keys, [], copier)
        world.grow(count)
        yield world


def seed_owners(url: str, *, keys_of_a_team: int = 1) -> list[SeededKey]:
    """Six kinds of owners, ten limits for each request: keys in ten teams of two customers."""
    create(url, f"/providers/{PROVIDER}", {"rate_limit": rate_limit("1m")}, method="PUT")
    create(url, "/model-configs", {"model_name": MODEL, "scope": "global", "budgets": [budget("1M")]})
    originals = []
    customer_id = ""
    for number in range(_TEAMS):
        if number % _TEAMS_OF_A_CUSTOMER == 0:
            customer = {"name": f"bench-customer-{number}", "budgets": [budget("1M")]}
            customer_id = create(url, "/customers", customer)["customer"]["id"]
        team = {"name": f"bench-team-{number}", "customer_id": customer_id, "budgets": [budget("1w")]}
        team_id = create(url, "/teams", team)["team"]["id"]
        names = [f"bench-original-{number}-{place}" for place in range(keys_of_a_team)]
        originals += [create_key(url, key_with_ten_limits(name, team_id)) for name in names]
    return originals


def key_with_ten_limits(name: str, team_id: str) -> dict[str, Any]:
    """Two budgets, a rate limit and two provider configs, one of which has a budget."""
    return {
        "name": name,
        "team_id": team_id,
        "budgets": [budget("1d"), budget("1M")],
        "rate_limit": rate_limit("1m"),
        "provider_configs": [
            {"provider": PROVIDER, "weight": 0.5, "allowed_models": ["*"], "key_ids": ["*"], "budgets": [budget("1M")]},
            {"provider": "anthropic", "weight": 0.5, "allowed_models": ["*"], "key_ids": ["*"]},
        ],
    }


def _used_up_key(url: str, like: SeededKey) -> SeededKey:
    """May make one request a month, and has made it; else as those that are admitted, which it is measured against."""
    team_id = ask(url, [get(f"{GOVERNANCE}/virtual-keys/{like.id}", ADMIN)])[0].json()["virtual_key"]["team_id"]
    key = create_key(url, {**key_with_ten_limits("bench-used-up", team_id), "rate_limit": rate_limit("1M", requests=1)})
    headers = {"authorization": f"Bearer {GATEWAY_TOKEN}", "x-bf-vk": key.value}
    call = post(f"{GATEWAY_PATH}/reserve", headers, {"provider": PROVIDER, "model": MODEL})
    statuses = [answer.status for answer in ask(url, [call, call])]
    if statuses != [200, 429]:
        raise RuntimeError(f"a key for one request answered {statuses}")
    return key


def budget(window: str, dollars: float = ENDLESS_DOLLARS) -> dict[str, Any]:
    return {"max_limit": dollars, "reset_duration": window}


def rate_limit(window: str, *, tokens: int = ENDLESS, requests: int = ENDLESS) -> dict[str, Any]:
    return {
        "token_max_limit": tokens,
        "token_reset_duration": window,
        "request_max_limit": requests,
        "request_reset_duration": window,
    }
