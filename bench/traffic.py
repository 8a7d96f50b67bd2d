"""What a load generator sends: raw HTTP requests with places for a running number and for a virtual key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

NUMBER: Final = "@number@"
"""Counts up with every round through the requests."""
EARLIER: Final = "@earlier@"
"""Trails NUMBER by `Traffic.lag`: what was asked then is answered by now."""
KEY: Final = "@key@"
"""A virtual key, another one wherever this stands."""

DIGITS: Final = 12
"""Numbers are written with leading zeros, so that a request has the same length whatever its number."""
KEY_LENGTH: Final = len("sk-bf-") + 36

GATEWAY_TOKEN: Final = "bench-gateway-token"
ADMIN_TOKEN: Final = "bench-admin-token"

QUOTA_PATH: Final = "/api/governance/virtual-keys/quota"
GATEWAY_PATH: Final = "/api/governance/quota"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests sent in turn. `first` is where numbers begin; `keys` are drawn from at random."""

    requests: tuple[bytes, ...]
    keys: Sequence[str] = field(default=(), repr=False)
    first: int = 0
    lag: int = 0

    def sample(self, number: int = 0) -> list[bytes]:
        """One round of requests as they are sent."""
        return [self.fill(request, number) for request in self.requests]

    def fill(self, request: bytes, number: int) -> bytes:
        numbered = request.replace(NUMBER.encode(), digits(number)).replace(EARLIER.encode(), digits(max(0, number - self.lag)))
        text, *others = numbered.split(KEY.encode())
        for place, piece in enumerate(others):
            text += (self.keys[(number + place) % len(self.keys)].encode() if self.keys else b"") + piece
        return text


def digits(number: int) -> bytes:
    return b"%0*d" % (DIGITS, number)


def get(path: str, headers: Mapping[str, str]) -> bytes:
    return _request("GET", path, headers, b"", 0)


def post(path: str, headers: Mapping[str, str], content: object, *, method: str = "POST") -> bytes:
    body = orjson.dumps(content)
    sent = body.replace(NUMBER.encode(), digits(0)).replace(EARLIER.encode(), digits(0))
    sent = sent.replace(KEY.encode(), b"k" * KEY_LENGTH)
    return _request(method, path, {"content-type": "application/json", **headers}, body, len(sent))


def _request(method: str, path: str, headers: Mapping[str, str], body: bytes, length: int) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"content-length: {length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
