"""Ports that nobody else gets while a test wants them: free, listened on by a Redis, or free again."""

import contextlib
import socket
from collections.abc import Iterator


def reserved(port: int = 0) -> socket.socket:
    """Until it is closed, nobody is given the port who asks for any, nor as his end of a connection. Who connects is refused.

    Redis may listen on it: it sets SO_REUSEADDR. We do so only afterwards, or two of us could have the same.
    """
    holder = socket.socket()
    try:
        holder.bind(("127.0.0.1", port))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError:
        holder.close()
        raise
    return holder


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    with reserved() as holder:
        yield holder.getsockname()[1]


@contextlib.contextmanager
def reserved_port_and_bus() -> Iterator[int]:
    """Of the range that leaves room for the cluster bus, which listens 10000 above."""
    for port in range(20_000, 50_000):
        with contextlib.ExitStack() as stack:
            try:
                for number in (port, port + 10_000):
                    stack.enter_context(reserved(number))
            except OSError:
                continue
            yield port
            return
    raise AssertionError("no free port")
