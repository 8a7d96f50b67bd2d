"""What is wrong with a Redis that answers, but cannot be used as it is configured: asked once, before serving."""

from typing import Any, Final

from redis.exceptions import AuthenticationError, ConnectionError, NoPermissionError, ResponseError

from service.settings import BadSettings, variable
from service.store import keys
from service.store.connection import Store
from service.store.failures import store_errors

_NO_CLUSTER = "Cluster mode is not enabled on this node"
"""So redis-py says, among other things."""
_NOT_TRUSTED = "CERTIFICATE_VERIFY_FAILED"
_SCRIPT = "return redis.call('EXISTS', KEYS[1])"
_FOR_NOW: Final = ("LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN")
"""How answers begin that will be others soon."""


async def check_server(store: Store) -> str | None:
    """A warning, if there is something to warn of. Raises BadSettings where waiting would not help, else StoreUnavailable."""
    with store_errors("looking at the server"):
        try:
            found = await store.redis.info("everything")
            # Every decision is a script on keys like this.
            await store.redis.eval(_SCRIPT, 1, keys.versions())
        except NoPermissionError as error:
            raise BadSettings(f"{error} (see docs/operating.md for what this user must be allowed)") from error
        except AuthenticationError as error:
            raise BadSettings(str(error)) from error
        except ResponseError as error:
            if str(error).startswith(_FOR_NOW):
                raise
            # Such as a database that there is not.
            raise BadSettings(str(error)) from error
        except ConnectionError as error:
            if _NO_CLUSTER in str(error):
                raise BadSettings(f"it is no cluster, but {variable('redis_cluster')} is set") from error
            if _NOT_TRUSTED in str(error):
                raise BadSettings(
                    f"{error}: name its certificate authority by ssl_ca_certs in {variable('redis_url')}"
                ) from error
            raise
    info = _of_one_node(found)
    if info.get("cluster_enabled") and not store.clustered:
        raise BadSettings(f"it is part of a cluster: set {variable('redis_cluster')}=true")
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory") and policy != "noeviction":
        return f"Redis may evict what limits count (maxmemory-policy {policy}): set it to noeviction"
    return None


def _of_one_node(info: dict[str, Any]) -> dict[str, Any]:
    """A cluster client answers by node where it asks several."""
    first = next(iter(info.values()), None)
    return first if isinstance(first, dict) and "redis_version" in first else info
