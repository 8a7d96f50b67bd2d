"""Which limits apply to a request, in the order in which they are checked (docs/limits.md): a pure function of configuration."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

from service.entities import (
    Budget,
    Customer,
    Kind,
    LimitOwner,
    ModelConfig,
    Provider,
    ProviderConfig,
    RateLimit,
    Team,
    VirtualKey,
)
from service.models.allow_lists import EVERYTHING
from service.names import names_of_model, names_of_model_at
from service.quota.allow_lists import allowed_key_ids, blockage
from service.reservation import LimitKind, Mode, Plan, PlannedLimit, PlannedOwner
from service.store.snapshot import Stored
from service.windows import window_of, window_of_budget

C = TypeVar("C")


class Holder(NamedTuple):
    """A virtual key with the team and the customer whose limits bind it, too."""

    key: Stored[VirtualKey]
    team: Stored[Team] | None = None
    customer: Stored[Customer] | None = None


@dataclass(frozen=True, slots=True)
class SharedLimits:
    """What binds the requests of every key: provider governance by name, global model configs by (model name, provider).

    `version` None: plans made of it may be older than what admins have changed since, but for the owners in them.
    """

    version: int | None
    providers: Mapping[str, Stored[Provider]]
    model_configs: Mapping[tuple[str, str | None], Stored[ModelConfig]]

    def version_of(self, stored: Stored[LimitOwner]) -> int | None:
        """For the script to check."""
        return None if self.version is not None else stored.version


class _Level(NamedTuple):
    """One owner's budgets and rate limit as they bind this request."""

    scope: str
    owner_id: str
    of: LimitOwner | ProviderConfig
    counts_in: PlannedOwner
    aligned: bool


def make_plan(
    holder: Holder | None,
    shared: SharedLimits,
    provider: str | None,
    model: str | None,
    *,
    mode: Mode,
    known_providers: Collection[str],
    request_type: str = "",
) -> Plan:
    """`mode` is the service's; a key may have its own. Limits that apply are in the plan of a blocked request, too."""
    names = names_of_model(model, known_providers)
    listing = _Listing()
    # Steps 2 and 3 come before the key is looked at.
    listing.add(_provider_levels(shared, provider))
    listing.add(_model_levels(shared, provider, names))
    gate = len(listing.limits)
    team, customer = (holder.team, holder.customer) if holder is not None else (None, None)
    key = blocked = expires_at_ms = None
    key_ids: tuple[str, ...] = (EVERYTHING,)
    if holder is not None:
        key = holder.key.entity
        config = next((config for config in key.provider_configs if config.provider == provider), None)
        # Steps 7 and 8, then 9.
        listing.add(_hierarchy(holder, config))
        listing.add(_own_model_levels(holder.key, provider, names))
        blocked = blockage(key, config, provider, names)
        # An inactive key is told that it is inactive, whether it has expired or not.
        expires_at_ms = key.expires_at_ms if key.is_active else None
        mode = Mode(key.enforcement) if key.enforcement else mode
        key_ids = allowed_key_ids(config)
    return Plan(
        owners=listing.owners,
        limits=tuple(listing.limits),
        gate=gate,
        blocked=blocked,
        expires_at_ms=expires_at_ms,
        mode=mode,
        global_version=shared.version,
        key_id=key.id if key is not None else None,
        key_name=key.name if key is not None else None,
        team_id=team.entity.id if team is not None else None,
        customer_id=customer.entity.id if customer is not None else None,
        provider=provider or "",
        model=model or "",
        key_ids=key_ids,
        request_type=request_type,
    )


def own_limits(key: VirtualKey) -> tuple[PlannedLimit, ...]:
    """What limits a key itself, whatever it calls."""
    listing = _Listing()
    counts_in = _owner(Kind.VIRTUAL_KEY, key.id)
    listing.add([_Level("virtual_key", key.id, key, counts_in, key.calendar_aligned)])
    return tuple(listing.limits)


@lru_cache(maxsize=4096)
def _owner(kind: Kind, owner_id: str, version: int | None = None) -> PlannedOwner:
    """One for all plans that count there."""
    return PlannedOwner(kind=kind, id=owner_id, version=version)


def _provider_levels(shared: SharedLimits, provider: str | None) -> Iterator[_Level]:
    stored = shared.providers.get(provider) if provider is not None else None
    if stored is not None:
        governance = stored.entity
        counts_in = _owner(Kind.PROVIDER, governance.id, shared.version_of(stored))
        yield _Level("provider", governance.id, governance, counts_in, governance.calendar_aligned)


def _model_levels(shared: SharedLimits, provider: str | None, names: tuple[str, ...]) -> Iterator[_Level]:
    for stored in _tiers(shared.model_configs, provider, names):
        config = stored.entity
        counts_in = _owner(Kind.MODEL_CONFIG, config.id, shared.version_of(stored))
        yield _Level("model_config", config.id, config, counts_in, config.calendar_aligned)


