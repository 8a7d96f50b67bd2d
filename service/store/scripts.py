"""Composes the Lua scripts of lua/, and runs them by their SHA.

`python -m service.store.scripts NAME` prints a composed script with the line numbers that Redis uses in its errors.
"""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial
from hashlib import sha1
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from redis.asyncio import Redis, RedisCluster
from redis.crc import key_slot
from redis.exceptions import NoScriptError

from service import metrics
from service.store.breaker import Breaker
from service.store.failures import FAILURES, failure_of, refuses_writes_only
from service.store.shared_connection import SharedConnection

_PACKAGE: Final = Path(__file__).resolve().parents[1]
LUA: Final = next(path for path in (_PACKAGE / "lua", _PACKAGE.parent / "lua") if path.is_dir())
"""In a wheel the scripts lie inside the package, in a checkout beside it."""

Arg = str | int | bytes

_INCLUDE: Final = re.compile(r'^--- @include "([a-z_]+)"\n', re.MULTILINE)
_WRITES_NOTHING: Final = "WRITES\n  nothing\n"
_FIRST_SERVER_WITH_FLAGS: Final = 7

_LOADS: Final = 3
"""How often a script is loaded for one call: a SCRIPT FLUSH may come between loading it and running it."""

_TRIED_ALL_THE_SAME: Final = ("withdraw", "unlock")
"""Sent even while the breaker is open, and no reason to open it: they take something back, again and again where a node is away,
while others are there.
"""


@lru_cache
def compose(name: str, directory: Path = LUA) -> str:
    """The script with each include pasted once, where it is first named; FileNotFoundError when one is missing."""
    pasted: set[str] = set()

    def paste(match: "re.Match[str]") -> str:
        include = match[1]
        if include in pasted:
            return ""
        pasted.add(include)
        return _INCLUDE.sub(paste, (directory / "includes" / f"{include}.lua").read_text("utf-8"))

    return _INCLUDE.sub(paste, (directory / f"{name}.lua").read_text("utf-8"))


def with_flags(text: str, server_major: int) -> str:
    """The script with the `#!lua` line that Redis 7 understands (undeclared keys refused on a cluster) and Redis 6 rejects."""
    if server_major < _FIRST_SERVER_WITH_FLAGS:
        return text
    return f"#!lua{' flags=no-writes' if _WRITES_NOTHING in text else ''}\n{text}"


