"""Rules for pricing overrides: what an update leaves must be as consistent as what a create makes."""

from dataclasses import replace

from service.entities import PricingOverride
from service.errors import InvalidRequest
from service.models.pricing_overrides import (
    SCOPE_IDS,
    CreatePricingOverrideRequest,
    UpdatePricingOverrideRequest,
    wrong_pattern,
    wrong_scope_id,
)


def create(request: CreatePricingOverrideRequest, *, now_ms: int, override_id: str) -> PricingOverride:
    """Whether scope, ids and pattern go together was checked when the request was read."""
    ids = request.scope_ids
    return PricingOverride(
        id=override_id,
        name=request.name,
        scope_kind=request.scope_kind,
        virtual_key_id=ids["virtual_key_id"],
        provider_id=ids["provider_id"],
        provider_key_id=ids["provider_key_id"],
        match_type=request.match_type,
        pattern=request.pattern,
        request_types=request.request_types,
        patch={} if request.patch is None else request.patch.prices,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )


def update(stored: PricingOverride, request: UpdatePricingOverrideRequest, *, now_ms: int) -> PricingOverride:
    # With a new scope the ids start from nothing: going from provider to global takes no explicit nulls.
    ids = request.scope_ids if request.scope_kind is not None else {**_ids_of(stored), **request.sent_ids}
    override = replace(
        stored,
        name=stored.name if request.name is None else request.name,
        scope_kind=stored.scope_kind if request.scope_kind is None else request.scope_kind,
        virtual_key_id=ids["virtual_key_id"],
        provider_id=ids["provider_id"],
        provider_key_id=ids["provider_key_id"],
        match_type=stored.match_type if request.match_type is None else request.match_type,
        pattern=stored.pattern if request.pattern is None else request.pattern,
        request_types=stored.request_types if request.request_types is None else request.request_types,
        patch=stored.patch if request.patch is None else request.patch.prices,
    )
    _require_consistent(override)
    return stored if override == stored else replace(override, updated_at_ms=now_ms)


def _ids_of(override: PricingOverride) -> dict[str, str | None]:
    return {member: getattr(override, member) for member in SCOPE_IDS}


def _require_consistent(override: PricingOverride) -> None:
    wrong = wrong_scope_id(override.scope_kind, _ids_of(override))
    if wrong is not None:
        member, wanted = wrong
        raise InvalidRequest(f"{member} {wanted}", param=member)
    wanted_pattern = wrong_pattern(override.match_type, override.pattern)
    if wanted_pattern is not None:
        raise InvalidRequest(f"pattern {wanted_pattern}", param="pattern")
