"""The bench lets redis-benchmark send a command, and does not believe it when Redis answered errors."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import redis_benchmark
from bench.servers import redis_server

pytestmark = pytest.mark.skipif(redis_benchmark.program() is None, reason="the bench does without redis-benchmark")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with redis_server(tmp_path) as url:
        yield url


def test_commands_with_quotes_commas_and_bytes_are_sent(url: str):
    assert redis_benchmark.rate(url, [b"SET", b'key:__rand_int__ "a","b"', b"\xff\n{}"], 500, pipelined=8) > 0


def test_errors_are_no_throughput(url: str):
    with pytest.raises(RuntimeError, match="errors by Redis"):
        redis_benchmark.rate(url, [b"EVALSHA", b"0" * 40, b"0"], 500)


def test_what_cannot_be_an_argument_is_left_to_our_loop():
    assert redis_benchmark.can_send([b"GET", b"key"])
    assert not redis_benchmark.can_send([b"GET", b"k\0ey"])
