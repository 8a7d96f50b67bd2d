"""Records what quotad sends to Redis for one call, byte for byte, and sends it again as fast as Redis takes it."""

import itertools
import re
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import urlsplit

import hiredis

_QUOTED: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_END: Final = b"bench-end-of-recording"

Command = list[bytes]


def recorded(redis_url: str, call: Callable[[], None]) -> list[Command]:
    """The commands of clients that Redis saw meanwhile, those inside scripts left out."""
    with _connect(redis_url) as watching, _connect(redis_url) as ending:
        watching.sendall(b"MONITOR\r\n")
        seen = _Lines(watching)
        assert next(seen) == b"+OK"
        call()
        ending.sendall(b"ECHO %s\r\n" % _END)
        commands: list[Command] = []
        for line in seen:
            if _END in line:
                return commands
            if b" lua] " not in line:
                commands.append([_unescape(part) for part in _QUOTED.findall(line)])
    return commands


def replay_rate(redis_url: str, variants: Sequence[Sequence[Command]], seconds: float, *, again: bool = True) -> float:
    """Commands per second. `variants` are sent in turn, again and again unless that would ask for what is done already; each
    inner list is one pipeline.
    """
    with _connect(redis_url) as connection:
        reader = hiredis.Reader()
        packed = [b"".join(map(_packed, variant)) for variant in variants]
        done = 0
        started = time.perf_counter()
        turns = itertools.cycle(range(len(packed))) if again else range(len(packed))
        for place in turns:
            connection.sendall(packed[place])
            for _ in variants[place]:
                _reply(connection, reader)
            done += len(variants[place])
            if (elapsed := time.perf_counter() - started) >= seconds:
                break
        return done / elapsed


def _reply(connection: socket.socket, reader: "hiredis.Reader") -> object:
    while (reply := reader.gets()) is False:
        received = connection.recv(262_144)
        if not received:
            raise ConnectionError("Redis closed the connection")
        reader.feed(received)
    if isinstance(reply, Exception):
        raise reply
    return reply


def _packed(command: Command) -> bytes:
    lengths_and_texts = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in command)
    return b"*%d\r\n%b" % (len(command), lengths_and_texts)


def _connect(redis_url: str) -> socket.socket:
    address = urlsplit(redis_url)
    connection = socket.create_connection((address.hostname, address.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class _Lines(Iterator[bytes]):
    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def __next__(self) -> bytes:
        return self._file.readline().rstrip(b"\r\n")


def _unescape(quoted: bytes) -> bytes:
    return quoted.decode("unicode_escape").encode("latin-1")
