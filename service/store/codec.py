"""Entities to and from the fields of their config hashes: a field per member, each value JSON text, `version` a plain integer."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
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
_USAGE: Final = ord("u")


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
    """Counters by slot from a usage hash (`u<slot>`, `r<slot>`, `h<slot>`)."""
    counters = {}
    for name, value in stored.items():
        if name[0] == _USAGE:
            slot, last_reset, held = _names_of_counter(name)
            counters[slot] = Counter(int(value), int(stored.get(last_reset, 0)), int(stored.get(held, 0)))
    return counters


@lru_cache(maxsize=1024)
def _names_of_counter(usage: bytes) -> tuple[int, bytes, bytes]:
    """The slot of a field `u<slot>`, and the names of the two fields beside it."""
    return int(usage[1:]), b"r" + usage[1:], b"h" + usage[1:]


def pairs(flat: Iterable[bytes]) -> dict[bytes, bytes]:
    """HGETALL as scripts return it, as a dict."""
    values = iter(flat)
    return dict(zip(values, values, strict=True))
