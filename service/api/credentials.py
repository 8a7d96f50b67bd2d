"""Who is calling: which headers carry a credential, and what it allows."""

import base64
import binascii
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from service.errors import Forbidden, Unauthorized
from service.remembered import LONGEST_REMEMBERED
from service.settings import VIRTUAL_KEY_PREFIX, Settings, is_loopback

_KEY_HEADERS: Final = ("x-api-key", "x-goog-api-key", "api-key")

_LOOKED_AT: Final = {
    name.encode(): name
    for name in (
        *("authorization", "x-bf-vk", *_KEY_HEADERS, "x-quota-token", "host", "origin", "sec-fetch-site"),
        *("content-length", "accept", "idempotency-key"),
        *("x-quota-provider", "x-quota-model", "x-quota-tokens", "x-quota-cost"),
    )
}
"""All that the hot calls ask headers for. Gateways pass on what their clients sent, which may be long: the rest is not read."""


def headers_of(scope: Scope) -> dict[str, str]:
    """Those that hot calls look at, read once; the first of several with one name."""
    names = _LOOKED_AT
    return {names[name]: value.decode("latin-1") for name, value in reversed(scope["headers"]) if name in names}


def as_utf8(text: str) -> str:
    """HTTP decodes headers as Latin-1; whoever writes other letters in them writes UTF-8."""
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


def presented_virtual_key(headers: Mapping[str, str], *, any_in_own_header: bool) -> str | None:
    """The first virtual key that the headers offer, x-bf-vk before Authorization before the others; None without one.

    `any_in_own_header`: x-bf-vk counts whatever it holds, as whoever sends it means it; not so where a proxy passes on what its
    clients sent.
    """
    own = headers.get("x-bf-vk", "")
    if own and (any_in_own_header or _looks_like_virtual_key(own)):
        return own
    bearer = _bearer(headers)
    if bearer is not None and _looks_like_virtual_key(bearer):
        return bearer
    for name in _KEY_HEADERS:
        value = headers.get(name)
        if value is not None and _looks_like_virtual_key(value):
            return value
    return None


def require_admin(headers: Headers, settings: Settings) -> None:
    """Raises Unauthorized or Forbidden. Without an admin token everybody who can connect, on this machine, is an admin."""
    if not settings.admin_token:
        _require_this_machine(headers)
        return
    offered = [text for text in (_bearer(headers), headers.get("x-api-key"), _basic_password(headers)) if text]
    if any(_is_one_of(text, settings.admin_token) for text in offered):
        return
    if any(_is_one_of(text, settings.gateway_token) for text in (*offered, headers.get("x-quota-token", ""))):
        raise Forbidden("a gateway token may not administer: use an admin token")
    raise Unauthorized(
        "an admin token is needed: send it as 'Authorization: Bearer <token>', as 'x-api-key' "
        "or as the password of Basic authentication"
    )


def require_gateway(headers: Mapping[str, str], settings: Settings) -> None:
    """Raises Unauthorized. A virtual key does not do: its holder could settle what they spent at zero.

    Without any token everybody who can connect, on this machine, is a gateway.
    """
    accepted = settings.gateway_token + settings.admin_token
    if not accepted:
        _require_this_machine(headers)
        return
    tokens = _gateway_tokens(accepted)
    # Wherever one may be: the first place that holds anything is right nearly always.
    if not (
        tokens.have(headers.get("x-quota-token"))
        or tokens.have(_bearer(headers))
        or tokens.have(headers.get("x-api-key"))
        or tokens.have(_basic_password(headers))
    ):
        raise Unauthorized("a gateway token is needed: send it as 'Authorization: Bearer <token>' or as 'x-quota-token'")


def _require_this_machine(headers: Mapping[str, str]) -> None:
    """A web page open in a browser here could call us too: by name (Host, DNS rebinding), or from its own origin."""
    host, origin = headers.get("host", "localhost"), headers.get("origin")
    is_short = len(host) + len(origin or "") <= LONGEST_REMEMBERED
    # Pictures and links of other pages come without an origin.
    is_cross_site = headers.get("sec-fetch-site") == "cross-site"
    if is_cross_site or not (_is_local if is_short else _find_out_if_local)(host, origin):
        raise Forbidden(
            "without an admin token quotad answers local callers only, addressed as localhost: set QUOTAD_ADMIN_TOKEN"
        )


def _find_out_if_local(host: str, origin: str | None) -> bool:
    try:
        names = [urlsplit(f"//{host}").hostname, *([urlsplit(origin).hostname] if origin is not None else [])]
    except ValueError:
        return False
    return all(name is not None and is_loopback(name) for name in names)


_is_local: Final = lru_cache(maxsize=1024)(_find_out_if_local)


def _is_one_of(offered: str, secrets: tuple[str, ...]) -> bool:
    """Compares with every secret, by digest, so that time tells neither which one nor how long it is."""
    digest = sha256(offered.encode("utf-8", "surrogatepass")).digest()
    matches = [compare_digest(digest, secret) for secret in _digests(secrets)]
    return any(matches)


@lru_cache(maxsize=8)
def _digests(secrets: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(sha256(secret.encode()).digest() for secret in secrets)


class _Tokens:
    """Compared with once: what was right before is looked up by its hash, which is no nearer for what is nearly right."""

    def __init__(self, accepted: tuple[str, ...]) -> None:
        self._accepted = accepted
        self._seen: set[str] = set()

    def have(self, offered: str | None) -> bool:
        if offered in self._seen:
            return True
        if not offered or not _is_one_of(offered, self._accepted):
            return False
        self._seen.add(offered)
        return True


_gateway_tokens: Final = lru_cache(maxsize=8)(_Tokens)


def _looks_like_virtual_key(value: str) -> bool:
    return value[: len(VIRTUAL_KEY_PREFIX)].lower() == VIRTUAL_KEY_PREFIX


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else None


def _basic_password(headers: Mapping[str, str]) -> str | None:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(rest.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return pair.partition(":")[2]
