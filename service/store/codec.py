"""Entities to and from the fields of their config hashes: a field per member, each value JSON text, `version` a plain integer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
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
from service.reservation import Plan, PlannedOwner

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


@dataclass(frozen=True, slots=True)
class _OwnersAlone:
    """Of the members of a plan the only one that is looked at."""

    owners: tuple[PlannedOwner, ...]


_OWNERS: Final = TypeAdapter(_OwnersAlone)
_SLOTS_OF_A_STATE: Final = 8
_COUNTER: Final = Struct("<3q")
"""Usage, when its window began (-1: there is no such counter), what is held: as lua/includes/parse_list.lua reads them."""


def encode_entity(entity: Entity) -> dict[str, str]:
    """The fields to store; members that are None are left out."""
    return {
        field.name: orjson.dumps(value).decode() for field in fields(entity) if (value := getattr(entity, field.name)) is not None
    }


def decode_entity(kind: Kind, stored: Mapping[bytes, bytes]) -> Any:
    """The entity of these fields; members added since it was written take their defaults, and `version` is no member."""
    return _ADAPTERS[kind].validate_json(b"{%b}" % b",".join(map(b'"%b":%b'.__mod__, stored.items())))


def encode_plan(plan: Plan) -> bytes:
    """The same text for equal plans."""
    return orjson.dumps(plan)


def decode_plan(text: bytes | str) -> Plan:
    return _PLAN.validate_json(text)


def decode_owners(text: bytes | str) -> tuple[PlannedOwner, ...]:
    """Those of the plan alone, for a fraction of the time."""
    return _OWNERS.validate_json(text).owners


def locate(slot: int) -> tuple[int, int]:
    """The number of the state that has the counter of a slot, together with seven others, and which of them it is, from 0;
    as lua/includes/state_field.lua says.
    """
    return divmod(slot - 1, _SLOTS_OF_A_STATE)


def state_field(slot: int) -> str:
    """Of a usage hash: where that state is kept."""
    return f"s{locate(slot)[0]}"


def decode_counters(stored: Mapping[bytes, bytes | None]) -> Counters:
    """Counters by slot from the fields of a usage hash that state_field names; others are left alone, as are missing ones."""
    counters: Counters = {}
    for name, packed in stored.items():
        if packed is not None and name[:1] == b"s":
            first = int(name[1:]) * _SLOTS_OF_A_STATE + 1
            for slot, (usage, last_reset_ms, held) in enumerate(_COUNTER.iter_unpack(packed), start=first):
                if last_reset_ms >= 0:
                    counters[slot] = Counter(usage, last_reset_ms, held)
    return counters


def pairs(flat: Iterable[bytes]) -> dict[bytes, bytes]:
    """HGETALL as scripts return it, as a dict."""
    values = iter(flat)
    return dict(zip(values, values, strict=True))
