"""Kinds of trouble that a Redis can be in, each a context: it begins at once and is over at the end."""

import contextlib
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from redis import RedisError

from tests.api.redis_process import RedisProcess, eventually

Trouble = Callable[[RedisProcess], contextlib.AbstractContextManager[None]]


@contextlib.contextmanager
def stopped(server: RedisProcess) -> Iterator[None]:
    server.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.signal(signal.SIGCONT)


@contextlib.contextmanager
def killed(server: RedisProcess) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def paused(server: RedisProcess) -> Iterator[None]:
    """Redis takes commands and answers none."""
    server.client.client_pause(5_000)  # longer than what is tried meanwhile takes on a busy machine
    try:
        yield
    finally:
        server.wait_until_it_answers()


@contextlib.contextmanager
def password_changed(server: RedisProcess) -> Iterator[None]:
    server.configure(requirepass="new")
    server.disconnect_others()
    try:
        yield
    finally:
        server.configure(requirepass="")


@contextlib.contextmanager
def full_of_clients(server: RedisProcess) -> Iterator[None]:
    before = server.client.config_get("maxclients")["maxclients"]
    server.configure(maxclients=1)
    server.disconnect_others()
    try:
        yield
    finally:
        server.configure(maxclients=before)


@contextlib.contextmanager
def in_another_script(server: RedisProcess) -> Iterator[None]:
    limit = "lua-time-limit"
    server.client.config_set(limit, 1)

    def run() -> None:
        with contextlib.suppress(RedisError):
            server.client.eval("while true do end", 0)

    def is_busy() -> bool:
        try:
            server.client.ping()
        except RedisError as error:
            return "BUSY" in str(error)
        return False

    thread = threading.Thread(target=run)
    thread.start()
    eventually(is_busy)
    try:
        yield
    finally:
        server.client.script_kill()
        thread.join()
        server.client.config_set(limit, 5_000)


@contextlib.contextmanager
def without_its_master(server: RedisProcess) -> Iterator[None]:
    server.configure(replica_serve_stale_data="no")
    server.client.slaveof("127.0.0.1", 1)
    try:
        yield
    finally:
        server.client.slaveof()
        server.configure(replica_serve_stale_data="yes")


@contextlib.contextmanager
def loading(server: RedisProcess) -> Iterator[None]:
    """Reads its data anew, slowly."""
    for number in range(20):
        server.client.set(f"ballast {number}", random.randbytes(2_200_000))  # it looks at its clients every 2 MiB
    server.configure(key_load_delay=60_000)
    thread = threading.Thread(target=server.client.execute_command, args=("DEBUG", "RELOAD"))
    thread.start()
    eventually(lambda: server.client.info("persistence")["loading"] == 1)
    try:
        yield
    finally:
        thread.join()
        server.configure(key_load_delay=0)


@contextlib.contextmanager
def out_of_memory(server: RedisProcess) -> Iterator[None]:
    server.configure(maxmemory_policy="noeviction", maxmemory=1)
    try:
        yield
    finally:
        server.configure(maxmemory=0)


@contextlib.contextmanager
def read_only(server: RedisProcess) -> Iterator[None]:
    server.client.slaveof("127.0.0.1", 1)
    try:
        yield
    finally:
        server.client.slaveof()


@contextlib.contextmanager
def without_replicas(server: RedisProcess) -> Iterator[None]:
    server.configure(min_replicas_to_write=1)
    try:
        yield
    finally:
        server.configure(min_replicas_to_write=0)


@contextlib.contextmanager
def with_a_broken_disk(server: RedisProcess) -> Iterator[None]:
    before = str(server.client.config_get("dir")["dir"])
    server.configure(save="3600 1")
    folder = Path(before, "gone")
    folder.mkdir()
    server.client.config_set("dir", str(folder))
    folder.rmdir()
    server.client.bgsave()
    eventually(lambda: server.client.info("persistence")["rdb_last_bgsave_status"] == "err")
    try:
        yield
    finally:
        server.configure(save="")
        server.client.config_set("dir", before)


@contextlib.contextmanager
def without_permission(server: RedisProcess) -> Iterator[None]:
    """Our user may run scripts, but not what writes in them."""
    server.client.execute_command("ACL", "SETUSER", "default", "-@write")
    try:
        yield
    finally:
        server.client.execute_command("ACL", "SETUSER", "default", "+@all")


AWAY: list[Trouble] = [stopped, killed, paused, password_changed, full_of_clients, in_another_script, without_its_master, loading]
"""Nothing can be read or written."""

REFUSES_WRITES: list[Trouble] = [out_of_memory, read_only, without_replicas, with_a_broken_disk, without_permission]
"""What is there can still be read."""
