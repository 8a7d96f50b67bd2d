"""Which pricing override applies to a request: the narrowest scope, then exact before wildcard, then the longest prefix.

Overrides are sorted into tables once, so that finding one takes the same time whether there are ten or ten thousand.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Final

from service.entities import PricingOverride
from service.pricing.cost import base_type

_ANY_ENDING: Final = "*"

_SAME_TYPE: Final = {"video_remix": "video_generation"}
"""Types that an override cannot tell apart."""

_Scope = tuple[str, str | None, str | None, str | None]
"""Kind, virtual key, provider, provider key."""


@dataclass(slots=True)
class _Table:
    """Overrides of one scope and request type."""

    exact: dict[str, PricingOverride] = field(default_factory=dict)
    prefixes: dict[str, PricingOverride] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    """Of the prefixes, the longest first."""

    def add(self, override: PricingOverride) -> None:
        if override.match_type == "exact":
            _keep_latest(self.exact, override.pattern, override)
            return
        prefix = override.pattern.removesuffix(_ANY_ENDING)
        _keep_latest(self.prefixes, prefix, override)

    def sort(self) -> None:
        self.lengths = sorted({len(prefix) for prefix in self.prefixes}, reverse=True)

    def find(self, names: tuple[str, ...]) -> PricingOverride | None:
        exact = [self.exact[name] for name in names if name in self.exact]
        # A name that is shorter than a prefix is none: it would be cut to itself.
        cut = ((name[:length] for name in names if length <= len(name)) for length in self.lengths)
        by_prefix = ([self.prefixes[prefix] for prefix in prefixes if prefix in self.prefixes] for prefixes in cut)
        return next((max(found, key=_recency) for found in chain([exact], by_prefix) if found), None)


class Overrides:
    """All pricing overrides of one moment."""

    def __init__(self, overrides: Iterable[PricingOverride]) -> None:
        self._tables: dict[tuple[_Scope, str], _Table] = {}
        self.virtual_keys: set[str | None] = set()
        self.provider_keys: set[str | None] = set()
        """Ids of those that have overrides of their own."""
        for override in overrides:
            self.virtual_keys.add(override.virtual_key_id)
            self.provider_keys.add(override.provider_key_id)
            scope = (override.scope_kind, override.virtual_key_id, override.provider_id, override.provider_key_id)
            for request_type in {_SAME_TYPE.get(one, one) for one in override.request_types}:
                self._tables.setdefault((scope, request_type), _Table()).add(override)
        for table in self._tables.values():
            table.sort()

    def find(
        self,
        names: tuple[str, ...],
        provider: str | None,
        request_type: str,
        virtual_key_id: str | None,
        provider_key_id: str | None,
    ) -> PricingOverride | None:
        """The one that applies to a model by any of its names; scopes whose ids are not known are passed over."""
        if not self._tables:
            return None
        base = base_type(request_type)
        base = _SAME_TYPE.get(base, base)
        for scope in _scopes(virtual_key_id, provider, provider_key_id):
            table = self._tables.get((scope, base))
            if table is not None and (found := table.find(names)) is not None:
                return found
        return None


def _scopes(virtual_key_id: str | None, provider: str | None, provider_key_id: str | None) -> Iterable[_Scope]:
    """The narrowest first."""
    if virtual_key_id is not None:
        if provider is not None:
            if provider_key_id is not None:
                yield "virtual_key_provider_key", virtual_key_id, provider, provider_key_id
            yield "virtual_key_provider", virtual_key_id, provider, None
        yield "virtual_key", virtual_key_id, None, None
    if provider_key_id is not None:
        yield "provider_key", None, None, provider_key_id
    if provider is not None:
        yield "provider", None, provider, None
    yield "global", None, None, None


def _keep_latest(table: dict[str, PricingOverride], pattern: str, override: PricingOverride) -> None:
    other = table.get(pattern)
    if other is None or _recency(override) > _recency(other):
        table[pattern] = override


def _recency(override: PricingOverride) -> tuple[int, int, str]:
    """The id only so that all workers choose the same one."""
    return override.updated_at_ms, override.created_at_ms, override.id
