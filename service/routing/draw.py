"""Drawing by weight: as if at random, yet the same for the same request id in every worker and at every try."""

from collections.abc import Callable, Sequence
from hashlib import blake2b

from service.entities import RoutingTarget

Draw = Callable[[str, str], float]
"""A number in (0, 1] for a request id and what is drawn for it."""


def hashed(request_id: str, subject: str) -> float:
    """The same id draws the same number everywhere, so a repeated request goes where it went before."""
    digest = blake2b(f"{request_id}\0{subject}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return (int.from_bytes(digest) + 1) / 2**64


def draw_target(targets: Sequence[RoutingTarget], drawn: float) -> RoutingTarget:
    """Each with probability weight / total; weights need not add up to 1."""
    threshold = drawn * sum(target.weight for target in targets)
    passed = 0.0
    for target in targets:
        passed += target.weight
        if threshold <= passed:
            return target
    return targets[-1]  # rounding