class Scripts:
    """The scripts of one directory on one server. With a breaker, calls fail at once while that server is away."""

    def __init__(self, redis: "Redis", directory: Path = LUA, *, timeout_ms: int = 2000, breaker: Breaker | None = None) -> None:
        """`timeout_ms` is for the answer to a call."""
        self._redis = redis
        # Not of a cluster: there the keys of a call say which node it goes to.
        self._connection = SharedConnection(redis, limit_s=timeout_ms / 1000, on_reopened=self.count_possible_loss)
        self._breaker = breaker
        # All scripts are composed here, so a missing include stops the start and not a request.
        self._texts = {path.stem: compose(path.stem, directory) for path in sorted(directory.glob("*.lua"))}
        self._without_writes = {name for name, text in self._texts.items() if _WRITES_NOTHING in text}
        self._shas: dict[str, str] = {}
        self._server_major: int | None = None
        self.possible_losses = 0
        """How often a server may have lost its last second: it had forgotten a script, or it was connected to anew."""

    def count_possible_loss(self) -> None:
        self.possible_losses += 1

    async def run(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """One EVALSHA; the script is loaded first where the server does not know it (start, failover, SCRIPT FLUSH)."""
        return await self._guarded(name, partial(self._evaluate, name, keys, args))

    async def run_each(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        """One EVALSHA for each call, on a cluster: together, each where its keys live.

        A StoreUnavailable stands where the answer of a call should be that failed alone.
        """
        if len(calls) == 1:
            return [await self.run(name, *calls[0])]
        return list(await self._guarded(name, partial(self._evaluate_each, name, calls)))

    async def read(self, what: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """The same for a command that is no script and writes nothing."""
        return await self._guarded(what, work, writes=False)

    async def _guarded(self, name: str, work: Callable[[], Awaitable[Any]], *, writes: bool | None = None) -> Any:
        if writes is None:
            writes = name not in self._without_writes
        breaker = self._breaker if name not in _TRIED_ALL_THE_SAME else None
        sent_after = breaker.admit(writes=writes) if breaker is not None else 0
        started = perf_counter()
        try:
            reply = await work()
        except FAILURES as error:
            failure = failure_of(name, error)
            metrics.store_errors(name).inc()
            if breaker is not None:
                breaker.failed(failure.reason, sent_after, refuses_writes_only=refuses_writes_only(error))
            raise failure from error
        metrics.script_seconds(name).observe(perf_counter() - started)
        self.answered(writes=writes)
        return reply

    @property
    def are_refused(self) -> bool:
        """Calls that write, at least, fail without being sent."""
        return self._breaker is not None and self._breaker.is_open

    def answered(self, *, writes: bool) -> None:
        """Redis is there, whoever found out: calls need not fail any more. `writes`: those that write need not, either."""
        if self._breaker is not None:
            self._breaker.succeeded(writes=writes)

    async def _evaluate(self, name: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        """NOSCRIPT means that nothing ran, so this is the one case in which a call is sent again."""
        sha = self._shas.get(name) or await self._load(name)
        for _ in range(_LOADS):
            try:
                return await self._evalsha(sha, keys, args)
            except NoScriptError:
                sha = await self._load(name)
        return await self._evalsha(sha, keys, args)

    async def _evalsha(self, sha: str, keys: Sequence[str], args: Sequence[Arg]) -> Any:
        if not isinstance(self._redis, Redis):
            return await self._redis.evalsha(sha, len(keys), *keys, *args)
        return await self._connection.call("EVALSHA", sha, len(keys), *keys, *args)

    async def _evaluate_each(self, name: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        sha = self._shas.get(name) or await self._load(name)
        answers = await self._pipelined(sha, calls)
        for _ in range(_LOADS):
            unknown = [place for place, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if not unknown:
                break
            sha = await self._load(name)
            again = await self._pipelined(sha, [calls[place] for place in unknown])
            for place, answer in zip(unknown, again, strict=True):
                answers[place] = answer
        return [failure_of(name, answer) if isinstance(answer, Exception) else answer for answer in answers]

    async def _pipelined(self, sha: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        """A node that is away fails its own calls only, unless all are."""
        groups = await self._by_node([keys for keys, _ in calls])
        pipelined = (self._pipelined_to_one(sha, [calls[place] for place in places]) for places in groups)
        outcomes = await asyncio.gather(*pipelined, return_exceptions=True)
        failed = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        mistakes = [failure for failure in failed if not isinstance(failure, FAILURES)]
        if mistakes or len(failed) == len(groups):
            raise (mistakes or failed)[0]
        answers: list[Any] = [None] * len(calls)
        for places, outcome in zip(groups, outcomes, strict=True):
            of_group = [outcome] * len(places) if isinstance(outcome, BaseException) else outcome
            for place, answer in zip(places, of_group, strict=True):
                answers[place] = answer
        return answers

    async def _pipelined_to_one(self, sha: str, calls: Sequence[tuple[Sequence[str], Sequence[Arg]]]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for keys, args in calls:
                # The cluster client refuses its own method for this in a pipeline, though it finds the node by the keys.
                pipe.execute_command("EVALSHA", sha, len(keys), *keys, *args)
            return list(await pipe.execute(raise_on_error=False))

    async def _by_node(self, keys_of_calls: Sequence[Sequence[str]]) -> list[list[int]]:
        """Places of the calls that go to the same node."""
        if not isinstance(self._redis, RedisCluster):
            return [list(range(len(keys_of_calls)))]
        await self._redis.initialize()
        groups: dict[str | None, list[int]] = {}
        for place, keys in enumerate(keys_of_calls):
            node = self._redis.nodes_manager.get_node_from_slot(key_slot(keys[0].encode())).name if keys else None
            groups.setdefault(node, []).append(place)
        return list(groups.values())

    async def close(self) -> None:
        await self._connection.close()

    async def _load(self, name: str) -> str:
        if not isinstance(self._redis, RedisCluster) or self._server_major is None:
            server: dict[str, Any] = await self._redis.info("server")
            self._server_major = int(str(server["redis_version"]).split(".")[0])
        text = with_flags(self._texts[name], self._server_major)
        try:
            await self._redis.script_load(text)
        except FAILURES:
            # The nodes of a cluster that are there have it now; calls to the others will fail by themselves.
            if not isinstance(self._redis, RedisCluster):
                raise
        self.possible_losses += name in self._shas
        self._shas[name] = sha1(text.encode(), usedforsecurity=False).hexdigest()
        return self._shas[name]


if __name__ == "__main__":
    for number, line in enumerate(compose(sys.argv[1]).splitlines(), start=1):
        sys.stdout.write(f"{number:4} {line}\n")
