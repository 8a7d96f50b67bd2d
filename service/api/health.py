"""Is it alive, is it ready, which version: for load balancers, orchestrators and people."""

from starlette.requests import Request
from starlette.responses import Response

from service import __version__
from service.api.answers import json_answer
from service.api.services import services_of


async def livez(request: Request) -> Response:
    """This process answers. No I/O: restarting it would not bring Redis back."""
    return json_answer({"status": "ok"})


async def readyz(request: Request) -> Response:
    """This process can do its work: Redis answers."""
    await services_of(request).hot_store.ping()
    return json_answer({"status": "ok"})


async def health(request: Request) -> Response:
    """The health call of the published API."""
    await services_of(request).hot_store.ping()
    return json_answer({"status": "ok", "components": {"db_pings": "ok"}})


async def version(request: Request) -> Response:
    return json_answer(__version__)
