"""Composing Lua scripts from files, running them by SHA, and naming what Redis refuses."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import ResponseError

from service.errors import StoreUnavailable
from service.store.scripts import LUA, Scripts, compose, with_flags

READER = "--[[\nread\n\nKEYS\n  [1] a string\nARGV\n  none\nRETURNS\n  its value\nWRITES\n  nothing\n]]\n"
WRITER = READER.replace("WRITES\n  nothing\n", "WRITES\n  the key\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "includes").mkdir()
    return tmp_path


def write(folder: Path, **texts: str) -> None:
    """`main="..."` is a command, `_one="..."` an include."""
    for name, text in texts.items():
        path = folder / "includes" / f"{name[1:]}.lua" if name.startswith("_") else folder / f"{name}.lua"
        path.write_text(text)


def test_an_include_is_pasted_where_it_is_named(folder: Path):
    write(folder, main='-- head\n--- @include "one"\nreturn one()\n', _one="local function one() return 1 end\n")
    assert compose("main", folder) == "-- head\nlocal function one() return 1 end\nreturn one()\n"


def test_includes_may_include(folder: Path):
    write(folder, main='--- @include "outer"\nreturn outer()\n', _outer='--- @include "inner"\n-- outer\n', _inner="-- inner\n")
    assert compose("main", folder) == "-- inner\n-- outer\nreturn outer()\n"


def test_an_include_is_pasted_once_before_its_first_user(folder: Path):
    write(
        folder,
        main='--- @include "left"\n--- @include "right"\n--- @include "shared"\nreturn 1\n',
        _left='--- @include "shared"\n-- left\n',
        _right='--- @include "shared"\n-- right\n',
        _shared="-- shared\n",
    )
    assert compose("main", folder) == "-- shared\n-- left\n-- right\nreturn 1\n"


def test_includes_that_include_each_other_end(folder: Path):
    write(folder, main='--- @include "a"\n', _a='--- @include "b"\n-- a\n', _b='--- @include "a"\n-- b\n')
    assert compose("main", folder) == "-- b\n-- a\n"


@pytest.mark.parametrize(
    "texts", [{"main": '--- @include "missing"\n'}, {"main": '--- @include "a"\n', "_a": '--- @include "missing"\n'}]
)
def test_a_missing_include_stops_the_start(folder: Path, texts: dict[str, str], redis_url: str):
    write(folder, **texts)
    with pytest.raises(FileNotFoundError, match="missing"):
        compose("main", folder)
    with pytest.raises(FileNotFoundError, match="missing"):
        Scripts(AsyncRedis.from_url(redis_url), folder)


def test_a_mention_inside_a_line_is_no_include(folder: Path):
    text = '-- as in --- @include "one"\n  --- @include "one"\n'
    write(folder, main=text)
    assert compose("main", folder) == text


@pytest.mark.parametrize("name", sorted(path.stem for path in LUA.glob("*.lua")))
def test_every_command_composes_without_a_trace_of_includes(name: str):
    assert "@include" not in compose(name)


@pytest.mark.parametrize(
    "text, server, first_line",
    [
        (READER, 6, "--[["),
        (WRITER, 6, "--[["),
        (READER, 7, "#!lua flags=no-writes"),
        (WRITER, 7, "#!lua"),
        (READER, 8, "#!lua flags=no-writes"),
        (READER, 255, "#!lua flags=no-writes"),
    ],
)
def test_flags_are_for_servers_that_know_them(text: str, server: int, first_line: str):
    flagged = with_flags(text, server)
    assert flagged.splitlines()[0] == first_line
    assert flagged.endswith(text)


@pytest.fixture
async def scripts(folder: Path, redis: Redis, redis_url: str) -> AsyncIterator[Scripts]:
    write(
        folder,
        read=READER + 'return redis.call("GET", KEYS[1])\n',
        write=WRITER + 'return redis.call("INCRBY", KEYS[1], ARGV[1])\n',
        broken=READER + 'assert(false, "our own mistake")\n',
        wrong_type=READER + 'return redis.call("HGET", KEYS[1], "f")\n',
    )
    async with AsyncRedis.from_url(redis_url) as client:
        made = Scripts(client, folder)
        yield made
        await made.close()


async def test_a_script_runs_with_its_keys_and_arguments(scripts: Scripts, redis: Redis):
    assert [await scripts.run("write", ["n"], [step]) for step in (1, "2", b"3")] == [1, 3, 6]
    assert await scripts.run("read", ["n"], []) == b"6"


async def test_a_script_is_sent_to_redis_once(scripts: Scripts, redis: Redis):
    redis.config_resetstat()
    for _ in range(3):
        await scripts.run("read", ["n"], [])
    calls = {name: stats["calls"] for name, stats in redis.info("commandstats").items()}
    assert calls["cmdstat_evalsha"] == 3
    assert sum(count for name, count in calls.items() if name.startswith("cmdstat_script")) == 1


async def test_it_is_sent_again_when_redis_forgot_it(scripts: Scripts, redis: Redis):
    assert await scripts.run("write", ["n"], [1]) == 1
    redis.script_flush()
    assert await scripts.run("write", ["n"], [1]) == 2


@pytest.mark.parametrize("calls", [1, 3])
async def test_redis_may_forget_it_again_as_soon_as_it_is_loaded(
    scripts: Scripts, redis: Redis, monkeypatch: pytest.MonkeyPatch, calls: int
):
    forgotten: list[object] = []
    load = Scripts._load

    async def load_in_vain(self: Scripts, name: str) -> str:
        sha = await load(self, name)
        if len(forgotten) < 2:
            forgotten.append(redis.script_flush())
        return sha

    monkeypatch.setattr(Scripts, "_load", load_in_vain)
    answers = await scripts.run_each("write", [(["n"], [1])] * calls)
    assert (answers, len(forgotten)) == ([*range(1, calls + 1)], 2)


async def test_an_unknown_name_is_a_bug(scripts: Scripts):
    with pytest.raises(KeyError):
        await scripts.run("nothing", [], [])


@pytest.mark.parametrize("name, text", [("broken", "our own mistake"), ("wrong_type", "WRONGTYPE")])
async def test_an_error_of_our_own_is_no_failure_of_redis(scripts: Scripts, redis: Redis, name: str, text: str):
    redis.set("n", "1")
    with pytest.raises(ResponseError, match=text):
        await scripts.run(name, ["n"], [])


async def test_out_of_memory_is_named_and_nothing_is_written(scripts: Scripts, redis: Redis):
    await scripts.run("write", ["n"], [1])
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreUnavailable, match=r"\(write\); try again"):
            await scripts.run("write", ["n"], [1])
        assert await scripts.run("read", ["n"], []) == b"1"
    finally:
        redis.config_set("maxmemory", 0)


async def test_a_server_that_is_not_there_is_named():
    async with AsyncRedis.from_url("unix:///nowhere/redis.sock") as client:
        with pytest.raises(StoreUnavailable, match=r"the store did not answer \(commit\); try again"):
            await Scripts(client).run("commit", [], [])


def test_a_composed_script_can_be_printed_with_line_numbers():
    command = [sys.executable, "-m", "service.store.scripts", "read_quota"]
    printed = subprocess.run(command, cwd=LUA.parent, capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[0] == "   1 --[["
    assert len(printed.splitlines()) == len(compose("read_quota").splitlines())
