"""What quotad is measured against: endpoints that answer the same bytes without checking anything, or with one plain script.

A module for uvicorn and granian: `bench.floors:bare` and `bench.floors:evalsha`, told by the environment what to answer.
"""

import json
import os
from pathlib import Path
from typing import Final, TypedDict

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

ANSWERS: Final = "BENCH_ANSWERS"
"""Names a file: JSON of one object for each route, as Floor has it."""
REDIS_URL: Final = "BENCH_REDIS_URL"

FIVE_LIMITS: Final = """
-- The script that one writes first: five fixed windows of requests, all taken or none.
for place, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or 0) >= tonumber(ARGV[2 * place - 1]) then
    return place
  end
end
for place, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then
    redis.call('PEXPIRE', key, ARGV[2 * place])
  end
end
return 0
"""
FIVE_KEYS: Final = [f"floor:{owner}" for owner in ("customer", "team", "key", "provider", "model")]
FIVE_ARGS: Final = [str(argument) for _ in FIVE_KEYS for argument in (10**12, 60_000)]


class Floor(TypedDict):
    """What one route answers."""

    method: str
    path: str
    status: int
    body: str


def _floors() -> list[Floor]:
    floors: list[Floor] = json.loads(Path(os.environ[ANSWERS]).read_text())
    return floors


def bare() -> Starlette:
    """F: nothing is read, nothing is checked."""

    def route(floor: Floor) -> Route:
        body, status = floor["body"].encode(), floor["status"]

        async def answer(request: Request) -> Response:
            return Response(body, status, media_type="application/json")

        return Route(floor["path"], answer, methods=[floor["method"]])

    return Starlette(routes=[route(floor) for floor in _floors()])


def evalsha() -> Starlette:
    """The same with one EVALSHA by redis-py for each request. The bare one starts sooner without it."""
    from redis.asyncio import Redis

    redis = Redis.from_url(os.environ[REDIS_URL], max_connections=1000)
    script = redis.register_script(FIVE_LIMITS)

    def route(floor: Floor) -> Route:
        body, status = floor["body"].encode(), floor["status"]

        async def answer(request: Request) -> Response:
            await script(keys=FIVE_KEYS, args=FIVE_ARGS)
            return Response(body, status, media_type="application/json")

        return Route(floor["path"], answer, methods=[floor["method"]])

    return Starlette(routes=[route(floor) for floor in _floors()])
