"""What a failure of Redis means: StoreUnavailable to callers, or, where our own script is wrong, a bug."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    ConnectionError,
    MasterDownError,
    MaxConnectionsError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    SlotNotCoveredError,
    TimeoutError,
    TryAgainError,
)

from service.errors import StoreUnavailable

_OUT_OF_SERVICE: Final = (
    ConnectionError, TimeoutError, MaxConnectionsError, BusyLoadingError, ReadOnlyError, OutOfMemoryError, MasterDownError,
    ClusterDownError, ClusterError, TryAgainError, AuthenticationError, NoPermissionError, NoScriptError,
)  # fmt: skip
_REPLICA_REPLIES: Final = ("READONLY", "MASTERDOWN")
_MAY_NOT: Final = ("The user executing the script", "ACL failure in script")
"""How Redis up to 7.0, and newer ones, say that a script ran into a command that our user may not run."""
_OUT_OF_SERVICE_REPLIES: Final = (
    *_REPLICA_REPLIES, "OOM", "LOADING", "MISCONF", "BUSY", "NOREPLICAS", "NOAUTH", "WRONGPASS", "unauthenticated",
    *_MAY_NOT,
)  # fmt: skip
"""Words of a reply, also inside an error of a script that ran into it."""
_REFUSED_WRITES: Final = (ReadOnlyError, OutOfMemoryError)
_REFUSED_WRITES_REPLIES: Final = ("READONLY", "OOM", "MISCONF", "NOREPLICAS", *_MAY_NOT)
"""Those of them that only what writes is told."""
FAILURES: Final = (RedisError, OSError, SlotNotCoveredError)
"""All that Redis and the way there may fail with; the last one is no RedisError."""


def failure_of(doing: str, error: Exception) -> StoreUnavailable:
    """What callers are told where Redis failed while `doing`. An error of our own script is a bug: it is raised as it is."""
    if not isinstance(error, ResponseError) or isinstance(error, _OUT_OF_SERVICE):
        message = f"the store did not answer ({doing}); try again"
    elif any(word in str(error) for word in _OUT_OF_SERVICE_REPLIES):
        message = f"the store cannot take part now ({doing}); try again"
    else:
        raise error
    # redis-py shows neither its own text nor that of Redis in a repr.
    failure = StoreUnavailable(message, reason=f"{doing}: {type(error).__name__}: {error}")
    failure.__cause__ = error
    return failure


def refuses_writes_only(error: Exception) -> bool:
    """Whether Redis, out of memory or a replica, may still answer what only reads."""
    return isinstance(error, ResponseError) and (
        isinstance(error, _REFUSED_WRITES) or any(word in str(error) for word in _REFUSED_WRITES_REPLIES)
    )


def is_from_replica(error: Exception) -> bool:
    """Redis took another server for master and left our connections to the old one open: it will refuse writes for ever."""
    if isinstance(error, ReadOnlyError | MasterDownError):
        return True
    return isinstance(error, ResponseError) and any(word in str(error) for word in _REPLICA_REPLIES)


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Whatever goes wrong in Redis inside becomes StoreUnavailable."""
    try:
        yield
    except FAILURES as error:
        raise failure_of(doing, error) from error
