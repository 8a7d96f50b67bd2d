"""All of Redis as bytes, to see what two moments differ in. The client must not decode responses."""

from redis import Redis

_CLOCK_MS = 1_000
"""Two readings of a time to live differ by what passes between them."""


def dump(redis: Redis) -> dict[str, tuple[bytes, bool]]:
    """Key by key its serialized value, and whether it ever goes by itself."""
    found = {}
    for name in list(redis.scan_iter(count=10_000)):
        with redis.pipeline(transaction=True) as pipe:
            pipe.dump(name)
            pipe.pttl(name)
            value, ttl_ms = pipe.execute()
        found[name.decode()] = (value, ttl_ms >= 0)
    return found


def ends_at_ms(redis: Redis) -> dict[str, int]:
    """When each key with a time to live goes, on the clock of Redis."""
    found = {}
    for name in list(redis.scan_iter(count=10_000)):
        seconds, microseconds = redis.time()
        ttl_ms = redis.pttl(name)
        if ttl_ms >= 0:
            found[name.decode()] = seconds * 1000 + microseconds // 1000 + ttl_ms
    return found


def same_ends(after: dict[str, int], before: dict[str, int]) -> bool:
    """But plans may go later: a worker that does not know whether one is saved writes it anew."""
    return after.keys() == before.keys() and all(
        abs(after[name] - before[name]) < _CLOCK_MS or (name.endswith(":plan") and after[name] > before[name]) for name in after
    )
