"""Every setting of the service, read from QUOTAD_* variables; the only reader of the environment."""

import difflib
import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.durations import parse_duration

PREFIX = "QUOTAD_"
VIRTUAL_KEY_PREFIX = "sk-bf-"
NEEDS_ADDRESS = f"{PREFIX}REDIS_CLUSTER needs a {PREFIX}REDIS_URL with redis:// or rediss:// and no database but 0"
_is_database = re.compile(r"/?[0-9]*").fullmatch
"""The path of a URL of Redis."""


class BadSettings(Exception):
    """A setting that stops the start; the text is one sentence that names it."""


def _split_commas(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    if isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
        if not value:
            raise ValueError("holds nothing between its commas")  # a token that is not one must not leave the door open
    return handler(value)


CommaSeparated = Annotated[tuple[str, ...], NoDecode, WrapValidator(_split_commas)]


class Settings(BaseSettings):
    """Frozen. A value given in code beats the environment; an empty variable counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address to serve on. Anything but loopback needs an admin token."
    )
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port to serve on; 0 takes a free one.")
    workers: int = Field(default=1, ge=1, le=128, description="Server processes that share the port.")
    redis_url: str | None = Field(
        default=None,
        repr=False,
        description="redis://, rediss:// or unix:// URL. Not set: quotad starts a Redis of its own in the data directory.",
    )
    redis_cluster: bool = Field(
        default=False, description="Whether QUOTAD_REDIS_URL names a node of a Redis Cluster; the others are found through it."
    )
    data_dir: Path = Field(default=Path(".data"), description="Directory where the embedded Redis keeps its data.")
    admin_token: CommaSeparated = Field(
        default=(),
        repr=False,
        description="Tokens of the admin API, comma separated (several while rotating). Not set: open, on loopback only.",
    )
    gateway_token: CommaSeparated = Field(
        default=(),
        repr=False,
        description="Tokens of gateways that take and settle quota, comma separated (several while rotating).",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written: debug, info, warning or error."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        default="auto", description="Log lines on stderr: json or text; auto: text on a terminal, else JSON."
    )
    redis_timeout_ms: int = Field(
        default=250,
        ge=1,
        le=60_000,
        description="Milliseconds to connect to Redis and to wait for its answer, in calls of gateways.",
    )
    redis_admin_timeout_ms: int = Field(
        default=2000, ge=1, le=60_000, description="Milliseconds, the same for calls of the admin API."
    )
    redis_connections: int = Field(
        default=16,
        ge=1,
        le=10_000,
        description="Size of each of a worker's two pools of connections to Redis, one for calls of gateways and one for those "
        "of admins; a call waits while all are in use. Scripts share a connection of their own. Not used on a cluster.",
    )
    enforcement: Literal["postpaid", "clamp", "strict"] = Field(
        default="clamp",
        description="How strictly requests are held to estimates, unless their virtual key says otherwise: postpaid, clamp or "
        "strict.",
    )
    require_key: bool = Field(
        default=True, description="Whether a request needs a virtual key; without one, limits of providers and models bind it."
    )
    on_store_failure: Literal["closed", "open"] = Field(
        default="closed", description="What a request is told while Redis is away: closed: 503; open: it may go, uncounted."
    )
    on_lease_expiry: Literal["release", "charge"] = Field(
        default="release",
        description="What becomes of a hold that was never settled: release: it is given back; charge: it is charged.",
    )
    unknown_price: Literal["admit", "refuse"] = Field(
        default="admit",
        description="What becomes of a reserve whose price nobody knows and that names no cost: admit: it may go at no cost; "
        "refuse: 400.",
    )
    retention: str = Field(
        default="10m", description="How long a settled or released reservation is remembered for repeated calls: 1s to 24h."
    )
    batch_size: int = Field(default=16, ge=1, le=1024, description="Most calls that are merged into one call of Redis.")
    cached_keys: int = Field(
        default=10_000,
        ge=1,
        le=10_000_000,
        description="Virtual keys whose configuration a worker keeps; the ones used last stay.",
    )
    cached_plans: int = Field(
        default=20_000,
        ge=1,
        le=10_000_000,
        description="Sets of limits a worker keeps, one per virtual key, provider, model and request type; the ones used last "
        "stay.",
    )
    cached_reservations: int = Field(
        default=100_000,
        ge=1,
        le=10_000_000,
        description="Reservations a worker keeps to settle them in one round trip; the latest stay.",
    )
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, le=1_073_741_824, description="Bytes of the largest request body; above it 413."
    )
    providers: CommaSeparated = Field(default=(), description="Names of providers beside the built-in ones, comma separated.")
    mcp_clients: CommaSeparated = Field(
        default=(), description="Names of MCP clients that keys may be given tools of, comma separated."
    )

    @field_validator("redis_url")
    @classmethod
    def _known_scheme(cls, url: str | None) -> str | None:
        if url is None:
            return None
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        if not _is_usable(url):
            # Not what is wrong with it: that may be a part of the password.
            raise ValueError(
                "must be redis://[user:password@]host[:port][/database][?options of redis-py], or of that form with rediss:// or "
                "unix://; special characters of the password are percent-encoded (%2F is /)"
            )
        return url

    @field_validator("retention")
    @classmethod
    def _short_enough_to_remember(cls, text: str) -> str:
        if not 1_000 <= parse_duration(text).length_ms <= 86_400_000:
            raise ValueError("must be between 1s and 24h")
        return text

    @field_validator("providers")
    @classmethod
    def _can_stand_in_front_of_a_model(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any("/" in name for name in names):
            raise ValueError("may hold no slash: what stands before it in the name of a model is the provider")
        return names

    @field_validator("admin_token", "gateway_token")
    @classmethod
    def _usable_as_credential(cls, tokens: tuple[str, ...]) -> tuple[str, ...]:
        for token in tokens:
            if not (token.isascii() and token.isprintable()) or " " in token:
                raise ValueError("may hold printable ASCII characters without spaces only")
            if token.startswith(VIRTUAL_KEY_PREFIX):
                raise ValueError(f"must not start with {VIRTUAL_KEY_PREFIX}, which marks virtual keys")
        return tokens

    @model_validator(mode="after")
    def _cluster_has_one_database(self) -> Self:
        if self.redis_cluster and self.redis_url is not None:
            parts = urlsplit(self.redis_url)
            if parts.scheme == "unix" or parts.path not in ("", "/", "/0"):
                raise ValueError(NEEDS_ADDRESS)
        return self

    @model_validator(mode="after")
    def _one_role_per_token(self) -> Self:
        if set(self.admin_token) & set(self.gateway_token):
            raise ValueError(f"{PREFIX}ADMIN_TOKEN and {PREFIX}GATEWAY_TOKEN must not share a token")
        return self

    def require_safe_bind(self) -> None:
        """Without an admin token everybody who can connect is an admin, so only this machine may."""
        if not self.admin_token and not is_loopback(self.host):
            raise BadSettings(
                f"{PREFIX}ADMIN_TOKEN is not set, so quotad serves on loopback only: set it, or set {PREFIX}HOST to 127.0.0.1 "
                f"instead of {self.host}."
            )

    @property
    def retention_ms(self) -> int:
        return parse_duration(self.retention).length_ms

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in a log line."""
        password = urlsplit(self.redis_url).password if self.redis_url else None
        # As it stands in the URL and as Redis is given it.
        return (*self.admin_token, *self.gateway_token, *({password, unquote(password)} if password else ()))

    @property
    def redis_display(self) -> str:
        """Where Redis is, without its password."""
        if self.redis_url is None:
            return f"embedded, data in {self.data_dir}"
        parts = urlsplit(self.redis_url)
        if parts.scheme == "unix":
            return f"unix://{parts.path}"
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))

    def to_environment(self) -> dict[str, str]:
        """These settings as variables, for the worker processes."""
        variables = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is not None:
                variables[variable(name)] = ",".join(value) if isinstance(value, tuple) else str(value)
        return variables


