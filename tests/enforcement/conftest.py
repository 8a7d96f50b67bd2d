"""A desk on a real Redis, its clock standing still."""

from collections.abc import AsyncIterator

import pytest
from redis import Redis

from service.settings import Settings
from service.store.connection import Store, open_store
from tests.store.plans import NOW
from tests.store.quota_desk import Desk


@pytest.fixture
async def store(redis: Redis, redis_url: str) -> AsyncIterator[Store]:
    opened = open_store(Settings(), redis_url, timeout_ms=20_000, now_ms=str(NOW))
    yield opened
    await opened.close()


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)
