"""The HTTP service around a peer written in Python, for uvicorn: `bench.peers.service:create_app`."""

import asyncio
import importlib
import os
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.peers.five_limits import LAST_LIMIT, THINKING_S, TOKENS_OF_A_REQUEST

PEER: Final = "BENCH_PEER"
REDIS_URL: Final = "BENCH_REDIS_URL"
_ANSWERS: Final = {True: (b'{"decision":"allow"}', 200), False: (b'{"decision":"rate_limited"}', 429)}


def create_app() -> Starlette:
    peer: Any = importlib.import_module(f"bench.peers.{os.environ[PEER]}").Peer(
        os.environ[REDIS_URL], int(os.environ[LAST_LIMIT])
    )

    def caller(request: Request) -> str:
        return request.headers["x-caller"]

    async def take(request: Request) -> Response:
        body, status = _ANSWERS[await peer.take(caller(request))]
        return Response(body, status, media_type="application/json")

    async def first(request: Request) -> Response:
        return Response(str(await peer.counted_by_first(caller(request))))

    async def answer_model(request: Request) -> Response:
        """Asks whether there are tokens left, and counts when the model has answered: before, nobody knows how many."""
        if not await peer.may_use_tokens(caller(request)):
            return Response(status_code=429)
        await asyncio.sleep(THINKING_S)
        await peer.use_tokens(caller(request), TOKENS_OF_A_REQUEST)
        return Response(str(TOKENS_OF_A_REQUEST))

    return Starlette(
        routes=[
            Route("/take", take, methods=["POST"]),
            Route("/first", first, methods=["POST"]),
            Route("/answer", answer_model, methods=["POST"]),
        ]
    )
