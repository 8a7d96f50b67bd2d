"""Paging of lists: off until a paging or filter parameter is given."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.datastructures import QueryParams

from service.admin.listing import Page
from service.errors import InvalidRequest

DEFAULT_LIMIT: Final = 25
_LARGEST_LIMIT: Final = 100
_LARGEST_EXPORT: Final = 10_000
_LARGEST_OFFSET: Final = 2**53 - 1


def page_of(params: QueryParams, *switches: str, export: bool = False, strict: bool = True) -> Page | None:
    """The page asked for; None when none of limit, offset and the `switches` is given: all rows are wanted.

    An `export` is one large page. A negative or non-numeric number is refused, or ignored when not `strict` (teams and
    customers: their clients rely on it).
    """
    if not export and not any(params.get(name) for name in ("limit", "offset", *switches)):
        return None
    limit = _number(params, "limit", strict)
    offset = _number(params, "offset", strict)
    if export:
        return Page(offset, min(limit, _LARGEST_EXPORT) or _LARGEST_EXPORT)
    return Page(offset, min(limit, _LARGEST_LIMIT) or DEFAULT_LIMIT)


def _number(params: QueryParams, name: str, strict: bool) -> int:
    """0 stands for the default."""
    text = params.get(name, "")
    if not text:
        return 0
    if text.isascii() and text.isdecimal():
        text = text.lstrip("0") or "0"
        # Longer ones are past every end, and slow to read.
        return min(int(text), _LARGEST_OFFSET) if len(text) <= len(str(_LARGEST_OFFSET)) else _LARGEST_OFFSET
    if strict:
        raise InvalidRequest(f"{name} must be a whole number that is not negative", param=name)
    return 0


def envelope(name: str, rows: Sequence[Any], page: Page | None, total: int) -> dict[str, Any]:
    """`{<name>: rows, count, total_count, limit, offset}`; without paging limit is the number of rows."""
    if page is None:
        return {name: rows, "count": len(rows), "total_count": len(rows), "limit": len(rows), "offset": 0}
    return {name: rows, "count": len(rows), "total_count": total, "limit": page.limit, "offset": page.offset}
