"""The ASGI application: routes, error handlers, what is opened at start and closed at stop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api import (
    authorize,
    budgets,
    customers,
    enforcement,
    health,
    metrics,
    model_configs,
    openapi,
    prices,
    pricing_overrides,
    providers,
    quota,
    rate_limits,
    routing_evaluation,
    routing_rules,
    teams,
    virtual_keys,
)
from service.api.answers import answer_bug, answer_http_exception, answer_service_error, error_response
from service.api.credentials import require_admin
from service.api.rendering.quota import QuotaView
from service.api.services import Services
from service.errors import ServiceError, StoreUnavailable
from service.providers import known_providers
from service.quota.enforcer import open_enforcer
from service.quota.sweep import sweep_forever
from service.settings import Settings, load_settings
from service.store.breaker import Breaker
from service.store.connection import Store, open_store
from service.store.quota import QuotaReader


class AdminOnly:
    """Everything under it needs an admin credential, unknown paths too."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            require_admin(Headers(scope=scope), self._settings)
        except ServiceError as error:
            return await error_response(error)(scope, receive, send)
        await self._app(scope, receive, send)


class Application:
    """Hot paths go straight to their endpoints; everything else passes Starlette's router."""

    def __init__(self, settings: Settings, url: str, now_ms: str) -> None:
        hot_store = open_store(settings, url, timeout_ms=settings.redis_timeout_ms, now_ms=now_ms, breaker=Breaker())
        self.services = Services(
            settings=settings,
            providers=known_providers(settings.providers),
            store=open_store(settings, url, timeout_ms=settings.redis_admin_timeout_ms, now_ms=now_ms),
            hot_store=hot_store,
            quota_reader=QuotaReader(hot_store, view=QuotaView, largest_cache=settings.cached_keys),
            enforcer=open_enforcer(settings, hot_store),
        )
        self._router = Starlette(
            routes=_routes(settings),
            lifespan=self._lifespan,
            exception_handlers={ServiceError: answer_service_error, HTTPException: answer_http_exception, Exception: answer_bug},
        )
        # A path with a slash too many is unknown, as every other unknown path.
        self._router.router.redirect_slashes = False
        self._router.state.services = self.services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            services, path = self.services, scope["path"]
            if path == quota.PATH and scope["method"] in ("GET", "HEAD"):
                return await quota.answer_quota(scope, receive, send, services.quota_reader)
            if (call := enforcement.CALLS_BY_PATH.get(path)) is not None:
                return await enforcement.answer_call(scope, receive, send, call, services)
            if authorize.is_authorize(path):
                return await authorize.answer_authorize(scope, receive, send, services)
        await self._router(scope, receive, send)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        work = (sweep_forever(self.services.enforcer), _find_cluster_nodes(self.services.store))
        tasks = [asyncio.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.services.close()


async def _find_cluster_nodes(store: Store) -> None:
    """Looks them up at the start, while the node that the URL names is there."""
    with contextlib.suppress(StoreUnavailable):
        await store.ping()


def create_app(settings: Settings, *, now_ms: str = "") -> Application:
    """`settings.redis_url` says where Redis is; `now_ms` stops the clock, for tests only."""
    if settings.redis_url is None:
        raise ValueError("redis_url: start an embedded Redis first and pass its URL")
    return Application(settings, settings.redis_url, now_ms)


def create_app_from_environment() -> Application:
    """For the worker processes of a server, which are given their settings as QUOTAD_* variables."""
    return create_app(load_settings())


def _routes(settings: Settings) -> list[BaseRoute]:
    governance: list[BaseRoute] = [
        *virtual_keys.ROUTES,
        *teams.ROUTES,
        *customers.ROUTES,
        *budgets.ROUTES,
        *rate_limits.ROUTES,
        *routing_evaluation.ROUTES,
        *routing_rules.ROUTES,
        *model_configs.ROUTES,
        *providers.ROUTES,
        *pricing_overrides.ROUTES,
        *prices.ROUTES,
    ]
    return [
        Route("/livez", health.livez),
        Route("/readyz", health.readyz),
        Route("/health", health.health),
        Route("/api/version", health.version),
        Route("/metrics", metrics.metrics),
        Mount(
            "/api/governance",
            Router(governance, redirect_slashes=False),
            middleware=[Middleware(AdminOnly, settings=settings)],
        ),
        *openapi.docs_routes(),
    ]
