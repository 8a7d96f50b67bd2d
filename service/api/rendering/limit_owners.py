"""Teams, customers, model configs and provider governance with their limits."""

from typing import Any

from service.api.rendering.limits import Owner, budget_bodies, rate_limit_body
from service.api.rendering.times import timestamp
from service.entities import Counters, Customer, ModelConfig, Provider, Team, VirtualKey


def team_body(
    stored: Team,
    counters: Counters,
    now_ms: int,
    *,
    customer: dict[str, Any] | None = None,
    virtual_keys: list[dict[str, Any]] | None = None,
    virtual_key_count: int | None = None,
) -> dict[str, Any]:
    """What is None is left out. Clear a customer_id that names nothing any more before."""
    shown: dict[str, Any] = {"id": stored.id, "name": stored.name}
    if stored.customer_id is not None:
        shown["customer_id"] = stored.customer_id
    if customer is not None:
        shown["customer"] = customer
    shown |= _named_limits(stored, counters, now_ms, {"team_id": stored.id})
    if virtual_keys is not None:
        shown["virtual_keys"] = virtual_keys
    if virtual_key_count is not None:
        shown["virtual_key_count"] = virtual_key_count
    return shown | {"profile": None, "config": None, "claims": None}


def customer_body(
    stored: Customer,
    counters: Counters,
    now_ms: int,
    *,
    teams: list[dict[str, Any]] | None = None,
    virtual_keys: list[dict[str, Any]] | None = None,
    virtual_key_count: int | None = None,
) -> dict[str, Any]:
    """With neither teams nor virtual_keys it is the form shown inside a team or a key."""
    shown: dict[str, Any] = {"id": stored.id, "name": stored.name}
    shown |= _named_limits(stored, counters, now_ms, {"customer_id": stored.id})
    if teams is not None:
        shown["teams"] = teams
    if virtual_keys is not None:
        shown["virtual_keys"] = virtual_keys
    if virtual_key_count is not None:
        shown["virtual_key_count"] = virtual_key_count
    return shown


def model_config_body(stored: ModelConfig, counters: Counters, now_ms: int, *, key: VirtualKey | None = None) -> dict[str, Any]:
    """`key` is the virtual key of a key-scoped one; then the counters are the key's."""
    aligned = stored.calendar_aligned if key is None else key.calendar_aligned
    shown: dict[str, Any] = {"id": stored.id, "model_name": stored.model_name}
    if stored.provider is not None:
        shown["provider"] = stored.provider
    shown["scope"] = stored.scope
    shown["scope_id"] = stored.scope_id
    if key is not None:
        shown["scope_name"] = key.name
    shown["budgets"] = []
    shown |= _limits(stored, counters, now_ms, {"model_config_id": stored.id}, aligned=aligned)
    if stored.rate_limit is not None:
        shown["rate_limit_id"] = stored.rate_limit.id
    return shown | _record(stored)


def provider_body(stored: Provider, counters: Counters, now_ms: int) -> dict[str, Any]:
    return {"provider": stored.id, **_limits(stored, counters, now_ms, {}, aligned=stored.calendar_aligned)}


def _named_limits(stored: Team | Customer, counters: Counters, now_ms: int, owner: Owner) -> dict[str, Any]:
    shown = _limits(stored, counters, now_ms, owner, aligned=stored.calendar_aligned)
    if stored.budgets:
        shown["budget_id"] = stored.budgets[0].id
    if stored.rate_limit is not None:
        shown["rate_limit_id"] = stored.rate_limit.id
    return shown | _record(stored)


def _limits(
    stored: Team | Customer | ModelConfig | Provider, counters: Counters, now_ms: int, owner: Owner, *, aligned: bool
) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if stored.budgets:
        shown["budgets"] = budget_bodies(stored.budgets, counters, now_ms, aligned=aligned, owner=owner)
        shown["budget"] = shown["budgets"][0]
    if stored.rate_limit is not None:
        shown["rate_limit"] = rate_limit_body(stored.rate_limit, counters, now_ms, aligned=aligned)
    shown["calendar_aligned"] = aligned
    return shown


def _record(stored: Team | Customer | ModelConfig) -> dict[str, Any]:
    return {
        "config_hash": "",
        "created_at": timestamp(stored.created_at_ms),
        "updated_at": timestamp(stored.updated_at_ms),
    }
