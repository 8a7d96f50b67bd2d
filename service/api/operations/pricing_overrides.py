"""The operations on pricing overrides."""

from typing import get_args

from service.api.operations.operation import PAGING, SEARCH, change, creation, in_path, in_query, listing, removal
from service.models.pricing_overrides import (
    CreatePricingOverrideRequest,
    ListPricingOverridesResponse,
    PricingOverrideResponse,
    ScopeKind,
    UpdatePricingOverrideRequest,
)

_ALL = "/api/governance/pricing-overrides"
_ONE = "/api/governance/pricing-overrides/{id}"
_ID = in_path("id", "Pricing override ID")

OPERATIONS = (
    listing(
        "listPricingOverrides",
        _ALL,
        "pricing overrides",
        ListPricingOverridesResponse,
        in_query("scope_kind", f"Only overrides of this kind of scope: {', '.join(get_args(ScopeKind))}."),
        in_query("virtual_key_id", "Only overrides for this virtual key."),
        in_query("provider_id", "Only overrides for this provider."),
        in_query("provider_key_id", "Only overrides for this provider key."),
        *PAGING,
        SEARCH,
        refuses=True,
        description="Pricing overrides, oldest first. All of them until a paging or filter parameter is sent.",
    ),
    creation(
        "createPricingOverride",
        _ALL,
        "pricing override",
        CreatePricingOverrideRequest,
        PricingOverrideResponse,
        status=201,
        description="Replaces prices of the catalogue. Of those that match a request the one with the narrowest scope counts.",
    ),
    change(
        "updatePricingOverride",
        _ONE,
        "pricing override",
        UpdatePricingOverrideRequest,
        PricingOverrideResponse,
        _ID,
        description="Changes what is sent; `patch` is replaced as a whole.",
    ),
    removal("deletePricingOverride", _ONE, "pricing override", _ID, description="Removes the override."),
)
