"""One connection pool to Redis with its scripts: what every function of the store takes first."""

from dataclasses import dataclass

from redis.asyncio import Redis

from service.settings import Settings
from service.store.breaker import Breaker
from service.store.client import open_redis
from service.store.scripts import Scripts, store_errors


@dataclass(frozen=True, slots=True)
class Store:
    """`now_ms` is '' (the clock of Redis); only tests put a time there."""

    redis: "Redis"
    scripts: Scripts
    now_ms: str = ""

    async def ping(self) -> None:
        """Raises StoreUnavailable when Redis does not answer."""
        with store_errors("ping"):
            await self.redis.ping()

    async def close(self) -> None:
        await self.redis.aclose()


def open_store(settings: Settings, url: str, *, timeout_ms: int, now_ms: str = "", breaker: Breaker | None = None) -> Store:
    """Opens no connection yet: the first call does."""
    redis = open_redis(settings, url, timeout_ms=timeout_ms)
    return Store(redis, Scripts(redis, breaker=breaker), now_ms)
