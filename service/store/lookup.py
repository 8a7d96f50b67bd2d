"""Finds the addresses of a name in a thread of its own, one for all who ask at about the same time.

A look-up cannot be given up, and may take the system half a minute where no name server answers. Those of the event loop wait
for each other in its few threads, and the end of the process for all of them: each attempt to connect would put both off.
"""

import asyncio
import contextlib
import socket
import threading
from functools import partial
from typing import Any, Final

_SHARED_FOR_S: Final = 2.0
"""Whoever asks later begins anew: the name server may be there again."""

_Asked = tuple[asyncio.AbstractEventLoop, str, int]
_under_way: Final[dict[_Asked, "asyncio.Future[list[str]]"]] = {}


async def addresses_of(host: str, port: int) -> list[str]:
    """In the order in which they are to be tried. OSError where the name has none."""
    loop = asyncio.get_running_loop()
    asked = (loop, host, port)
    found = _under_way.get(asked)
    if found is None:
        found = loop.create_future()
        # A daemon, or the process would wait for it at its end.
        threading.Thread(target=_look_up, args=(loop, found, host, port), name="look-up", daemon=True).start()
        # Not before: where no thread can be started, nobody would ever be answered.
        _under_way[asked] = found
        found.add_done_callback(partial(_forget, asked))
        loop.call_later(_SHARED_FOR_S, _forget, asked, found)
    return await asyncio.shield(found)


def _forget(asked: _Asked, found: "asyncio.Future[list[str]]") -> None:
    if _under_way.get(asked) is found:
        del _under_way[asked]
    if found.done() and not found.cancelled():
        # Or asyncio complains where nobody waits for it any more.
        found.exception()


def _look_up(loop: asyncio.AbstractEventLoop, found: "asyncio.Future[list[str]]", host: str, port: int) -> None:
    answer: list[str] | OSError | UnicodeError
    try:
        answer = [_text_of(address) for *_, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        answer = error
    # The loop may have ended meanwhile.
    with contextlib.suppress(RuntimeError):
        if isinstance(answer, list):
            loop.call_soon_threadsafe(found.set_result, answer)
        else:
            loop.call_soon_threadsafe(found.set_exception, answer)


def _text_of(address: tuple[Any, ...]) -> str:
    """With the interface that a link-local address is one of: it leads nowhere without."""
    return socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
