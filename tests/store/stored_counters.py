"""Counters as they lie in usage hashes, read and written behind the service's back.

Clients of tests decode what is no text with surrogates. fakeredis has no struct: there they are texts, see tests/lua/conftest.py.
"""

from fakeredis import FakeRedis
from redis import Redis

from service.entities import Counter
from service.store.codec import decode_counter, encode_counter

UNDECODED = "surrogateescape"
"""How clients of tests decode what is no text."""
PACKED_AS_TEXT = "integers:"


def packed_integers(text: str) -> bytes:
    """As they lie in Redis."""
    return text.encode("utf-8", UNDECODED)


def integers(text: str) -> list[int]:
    """What struct has packed."""
    if text.startswith(PACKED_AS_TEXT):
        return [int(number) for number in text.removeprefix(PACKED_AS_TEXT).split(",") if number]
    packed = packed_integers(text)
    return [int.from_bytes(packed[at : at + 8], "little", signed=True) for at in range(0, len(packed), 8)]


def stored_counters(redis: Redis, usage_key: str) -> dict[int, Counter]:
    """By slot."""
    fields: dict[str, str] = redis.hgetall(usage_key)  # type: ignore[assignment]
    return {int(name): Counter(*integers(value)) for name, value in fields.items() if name.isdigit()}


def store_counter(redis: Redis, usage_key: str, slot: int, counter: Counter) -> None:
    packed = encode_counter(counter)
    assert decode_counter(packed) == counter
    if isinstance(redis, FakeRedis):
        numbers = (counter.usage, counter.last_reset_ms, counter.held)
        redis.hset(usage_key, str(slot), PACKED_AS_TEXT + ",".join(map(str, numbers)))
    else:
        redis.hset(usage_key, str(slot), packed)
