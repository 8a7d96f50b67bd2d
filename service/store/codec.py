"""Entities to and from the fields of their config hashes: a field per member, each value JSON text, `version` a plain integer."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from struct import Struct
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from service.entities import (
    Counter,
    Counters,
    Customer,
    Entity,
    Kind,
    ModelConfig,
    PricingOverride,
    Provider,
    RoutingRule,
    Team,
    VirtualKey,
)
from service.reservation import Plan

_ADAPTERS: Final[dict[Kind, TypeAdapter[Any]]] = {
    Kind.VIRTUAL_KEY: TypeAdapter(VirtualKey),
    Kind.TEAM: TypeAdapter(Team),
    Kind.CUSTOMER: TypeAdapter(Customer),
    Kind.PROVIDER: TypeAdapter(Provider),
    Kind.MODEL_CONFIG: TypeAdapter(ModelConfig),
    Kind.ROUTING_RULE: TypeAdapter(RoutingRule),
    Kind.PRICING_OVERRIDE: TypeAdapter(PricingOverride),
}
_PLAN: Final = TypeAdapter(Plan)
_COUNTER: Final = Struct("<3q")
"""Usage, when its window began, what is held: as lua/includes/new_counter.lua reads them."""


def encode_entity(entity: Entity) -> dict[str, str]:
    """The fields to store; members that are None are left out."""
    return {
        field.name: orjson.dumps(value).decode() for field in fields(entity) if (value := getattr(entity, field.name)) is not None
    }


def decode_entity(kind: Kind, stored: Mapping[bytes, bytes]) -> Any:
    """The entity of these fields; members added since it was written take their defaults."""
    members = {name.decode(): orjson.loads(text) for name, text in stored.items() if name != b"version"}
    return _ADAPTERS[kind].validate_python(members)


def encode_plan(plan: Plan) -> bytes:
    """The same text for equal plans."""
    return orjson.dumps(plan)


def decode_plan(text: bytes | str) -> Plan:
    return _PLAN.validate_json(text)


def decode_counters(stored: Mapping[bytes, bytes]) -> Counters:
    """Counters by slot from a usage hash, whose fields with digits for a name they are."""
    return {int(name): decode_counter(packed) for name, packed in stored.items() if name.isdigit()}


def decode_counter(packed: bytes) -> Counter:
    return Counter(*_COUNTER.unpack(packed))


def encode_counter(counter: Counter) -> bytes:
    return _COUNTER.pack(counter.usage, counter.last_reset_ms, counter.held)


def pairs(flat: Iterable[bytes]) -> dict[bytes, bytes]:
    """HGETALL as scripts return it, as a dict."""
    values = iter(flat)
    return dict(zip(values, values, strict=True))
