"""Pricing overrides, their patch both as an object and as JSON text."""

from typing import Any

import orjson

from service.api.rendering.times import timestamp
from service.entities import PricingOverride


def pricing_override_body(stored: PricingOverride) -> dict[str, Any]:
    return {
        "id": stored.id,
        "name": stored.name,
        "scope_kind": stored.scope_kind,
        "virtual_key_id": stored.virtual_key_id,
        "provider_id": stored.provider_id,
        "provider_key_id": stored.provider_key_id,
        "match_type": stored.match_type,
        "pattern": stored.pattern,
        "request_types": stored.request_types,
        "pricing_patch": orjson.dumps(stored.patch).decode(),
        "patch": stored.patch,
        "config_hash": "",
        "created_at": timestamp(stored.created_at_ms),
        "updated_at": timestamp(stored.updated_at_ms),
    }
