"""What one writes by hand: a script that takes all five limits or none, one EVALSHA by redis-py for each request."""

from redis.asyncio import Redis

from bench.peers.five_limits import TAKE_ALL_OR_NONE, TOKEN_LIMIT, names_of, script_arguments


class Peer:
    def __init__(self, redis_url: str, last_limit: int) -> None:
        self._redis = Redis.from_url(redis_url, max_connections=1_000)
        self._take = self._redis.register_script(TAKE_ALL_OR_NONE)
        self._arguments = script_arguments(last_limit)

    async def take(self, caller: str) -> bool:
        return bool(await self._take(keys=names_of(caller), args=self._arguments) == 0)

    async def counted_by_first(self, caller: str) -> int:
        return int(await self._redis.get(names_of(caller)[0]) or 0)

    async def may_use_tokens(self, caller: str) -> bool:
        return int(await self._redis.get(f"tokens:{caller}") or 0) < TOKEN_LIMIT

    async def use_tokens(self, caller: str, tokens: int) -> None:
        await self._redis.incrby(f"tokens:{caller}", tokens)
