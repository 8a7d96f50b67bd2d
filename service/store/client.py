"""Opens the connections to Redis, or to all nodes of a cluster: how many, how long to wait, no hidden retries."""

import asyncio
from typing import Any, Final, cast

from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    Redis,
    RedisCluster,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisClusterException, ResponseError

from service.settings import BadSettings, Settings, variable
from service.store.patience import Patience
from service.store.shared_connection import is_from_replica

_CONNECTIONS_OF_A_NODE: Final = 1000
"""A cluster client has no call wait for a connection: it fails beyond this, which batches stay far below."""


class _PatientConnection(AbstractConnection):
    """Its time limit is a Patience instead of the timeouts of redis-py."""

    def __init__(
        self, *, socket_timeout: float, socket_connect_timeout: float, leaves_replicas: bool = False, **kwargs: Any
    ) -> None:
        """`leaves_replicas`: opened anew after a replica has refused a call, as its name may lead to another server by then."""
        super().__init__(socket_timeout=None, socket_connect_timeout=None, **kwargs)
        self._limit_s = socket_timeout
        self._connect_limit_s = socket_connect_timeout
        self._leaves_replicas = leaves_replicas

    async def connect_check_health(self, *args: Any, **kwargs: Any) -> None:
        if not self.is_connected:
            with Patience(self._connect_limit_s):
                await super().connect_check_health(*args, **kwargs)

    async def send_packed_command(self, *args: Any, **kwargs: Any) -> None:
        with Patience(self._limit_s):
            await super().send_packed_command(*args, **kwargs)

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with Patience(self._limit_s):
                return await super().read_response(*args, **kwargs)
        except ResponseError as error:
            if self._leaves_replicas and is_from_replica(error):
                self.mark_for_reconnect()  # type: ignore[no-untyped-call]
            raise

    async def disconnect(self, *args: Any, **kwargs: Any) -> None:
        if asyncio.current_task() is None:
            return await super().disconnect(*args, **kwargs)
        with Patience(self._connect_limit_s):
            await super().disconnect(*args, **kwargs)


class _PatientTcp(_PatientConnection, Connection):
    pass


class _PatientTls(_PatientConnection, SSLConnection):
    pass


class _PatientUnix(_PatientConnection, UnixDomainSocketConnection):
    pass


# The URL says which kind of connection; redis-py finds out while it makes the pool.
_PATIENT: Final[dict[Any, Any]] = {
    Connection: _PatientTcp,
    SSLConnection: _PatientTls,
    UnixDomainSocketConnection: _PatientUnix,
}


class _Pool(BlockingConnectionPool):
    """Patient, too, while a call waits for another one's connection."""

    def __init__(self, *, timeout: float, **kwargs: Any) -> None:
        super().__init__(timeout=None, **kwargs)
        self.connection_class = _PATIENT[self.connection_class]
        self._limit_s = timeout

    async def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        with Patience(self._limit_s):
            return await super().get_connection()  # type: ignore[no-untyped-call]


class _Cluster(RedisCluster):
    """Every command waits until the layout of the cluster is known.

    redis-py lets commands begin meanwhile, and then closes connections under some of them.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        patient = _PATIENT[self.connection_kwargs["connection_class"]]
        # Of the nodes to come; those to begin with are made already.
        self.connection_kwargs["connection_class"] = patient
        for node in self.startup_nodes:
            node.connection_class = patient

    async def initialize(self, *args: Any, **kwargs: Any) -> Any:
        """ConnectionError where no node tells of all slots: what redis-py raises then would pass for a bug of the caller."""
        try:
            return await super().initialize(*args, **kwargs)
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from error

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        if self._initialize:
            await self.initialize()
        return await super().execute_command(*args, **kwargs)


def open_redis(settings: Settings, url: str, *, timeout_ms: int) -> "Redis":
    """A client whose every call answers or fails within about `timeout_ms`. Raises BadSettings for what is no URL of Redis.

    A call that timed out may have run: callers retry with the same request_id or read what is there, this client never does.
    """
    timeout_s = timeout_ms / 1000
    try:
        # Connections are made later; what their options are is known now.
        ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
    except (TypeError, ValueError):
        # Not what is wrong with it: that may be a part of the password.
        raise BadSettings(f"{variable('redis_url')} has options that redis-py does not know for such a URL") from None
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
    pool = _Pool.from_url(
        url,
        max_connections=settings.redis_connections,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        leaves_replicas=True,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    # Closed together with its client.
    return Redis.from_pool(pool)
