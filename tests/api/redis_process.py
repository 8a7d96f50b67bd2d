"""A redis-server that tests may torment: stopped, killed, started again with its data, made to refuse."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from service.store.redis_binary import find_redis_binary
from tests.ports import reserved
from tests.store.stored_counters import UNDECODED

PATIENCE_S = 60.0
_UNLOCKED = ("--enable-debug-command", "yes", "--enable-protected-configs", "yes")


class RedisProcess:
    """Listens on a port of its own; what it is told it writes at once, and reads again when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._reserved = reserved()  # also while it does not run
        self.port = int(self._reserved.getsockname()[1])
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = Redis.from_url(
            self.url,
            decode_responses=True,
            encoding_errors=UNDECODED,
            socket_timeout=PATIENCE_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._command = [
            str(find_redis_binary().path), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "",
            "--appendonly", "yes", "--appendfsync", "always",
            *(_UNLOCKED if find_redis_binary().version >= (7, 0, 0) else ()),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        self.wait_until_it_answers()

    def wait_until_it_answers(self) -> None:
        eventually(self._answers)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def close(self) -> None:
        self.client.close()
        self.signal(signal.SIGCONT)
        self.kill()
        self._reserved.close()

    def configure(self, **options: Any) -> None:
        for name, value in options.items():
            self.client.config_set(name.replace("_", "-"), value)

    def disconnect_others(self) -> None:
        """They are gone with the end of this: Redis closes what it kills after it has answered."""
        others = self._connected() - {str(self.client.client_id())}
        self.client.client_kill_filter(_type="normal", skipme=True)
        eventually(lambda: not others & self._connected())

    def _connected(self) -> set[str]:
        return {client["id"] for client in self.client.client_list()}

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "it ended"
        try:
            return bool(self.client.ping())
        except RedisError:
            return False


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)
