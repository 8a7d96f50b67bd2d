"""The versions of what concerns the requests of every key: limits of providers and models, routing rules, prices."""

from dataclasses import dataclass
from functools import cached_property

from service.store import keys
from service.store.connection import Store


@dataclass(frozen=True)
class Versions:
    """Each is raised by every change. Read before what they are versions of, they may be too old for it, never too new."""

    limits: int
    routing: int
    pricing: int

    @cached_property
    def basis(self) -> str:
        """What a decision was routed and priced by; lua/includes/read_versions.lua makes the same text."""
        return f"{self.routing}:{self.pricing}"


async def read_versions(store: Store) -> Versions:
    stored = await store.scripts.read("versions", lambda: store.redis.hmget(keys.versions(), "limits", "routing", "pricing"))
    return Versions(*(int(version or 0) for version in stored))
