"""The connections to Redis with its scripts: what every function of the store takes first."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from redis.asyncio import Redis
from redis.crc import key_slot

from service.settings import Settings
from service.store import keys
from service.store.breaker import Breaker
from service.store.client import Cluster, open_redis
from service.store.failures import store_errors
from service.store.scripts import Scripts

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Store:
    """`now_ms` is '' (the clock of Redis); only tests put a time there. `clustered`: a script call has keys of one slot only."""

    redis: "Redis"
    scripts: Scripts
    now_ms: str = ""
    clustered: bool = False

    def by_slot(self, items: Iterable[Item], key: Callable[[Item], str]) -> list[list[Item]]:
        """What one script call may touch together: everything, or on a cluster what shares a hash slot."""
        if not self.clustered:
            return [list(items)]
        groups: dict[int, list[Item]] = {}
        for item in items:
            groups.setdefault(key_slot(key(item).encode()), []).append(item)
        return list(groups.values())

    async def read_now_ms(self) -> int:
        if self.now_ms:
            return int(self.now_ms)
        with store_errors("asking for the time"):
            seconds, microseconds = await self.redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def ping(self) -> None:
        """Raises StoreUnavailable when Redis does not answer."""
        with store_errors("ping"):
            await self.redis.ping()
        self.scripts.answered(writes=False)

    async def look_at_writes(self) -> None:
        """Where calls that write are refused: without any, nobody else would notice that Redis takes them again."""
        if self.scripts.are_refused:
            with store_errors("trying to write"):
                # Changes nothing, and is refused where what changes something is.
                await self.redis.setrange(keys.counters_format(), 0, "")
            self.scripts.answered(writes=True)

    async def close(self) -> None:
        await self.scripts.close()
        if isinstance(self.redis, Cluster):
            self.redis.stop_looking()
        await self.redis.aclose()


def open_store(settings: Settings, url: str, *, timeout_ms: int, now_ms: str = "", breaker: Breaker | None = None) -> Store:
    """Opens no connection yet: the first call does."""
    redis = open_redis(settings, url, timeout_ms=timeout_ms)
    scripts = Scripts(redis, timeout_ms=timeout_ms, breaker=breaker)
    if isinstance(redis, Cluster):
        # A replica that took over may lack what the node before it wrote last.
        redis.on_layout = scripts.count_possible_loss
    return Store(redis, scripts, now_ms, settings.redis_cluster)


def with_store(settings: Settings, run: Callable[[Store], Awaitable[Result]]) -> Result:
    """For commands, which have no event loop: opens the store of `settings.redis_url`, runs, closes it."""
    assert settings.redis_url is not None
    url = settings.redis_url

    async def connected() -> Result:
        store = open_store(settings, url, timeout_ms=settings.redis_admin_timeout_ms)
        try:
            return await run(store)
        finally:
            await store.close()

    return asyncio.run(connected())
