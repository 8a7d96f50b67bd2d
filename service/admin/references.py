"""Entities that a request names by id: they must be there when it is read, and still be there when the change is committed."""

from typing import Final

from service.entities import Kind
from service.errors import InvalidRequest
from service.store.change import Change
from service.store.keys import Ref
from service.store.snapshot import Snapshot

_NOUNS: Final = {Kind.TEAM: "team", Kind.CUSTOMER: "customer", Kind.VIRTUAL_KEY: "virtual key"}


def refs(kind: Kind, entity_id: str | None) -> list[Ref]:
    """None and "" name nothing."""
    return [Ref(kind, entity_id)] if entity_id else []


def unknown(kind: Kind, param: str) -> InvalidRequest:
    return InvalidRequest(f"{param} is not that of a {_NOUNS[kind]}", param=param)


def require(change: Change, snapshot: Snapshot, kind: Kind, entity_id: str | None, *, param: str) -> None:
    """`param` is the member that names it. Raises InvalidRequest."""
    refusal = unknown(kind, param)
    for ref in refs(kind, entity_id):
        if not snapshot.has(ref):
            raise refusal
        change.require(ref, refusal)
