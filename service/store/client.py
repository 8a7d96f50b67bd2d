"""Opens the connections to Redis, or to all nodes of a cluster: how many, how long to wait, no hidden retries."""

from typing import Any, Final, cast

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.settings import Settings

_CONNECTIONS_OF_A_NODE: Final = 1000
"""A cluster client has no call wait for a connection: it fails beyond this, which batches stay far below."""


class _Cluster(RedisCluster):
    """Every command waits until the layout of the cluster is known.

    redis-py lets commands begin meanwhile, and then closes connections under some of them.
    """

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        if self._initialize:
            await self.initialize()
        return await super().execute_command(*args, **kwargs)


def open_redis(settings: Settings, url: str, *, timeout_ms: int) -> "Redis":
    """A client whose every call answers or fails within about `timeout_ms`.

    A call that timed out may have run: callers retry with the same request_id or read what is there, this client never does.
    """
    timeout_s = timeout_ms / 1000
    if settings.redis_cluster:
        cluster = _Cluster.from_url(
            url,
            max_connections=_CONNECTIONS_OF_A_NODE,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        # It has the same commands, each for keys of one slot.
        return cast("Redis", cluster)
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=settings.redis_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    # Closed together with its client.
    return Redis.from_pool(pool)
