"""The application in this process on a real Redis, called as HTTP; a second one shares its store where two workers matter.

Every response of every test is held against the OpenAPI document.
"""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from redis import Redis

from service.app import Application, create_app
from service.settings import Settings
from tests.api.documented import assert_documented
from tests.store.consistency import assert_consistent

NOW_MS = 1_900_000_000_000
"""Where a test stops the clock: Sunday 2030-03-17T17:46:40Z."""

MakeApp = Callable[..., Application]
MakeClient = Callable[..., httpx.AsyncClient]


@pytest.fixture
async def make_app(redis: Redis, redis_url: str) -> AsyncIterator[MakeApp]:
    """`make_app(now_ms=..., **settings)`: an application on the test's Redis, closed at the end. Then Redis is consistent."""
    applications: list[Application] = []

    def make(*, now_ms: int | None = None, **settings: object) -> Application:
        # More patience than a user needs: other tests may have the processors.
        values: dict[str, object] = {"redis_url": redis_url, "redis_timeout_ms": 60_000, "redis_admin_timeout_ms": 60_000}
        application = create_app(Settings(**{**values, **settings}), now_ms="" if now_ms is None else str(now_ms))  # type: ignore[arg-type]
        applications.append(application)
        return application

    yield make
    for application in applications:
        await application.services.close()
    assert_consistent(redis)


@pytest.fixture
def make_client(make_app: MakeApp) -> MakeClient:
    """An HTTP client of an application of its own; takes what `make_app` takes, and `headers`."""

    def make(*, headers: dict[str, str] | None = None, **options: object) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=make_app(**options), raise_app_exceptions=False)
        return httpx.AsyncClient(
            transport=transport,
            base_url="http://localhost/api/governance",
            headers=headers,
            event_hooks={"response": [assert_documented]},
        )

    return make


@pytest.fixture
async def client(make_client: MakeClient) -> AsyncIterator[httpx.AsyncClient]:
    """The application as most tests need it, its clock running."""
    async with make_client() as one:
        yield one
