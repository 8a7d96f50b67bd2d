"""The store as the service opens it, on the test's Redis."""

from collections.abc import AsyncIterator

import pytest
from redis import Redis

from service.settings import Settings
from service.store.connection import Store, open_store

NOW_MS = 1_900_000_000_000


@pytest.fixture
async def store(redis: Redis, redis_url: str) -> AsyncIterator[Store]:
    """Its clock stands at NOW_MS."""
    opened = open_store(Settings(), redis_url, timeout_ms=5_000, now_ms=str(NOW_MS))
    yield opened
    await opened.close()