def _is_usable(url: str) -> bool:
    """Whether it has the parts that it should have; what its options are worth, redis-py knows."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return not parts.fragment and (parts.scheme == "unix" or _is_database(parts.path) is not None)


def load_settings(**overrides: object) -> Settings:
    """Settings of this process; an override of None, or an empty one, means not given. Raises BadSettings."""
    known = {variable(name) for name in Settings.model_fields}
    if os.environ.get(variable("port"), "").startswith("tcp://") or f"{PREFIX}SERVICE_HOST" in os.environ:
        raise BadSettings(
            f"Kubernetes has set variables such as {variable('port')} for a service named {PREFIX.rstrip('_').lower()}: set "
            "enableServiceLinks: false in the specification of the pod, or name the service otherwise."
        )
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name not in known:
            raise BadSettings(f"{name} is not a setting of quotad{_suggestion(name.upper(), known)}")
    # An empty option is that of a shell variable that is not set.
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value not in (None, "")}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise BadSettings(_sentence(error, given)) from None


def _suggestion(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else "."


def _sentence(error: ValidationError, given: Mapping[str, object]) -> str:
    """The first complaint only: one sentence, never the value (it may be a token)."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    text = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{text}."
    field = str(first["loc"][0])
    name = f"--{field.replace('_', '-')}" if field in given else variable(field)
    return f"{name} is not valid: {text[0].lower()}{text[1:]}."


def variable(field: str) -> str:
    """The environment variable of a field."""
    return PREFIX + field.upper()


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
