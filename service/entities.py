"""What is configured, as the rest of the service sees it: frozen records of whole numbers, no JSON and no Redis.

Units are in the names: `_nanousd` is billionths of a dollar, `_ms` is milliseconds since the epoch (UTC).
A `slot` is the number of a counter in the usage hash of its owner (lua/README.md); slots are never used twice by one owner.
"""

from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from typing import Final, NamedTuple


class Kind(StrEnum):
    """Kinds of stored entities; the value is part of Redis keys."""

    VIRTUAL_KEY = "vk"
    TEAM = "team"
    CUSTOMER = "customer"
    PROVIDER = "provider"
    MODEL_CONFIG = "model"
    ROUTING_RULE = "rule"
    PRICING_OVERRIDE = "price"


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Dollars allowed per window. `slot` counts nano-dollars spent."""

    id: str
    slot: int
    max_limit_nanousd: int
    reset_duration: str
    calendar_aligned: bool
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """Tokens and requests allowed per window; a limit of None is unlimited, its counter exists all the same."""

    id: str
    token_slot: int
    request_slot: int
    token_max_limit: int | None
    token_reset_duration: str | None
    request_max_limit: int | None
    request_reset_duration: str | None
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """What a virtual key may do with one provider, and its limits there."""

    id: int
    provider: str
    weight: float | None
    allowed_models: tuple[str, ...]
    blacklisted_models: tuple[str, ...]
    allow_all_keys: bool
    key_ids: tuple[str, ...]
    budgets: tuple[Budget, ...] = ()
    rate_limit: RateLimit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpConfig:
    id: int
    mcp_client_name: str
    tools_to_execute: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Limits of one model ("*": every model). Global ones own their counters; those of a key count in the key's hash.

    `calendar_aligned` and `next_slot` mean nothing for scope virtual_key: the key's own apply.
    """

    id: str
    model_name: str
    provider: str | None = None
    scope: str
    scope_id: str | None = None
    calendar_aligned: bool = False
    budgets: tuple[Budget, ...] = ()
    rate_limit: RateLimit | None = None
    next_slot: int = 1
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualKey:
    id: str
    name: str
    value: str
    description: str = ""
    is_active: bool = True
    expires_at_ms: int | None = None
    team_id: str | None = None
    customer_id: str | None = None
    calendar_aligned: bool = False
    enforcement: str | None = None
    provider_configs: tuple[ProviderConfig, ...] = ()
    mcp_configs: tuple[McpConfig, ...] = ()
    budgets: tuple[Budget, ...] = ()
    rate_limit: RateLimit | None = None
    model_configs: tuple[ModelConfig, ...] = ()
    next_slot: int = 1
    created_at_ms: int
    updated_at_ms: int

    def has_value(self, offered: str) -> bool:
        """The id is made of half a digest of the value: the rest must be right, too. Takes the same time wherever it differs."""
        return compare_digest(offered.encode("utf-8", "surrogatepass"), self.value.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    id: str
    name: str
    customer_id: str | None = None
    calendar_aligned: bool = False
    budgets: tuple[Budget, ...] = ()
    rate_limit: RateLimit | None = None
    next_slot: int = 1
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    id: str
    name: str
    calendar_aligned: bool = False
    budgets: tuple[Budget, ...] = ()
    rate_limit: RateLimit | None = None
    next_slot: int = 1
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Governance of one provider; `id` is the provider's name."""

    id: str
    calendar_aligned: bool = False
    budgets: tuple[Budget, ...] = ()
    rate_limit: RateLimit | None = None
    next_slot: int = 1
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTarget:
    provider: str | None
    model: str | None
    key_id: str | None
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRule:
    id: str
    name: str
    description: str = ""
    enabled: bool = True
    cel_expression: str = ""
    targets: tuple[RoutingTarget, ...] = ()
    fallbacks: tuple[str, ...] = ()
    scope: str = "global"
    scope_id: str | None = None
    priority: int = 0
    query: dict[str, object] | None = None
    chain_rule: bool = False
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PricingOverride:
    """`patch` keeps the numbers as the client sent them: unit prices in dollars, see models/pricing_overrides.py."""

    id: str
    name: str
    scope_kind: str
    virtual_key_id: str | None = None
    provider_id: str | None = None
    provider_key_id: str | None = None
    match_type: str
    pattern: str
    request_types: tuple[str, ...]
    patch: dict[str, float]
    created_at_ms: int
    updated_at_ms: int


LimitOwner = VirtualKey | Team | Customer | Provider | ModelConfig
Entity = LimitOwner | RoutingRule | PricingOverride


class Counter(NamedTuple):
    """One window's count as stored: `usage` since `last_reset_ms`, `held` for requests in flight."""

    usage: int = 0
    last_reset_ms: int = 0
    held: int = 0


NEVER_COUNTED: Final = Counter()

Counters = dict[int, Counter]
"""Counters of one owner by slot."""


@dataclass(frozen=True, slots=True)
class CounterEdit:
    """What a change of configuration does to one counter; None keeps what is there."""

    usage: int | None
    last_reset_ms: int | None


@dataclass(frozen=True, slots=True)
class CounterEdits:
    """What a change of configuration does to the counters of one owner, by slot."""

    writes: dict[int, CounterEdit]
    drops: set[int]
