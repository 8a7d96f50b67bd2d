"""Counters as they lie in usage hashes, read and written behind the service's back.

Clients of tests decode what is no text with surrogates. fakeredis has no struct: there they are texts, see tests/lua/conftest.py.
"""

import re

from fakeredis import FakeRedis
from redis import Redis

from service.entities import Counter
from service.store.codec import decode_counters, state_field
from service.store.packed_integers import pack_integers, unpack_integers

UNDECODED = "surrogateescape"
"""How clients of tests decode what is no text."""
PACKED_AS_TEXT = "integers:"
REMOVED = Counter(0, -1, 0)
"""What stands in the place of a counter that is no more."""


def packed_integers(text: str) -> bytes:
    """As they lie in Redis."""
    return text.encode("utf-8", UNDECODED)


def integers(text: str) -> list[int]:
    """What struct has packed."""
    if text.startswith(PACKED_AS_TEXT):
        return [int(number) for number in re.findall(r"-?\d+", text)]
    packed = packed_integers(text)
    return [int.from_bytes(packed[at : at + 8], "little", signed=True) for at in range(0, len(packed), 8)]


def encode_counters(counters: dict[int, Counter]) -> dict[str, bytes]:
    """What decode_counters reads."""
    states: dict[str, list[int]] = {}
    for slot in range(1, max(counters, default=0) + 1):
        states.setdefault(state_field(slot), []).extend(counters.get(slot, REMOVED))
    return {field: pack_integers(*numbers) for field, numbers in states.items()}


def stored_counters(redis: Redis, usage_key: str) -> dict[int, Counter]:
    """By slot."""
    fields: dict[str, str] = redis.hgetall(usage_key)  # type: ignore[assignment]
    return counters_in(fields)


def counters_in(fields: dict[str, str]) -> dict[int, Counter]:
    """The same of a usage hash that was read already."""
    states = {name.encode(): pack_integers(*integers(value)) for name, value in fields.items() if name[0] == "s"}
    return decode_counters(states)


def store_counter(redis: Redis, usage_key: str, slot: int, counter: Counter) -> None:
    for field, packed in encode_counters(stored_counters(redis, usage_key) | {slot: counter}).items():
        as_text = PACKED_AS_TEXT + ",".join(map(str, unpack_integers(packed)))
        redis.hset(usage_key, field, as_text if isinstance(redis, FakeRedis) else packed)