def _hierarchy(holder: Holder, config: ProviderConfig | None) -> Iterator[_Level]:
    """Provider config, key, team, customer. The key's calendar flag goes for its provider configs, too."""
    key = holder.key.entity
    counts_in = _owner(Kind.VIRTUAL_KEY, key.id, holder.key.version)
    if config is not None:
        yield _Level("provider_config", str(config.id), config, counts_in, key.calendar_aligned)
    yield _Level("virtual_key", key.id, key, counts_in, key.calendar_aligned)
    for scope, kind, stored in (("team", Kind.TEAM, holder.team), ("customer", Kind.CUSTOMER, holder.customer)):
        if stored is not None:
            counts_in = _owner(kind, stored.entity.id, stored.version)
            yield _Level(scope, stored.entity.id, stored.entity, counts_in, stored.entity.calendar_aligned)


def _own_model_levels(stored: Stored[VirtualKey], provider: str | None, names: tuple[str, ...]) -> Iterator[_Level]:
    key = stored.entity
    counts_in = _owner(Kind.VIRTUAL_KEY, key.id, stored.version)
    configs = {(config.model_name, config.provider): config for config in key.model_configs}
    for config in _tiers(configs, provider, names):
        yield _Level("model_config", config.id, config, counts_in, key.calendar_aligned)


def _tiers(configs: Mapping[tuple[str, str | None], C], provider: str | None, names: tuple[str, ...]) -> Iterable[C]:
    """All that match apply, none overrides another: this model or every one, of this provider or any. Without a model, none."""
    if not names or not configs:
        return ()
    identities = [
        (name, of_provider)
        for tier in (names_of_model_at(provider, names), (EVERYTHING,))
        for of_provider in ((provider, None) if provider is not None else (None,))
        for name in tier
    ]
    # Each once: a client may call its model "*".
    return [configs[identity] for identity in dict.fromkeys(identities) if identity in configs]


class _Listing:
    """Collects counters in order of checks, and each owner once."""

    def __init__(self) -> None:
        self.limits: list[PlannedLimit] = []
        self._places: dict[PlannedOwner, int] = {}

    @property
    def owners(self) -> tuple[PlannedOwner, ...]:
        return tuple(self._places)

    def add(self, levels: Iterable[_Level]) -> None:
        """Levels of the same rank: first the rate limits of all, then their budgets."""
        placed = [(level, self._places.setdefault(level.counts_in, len(self._places))) for level in levels]
        planned = [_planned(level, owner) for level, owner in placed]
        for of_rate_limit, _ in planned:
            self.limits += of_rate_limit
        for _, of_budgets in planned:
            self.limits += of_budgets


_Planned = tuple[tuple[PlannedLimit, ...], tuple[PlannedLimit, ...]]
"""Of a rate limit, and of budgets."""


def _planned(level: _Level, owner: int) -> _Planned:
    plan = _plan_limits if level.counts_in.kind is Kind.VIRTUAL_KEY else _plan_shared_limits
    return plan(level.scope, level.owner_id, level.of.rate_limit, level.of.budgets, level.aligned, owner)


def _plan_limits(
    scope: str, owner_id: str, rate_limit: RateLimit | None, budgets: tuple[Budget, ...], aligned: bool, owner: int
) -> _Planned:
    """Of a rate limit both counters, whatever is limited: each request counts in both, so that a limit set later knows what was
    used. Of the budgets the shortest window first.
    """
    of_budgets = [
        PlannedLimit(
            scope=scope,
            owner_id=owner_id,
            limit_id=budget.id,
            kind=LimitKind.BUDGET,
            limit=budget.max_limit_nanousd,
            reset_duration=budget.reset_duration,
            window=window_of_budget(budget, aligned=aligned),
            owner=owner,
            slot=budget.slot,
        )
        for budget in budgets
    ]
    shortest_first = tuple(sorted(of_budgets, key=lambda limit: limit.window.length_ms))
    if rate_limit is None:
        return (), shortest_first
    counters = (
        (LimitKind.TOKENS, rate_limit.token_max_limit, rate_limit.token_reset_duration, rate_limit.token_slot),
        (LimitKind.REQUESTS, rate_limit.request_max_limit, rate_limit.request_reset_duration, rate_limit.request_slot),
    )
    of_rate_limit = [
        PlannedLimit(
            scope=scope,
            owner_id=owner_id,
            limit_id=rate_limit.id,
            kind=kind,
            limit=limit,
            reset_duration=duration or "",
            window=window_of(duration, aligned),
            owner=owner,
            slot=slot,
        )
        for kind, limit, duration, slot in counters
    ]
    return tuple(of_rate_limit), shortest_first


_plan_shared_limits = lru_cache(maxsize=4096)(_plan_limits)
"""What binds many keys is planned once for all of them."""
