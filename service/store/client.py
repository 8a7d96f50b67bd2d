"""Opens the connections to Redis, or to all nodes of a cluster: how many, how long to wait, no hidden retries."""

import asyncio
import contextlib
from collections.abc import Callable
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
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisClusterException, RedisError, ResponseError

from service.settings import BadSettings, Settings, variable
from service.store.failures import is_from_replica
from service.store.lookup import addresses_of
from service.store.patience import Patience

_CONNECTIONS_OF_A_NODE: Final = 1000
"""A cluster client has no call wait for a connection: it fails beyond this, which batches stay far below."""

_NODES_ASKED: Final = 3
"""A call waits for the layout of a cluster for as long as it takes to ask so many nodes that do not answer."""


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
        try:
            with Patience(self._limit_s):
                await super().send_packed_command(*args, **kwargs)
        except RuntimeError as error:
            # What uvloop says of a transport that another call has closed.
            raise ConnectionError(str(error)) from error

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
    """Its name is looked up as lookup.py says."""

    _address = ""

    async def _connect(self) -> None:
        *others, last = await addresses_of(self.host, self.port)
        for address in others:
            self._address = address
            with contextlib.suppress(OSError):
                await super()._connect()  # type: ignore[no-untyped-call]
                return
        self._address = last
        await super()._connect()  # type: ignore[no-untyped-call]

    def _connection_arguments(self) -> Any:
        return {**super()._connection_arguments(), "host": self._address}


class _PatientTls(_PatientTcp, SSLConnection):
    def _connection_arguments(self) -> Any:
        return {**super()._connection_arguments(), "server_hostname": self.host}


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


class Cluster(RedisCluster):
    """Every command waits until the layout of the cluster is known.

    redis-py lets commands begin meanwhile, and then closes connections under some of them.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.on_layout: Callable[[], None] = lambda: None
        """Called when the layout is known, at first and again after a node has failed."""
        self._looking: asyncio.Task[Any] | None = None
        self._limit_s: float = _NODES_ASKED * kwargs["socket_timeout"]
        patient = _PATIENT[self.connection_kwargs["connection_class"]]
        # Of the nodes to come; those to begin with are made already.
        self.connection_kwargs["connection_class"] = patient
        for node in self.startup_nodes:
            node.connection_class = patient

    async def initialize(self, *args: Any, **kwargs: Any) -> Any:
        """ConnectionError where no node tells of all slots: what redis-py raises then would pass for a bug of the caller."""
        if not self._initialize:
            return self
        # One looks for all who wait: each would ask all nodes again, one after the other.
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(super().initialize(*args, **kwargs))
            self._looking.add_done_callback(self._looked)
        try:
            with Patience(self._limit_s):
                await asyncio.shield(self._looking)
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from error
        return self

    def _looked(self, looking: "asyncio.Task[Any]") -> None:
        """Whether or not anybody still waits for it."""
        if not looking.cancelled() and looking.exception() is None:
            self.on_layout()

    def get_node(self, host: str | None = None, port: int | None = None, node_name: str | None = None) -> Any:
        """A node to which slots are on their way is in no layout before it has one; redis-py would have none then."""
        node = super().get_node(host, port, node_name)
        if node is None and node_name is not None:
            address, _, number = node_name.rpartition(":")
            node = ClusterNode(address, int(number), "primary", **self.connection_kwargs)
            self.nodes_manager.nodes_cache[node.name] = node
        return node

    def stop_looking(self) -> None:
        """Before the client is closed for good. redis-py closes it, too, to begin anew, while others wait for the layout."""
        if self._looking is not None:
            self._looking.cancel()

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
    except (TypeError, ValueError, RedisError):
        # Not what is wrong with it: that may be a part of the password.
        raise BadSettings(f"{variable('redis_url')} has options that redis-py does not know for such a URL") from None
    if settings.redis_cluster:
        cluster = Cluster.from_url(
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
