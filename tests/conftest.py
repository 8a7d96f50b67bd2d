"""A real Redis for every test that wants one: started here, nothing of it kept; a Redis that does not start fails the run."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from redis import Redis

from service.store.embedded import embedded_redis
from tests.store.stored_counters import UNDECODED

TEST_REDIS_URL = os.environ.get("QUOTAD_TEST_REDIS_URL")

# An example may take as long as a busy machine makes it take: what is tested is what comes out.
# The same examples each time; `pytest --hypothesis-profile=explore` looks for others.
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quotad", settings.get_profile("explore"), derandomize=True)
settings.load_profile("quotad")

# The developer's own settings must not decide what a test sees.
for _name in [name for name in os.environ if name.upper().startswith("QUOTAD_")]:
    del os.environ[_name]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One process where all would empty the same Redis."""
    return 1 if TEST_REDIS_URL else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of tests with the same id pytest-xdist would run one."""
    assert len({item.nodeid for item in items}) == len(items), "tests share an id"


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """QUOTAD_TEST_REDIS_URL when given (it is flushed!), else a server of our own on a private socket."""
    if TEST_REDIS_URL:
        yield TEST_REDIS_URL
        return
    with embedded_redis(None, logging.getLogger("quotad.tests.redis")) as url:
        yield url


@pytest.fixture(scope="session")
def _redis_connection(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True, encoding_errors=UNDECODED) as client:
        yield client


@pytest.fixture
def redis(_redis_connection: Redis) -> Redis:
    """A connected client of an empty Redis; strings in, strings out."""
    _redis_connection.flushall()
    return _redis_connection
