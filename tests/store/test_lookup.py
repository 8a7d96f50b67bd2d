"""Names are looked up once for all who ask; a look-up that takes long keeps nobody waiting who has given up."""

import asyncio
import socket
import threading
from typing import Any

import pytest
from redis.exceptions import ConnectionError, TimeoutError

from service.settings import Settings
from service.store.client import open_redis
from service.store.lookup import addresses_of
from service.store.patience import Patience

HANGING = "hanging.test"


class Names:
    """A system whose name server answers nothing until it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.answers = threading.Event()
        self._ask = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, *args: Any, **kwargs: Any) -> Any:
        if host != HANGING:
            return self._ask(host, *args, **kwargs)
        self.asked += 1
        self.answers.wait(30)
        return self._ask("127.0.0.1", *args, **kwargs)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


async def test_one_look_up_for_all(names: Names):
    for _ in range(20):
        with pytest.raises(TimeoutError), Patience(0.02):
            await addresses_of(HANGING, 1)
    waiting = [asyncio.create_task(addresses_of(HANGING, 1)) for _ in range(20)]
    await asyncio.sleep(0.02)
    names.answers.set()
    assert await asyncio.gather(*waiting) == [["127.0.0.1"]] * 20
    assert names.asked == 1
    assert await addresses_of(HANGING, 1) == ["127.0.0.1"]
    assert names.asked == 2


def test_who_gives_up_ends(names: Names):
    """Neither the loop nor the process waits for a name server."""

    async def give_up() -> None:
        redis = open_redis(Settings(), f"redis://{HANGING}:1", timeout_ms=50)
        for _ in range(10):
            with pytest.raises(TimeoutError):
                await redis.ping()
        await redis.aclose()

    thread = threading.Thread(target=asyncio.run, args=(give_up(),), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert [one.daemon for one in threading.enumerate() if one.name == "look-up"] == [True]
    names.answers.set()


async def test_a_name_without_an_address(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)  # a name server that is away would take longer to say so
    redis = open_redis(Settings(), "redis://nowhere.invalid:1", timeout_ms=5_000)
    with pytest.raises(ConnectionError, match=r"nowhere\.invalid:1"):
        await redis.ping()
    await redis.aclose()


async def test_an_address_of_an_interface_keeps_it(monkeypatch: pytest.MonkeyPatch):
    found = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1", 1, 0, socket.if_nametoindex("lo")))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert await addresses_of("printer.local", 1) == ["fe80::1%lo"]


async def test_without_a_thread_nobody_waits(monkeypatch: pytest.MonkeyPatch):
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            await addresses_of("127.0.0.1", 1)
    with Patience(1.0):
        assert await addresses_of("127.0.0.1", 1) == ["127.0.0.1"]
