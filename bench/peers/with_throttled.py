"""The `throttled-py` library on asynchronous Redis: one fixed window after the other."""

from throttled.asyncio import RedisStore, Throttled, per_day

from bench.peers.five_limits import ENDLESS, TOKEN_LIMIT, limits_of, names_of

_FIXED_WINDOW = "fixed_window"


class Peer:
    def __init__(self, redis_url: str, last_limit: int) -> None:
        store = RedisStore(server=redis_url, options={"CONNECTION_POOL_KWARGS": {"max_connections": 1_000}})
        self._throttles = [Throttled(using=_FIXED_WINDOW, quota=per_day(limit), store=store) for limit in limits_of(last_limit)]
        self._tokens = Throttled(using=_FIXED_WINDOW, quota=per_day(TOKEN_LIMIT), store=store)

    async def take(self, caller: str) -> bool:
        for throttle, name in zip(self._throttles, names_of(caller), strict=True):
            if (await throttle.limit(name)).limited:
                return False
        return True

    async def counted_by_first(self, caller: str) -> int:
        return ENDLESS - (await self._throttles[0].peek(names_of(caller)[0])).remaining

    async def may_use_tokens(self, caller: str) -> bool:
        return (await self._tokens.peek(f"tokens:{caller}")).remaining > 0

    async def use_tokens(self, caller: str, tokens: int) -> None:
        await self._tokens.limit(f"tokens:{caller}", cost=tokens)
