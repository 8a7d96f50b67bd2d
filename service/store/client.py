"""Opens the connection pool to Redis: how many connections, how long to wait, no hidden retries."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from service.settings import Settings


def open_redis(settings: Settings, url: str, *, timeout_ms: int) -> "Redis":
    """A client whose every call answers or fails within about `timeout_ms`.

    A call that timed out may have run: callers retry with the same request_id or read what is there, this client never does.
    """
    timeout_s = timeout_ms / 1000
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
