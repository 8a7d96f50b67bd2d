"""Every Redis key the service uses. No other module builds a key; lua/README.md has the map.

`q1` is the layout version: it changes when old code would misread new data. (How counters are kept has a version of its own,
`counters_format`; old code refuses everything there.) The part in braces is the cluster hash tag:
one owner, one slot; what lists owners (the directory) is a slot of its own.
"""

import re
import uuid
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote
from zlib import crc32

from service.entities import Kind
from service.remembered import LONGEST_REMEMBERED

LAYOUT: Final = "q1"
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch
_BUCKETS: Final = 64
"""Hash tags that reservations are spread over, so that they share the nodes of a cluster."""
SEPARATOR: Final = "\0"
"""Ends each part of a sorted-set member of the directory; the last part is the id. No name may contain it."""


class Ref(NamedTuple):
    """Names one stored entity."""

    kind: Kind
    id: str


def virtual_key_id(value: str) -> str:
    """The id of the virtual key with this value: a version 4 UUID made of the value's SHA-256.

    A value holds 122 random bits, so its id is as random as any other UUID; and whoever presents a value
    names the one Redis key that is theirs, so the look-up needs no index and no second round trip.
    """
    return (_remembered_key_id if len(value) <= LONGEST_REMEMBERED else _make_key_id)(value)


def _make_key_id(value: str) -> str:
    return str(uuid.UUID(bytes=sha256(value.encode("utf-8", "surrogatepass")).digest()[:16], version=4))


_remembered_key_id: Final = lru_cache(maxsize=65_536)(_make_key_id)


def config(ref: Ref) -> str:
    """Hash: the entity as configured."""
    return f"{LAYOUT}:{{{ref.kind}:{_quoted(ref.id)}}}:config"


def usage(ref: Ref) -> str:
    """Hash: the counters of an owner of limits."""
    return f"{LAYOUT}:{{{ref.kind}:{_quoted(ref.id)}}}:usage"


def any_usage() -> str:
    """A pattern for the counters of all owners."""
    return f"{LAYOUT}:{{*}}:usage"


def any_reservation() -> str:
    """A pattern for the records of all reservations, and of their parts on a cluster."""
    return f"{LAYOUT}:{{*}}:id:*"


def counters_format() -> str:
    """String: how counters are kept; see store/upgrade.py."""
    return f"{LAYOUT}:{{directory}}:counters_format"


def template(kind: Kind, part: str) -> str:
    """A key with %s for the id, for scripts that follow a reference to another entity (a UUID: nothing to escape)."""
    return f"{LAYOUT}:{{{kind}:%s}}:{part}"


def index(kind: Kind, order: str) -> str:
    """Sorted set, all scores 0: what orders a listing, then the id; see store/directory.py."""
    return f"{LAYOUT}:{{directory}}:{kind}:{order}"


def kind_of_index(key: str) -> Kind:
    """Which kind of entities an index lists."""
    return Kind(key.removeprefix(f"{LAYOUT}:{{directory}}:").partition(":")[0])


def children(kind: Kind, parent: Ref) -> str:
    """Sorted set, all scores 0: entities of one kind that belong to a parent, oldest first."""
    return f"{LAYOUT}:{{directory}}:{kind}:of:{parent.kind}:{_quoted(parent.id)}"


def sequence(name: str) -> str:
    """String: the last number given out."""
    return f"{LAYOUT}:{{directory}}:sequence:{name}"


def price_sheet() -> str:
    """Hash: the imported price sheet, its prices compressed in one field; see store/prices.py."""
    return f"{LAYOUT}:{{directory}}:price_sheet"


def lock(config_key: str) -> str:
    """String: somebody changes this entity; on a cluster only, where a change takes several calls."""
    return f"{LAYOUT}:{{directory}}:lock:{config_key}"


def versions() -> str:
    """Hash: `limits`, `routing` and `pricing`, each raised by every change of what applies to more than one key."""
    return f"{LAYOUT}:{{directory}}:versions"


def reservation(request_id: str) -> str:
    """String (MessagePack): what a reservation took and was answered; lua/includes/record_fields.lua has its fields."""
    return f"{LAYOUT}:{{r{_bucket(request_id)}}}:id:{_quoted(request_id)}"


def reservation_part(owner: Ref, request_id: str) -> str:
    """The same, of what a reservation took in the slot of this owner; on a cluster only."""
    return f"{LAYOUT}:{{{owner.kind}:{_quoted(owner.id)}}}:id:{_quoted(request_id)}"


def open_index(request_id: str) -> str:
    """Sorted set: open reservations, in one bucket with this one, by the end of their lease."""
    return f"{LAYOUT}:{{r{_bucket(request_id)}}}:open"


def all_open_indexes() -> list[str]:
    """The same of every bucket."""
    return [f"{LAYOUT}:{{r{bucket}}}:open" for bucket in range(_BUCKETS)]


def plan(digest: str) -> str:
    """String (JSON): the plan that reservations were made by, for replays and for workers that did not make it."""
    return f"{LAYOUT}:{{plan:{digest}}}:plan"


def _quoted(name: str) -> str:
    """Nearly every id is made of what needs no quoting; to see that takes a quarter of the time."""
    return name if _PLAIN(name) else quote(name, safe="")


def _bucket(request_id: str) -> int:
    return crc32(request_id.encode("utf-8", "surrogatepass")) % _BUCKETS
