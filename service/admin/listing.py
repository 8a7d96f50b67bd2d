"""Finding the rows of a list: by index where one fits, so that a page costs what it shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from service.entities import Kind
from service.store import directory
from service.store.connection import Store
from service.store.keys import Ref
from service.store.snapshot import Snapshot, Stored, read

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Page:
    offset: int
    limit: int


@dataclass(frozen=True, slots=True)
class Found:
    """The rows on a page, in order, and how many match in all. An id whose entity went meanwhile is not in the snapshot."""

    snapshot: Snapshot
    ids: list[str]
    total: int


async def find(
    store: Store,
    kind: Kind,
    index: str,
    page: Page | None,
    *,
    search: str = "",
    descending: bool = False,
    once_by: str | None = None,
) -> Found:
    """Rows in the order of an index. A search reads the index whole, entities only of the page.

    `once_by`: an index in which nothing moves while it is read in parts, as it may in `index`.
    """
    if search or page is None:
        matching = await directory.search(store, index, search, descending=descending)
        if once_by not in (None, index):
            places = {entity_id: place for place, entity_id in enumerate(matching)}
            matching = await directory.search(store, once_by, search)
            # What moved past the reader comes last.
            matching.sort(key=lambda entity_id: places.get(entity_id, len(places)))
        ids, total = cut(matching, page), len(matching)
    else:
        ids, total = await directory.page(store, index, offset=page.offset, limit=page.limit, descending=descending)
    return Found(await read(store, (Ref(kind, entity_id) for entity_id in ids)), ids, total)


def narrowed(
    everything: Found, stored: Callable[[str], Stored[E] | None], passes: Callable[[E], bool], page: Page | None
) -> Found:
    """Those rows of a whole list that pass a filter no index knows, page by page."""
    ids = [entity_id for entity_id in everything.ids if (found := stored(entity_id)) is not None and passes(found.entity)]
    return Found(everything.snapshot, cut(ids, page), len(ids))


def cut(ids: Sequence[str], page: Page | None) -> list[str]:
    return list(ids if page is None else ids[page.offset : page.offset + page.limit])
