"""A store on the Redis of the test."""

from collections.abc import AsyncIterator

import pytest
from redis import Redis

from service.settings import Settings
from service.store.connection import Store, open_store


@pytest.fixture
async def store(redis: Redis, redis_url: str) -> AsyncIterator[Store]:
    opened = open_store(Settings(), redis_url, timeout_ms=5_000)
    yield opened
    await opened.close()
