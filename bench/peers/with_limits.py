"""The `limits` library on asynchronous Redis: one fixed window after the other."""

from limits import RateLimitItemPerDay
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from bench.peers.five_limits import TOKEN_LIMIT, limits_of, names_of


class Peer:
    def __init__(self, redis_url: str, last_limit: int) -> None:
        self._limiter = FixedWindowRateLimiter(RedisStorage(f"async+{redis_url}", implementation="redispy"))
        self._items = [RateLimitItemPerDay(limit) for limit in limits_of(last_limit)]
        self._tokens = RateLimitItemPerDay(TOKEN_LIMIT)

    async def take(self, caller: str) -> bool:
        for item, name in zip(self._items, names_of(caller), strict=True):
            if not await self._limiter.hit(item, name):
                return False
        return True

    async def counted_by_first(self, caller: str) -> int:
        stats = await self._limiter.get_window_stats(self._items[0], names_of(caller)[0])
        return self._items[0].amount - stats.remaining

    async def may_use_tokens(self, caller: str) -> bool:
        return await self._limiter.test(self._tokens, f"tokens:{caller}")

    async def use_tokens(self, caller: str, tokens: int) -> None:
        await self._limiter.hit(self._tokens, f"tokens:{caller}", cost=tokens)
