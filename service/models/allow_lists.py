"""Lists in which a lone "*" means everything: models, tools, provider keys."""

from typing import Annotated

from pydantic import AfterValidator, Field

from service.models.parsing import MemberError
from service.models.text import MAX_ENTRIES, Name

EVERYTHING = "*"
"""Stands for every model (in model configs, too), every tool, every key of a provider."""


def alone_or_absent(entries: tuple[str, ...]) -> tuple[str, ...]:
    if EVERYTHING in entries and len(entries) > 1:
        raise MemberError("", 'must hold "*" alone or not at all')
    return entries


def unlike_in_any_case(entries: tuple[str, ...]) -> tuple[str, ...]:
    """Names are matched without regard to case, so two that differ only in case are one."""
    seen: dict[str, int] = {}
    for position, entry in enumerate(entries):
        earlier = seen.setdefault(entry.lower(), position)
        if earlier != position:
            raise MemberError(f"[{position}]", f"repeats entry [{earlier}] (upper and lower case are the same)")
    return entries


def without_repeats(entries: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(entries))


AllowList = Annotated[
    tuple[Name, ...],
    Field(
        max_length=MAX_ENTRIES,
        description='`["*"]`: all; `[]`: none. "*" stands alone; upper and lower case are the same.',
        examples=[["*"]],
    ),
    AfterValidator(alone_or_absent),
    AfterValidator(unlike_in_any_case),
]

KeyIds = Annotated[
    tuple[Name, ...],
    Field(
        max_length=MAX_ENTRIES,
        description='Provider keys that may be used. `["*"]`: all; `[]`: none. "*" stands alone.',
        examples=[["*"]],
    ),
    AfterValidator(alone_or_absent),
    AfterValidator(without_repeats),
]
