"""One route per path with an endpoint per method: a path that is listed first is never taken for an id, whatever the method."""

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.api.bodies import read_body

Endpoint = Callable[[Request], Awaitable[Response]]


class _ByMethod:
    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        self._endpoints = endpoints
        if "GET" in endpoints:
            endpoints["HEAD"] = endpoints["GET"]
        self._allow = ", ".join(endpoints)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get(scope["method"])
        if endpoint is None:
            raise HTTPException(405, headers={"Allow": self._allow})
        request = Request(scope, receive, send)
        if scope["method"] == "DELETE":
            # Nobody needs it, but where it is no HTTP, or its end never comes, nothing must be deleted.
            await read_body(request)
        response = await endpoint(request)
        await response(scope, receive, send)


def route(path: str, **endpoints: Endpoint) -> Route:
    """`route("/teams", GET=list_teams, POST=create_team)`; GET serves HEAD too, 405 names all methods of the path."""
    return Route(path, _ByMethod(endpoints))
