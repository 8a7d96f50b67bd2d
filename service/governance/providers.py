"""Rules for provider governance: what an update makes of the request and of what is stored, perhaps nothing yet."""

from dataclasses import replace

from service.entities import Provider
from service.governance.edits import Edited, LimitEditor
from service.governance.limits import dated, edit_limits
from service.models.provider_governance import UpdateProviderGovernanceRequest


def unconfigured(name: str, *, now_ms: int) -> Provider:
    """The governance of a provider that has none."""
    return Provider(id=name, created_at_ms=now_ms, updated_at_ms=now_ms)


def update(stored: Provider, request: UpdateProviderGovernanceRequest, *, now_ms: int) -> Edited[Provider]:
    editor = LimitEditor.for_stored(stored, request.calendar_aligned, now_ms=now_ms)
    limits = edit_limits(editor, stored, request, keep_bare=True)
    provider = replace(
        stored,
        calendar_aligned=editor.aligned,
        budgets=limits.budgets,
        rate_limit=limits.rate_limit,
        next_slot=editor.next_slot,
    )
    return Edited(dated(stored, provider, now_ms=now_ms), editor.counters())


def cleared(stored: Provider, *, now_ms: int) -> Edited[Provider]:
    """Without limits. The record stays: a name comes back, and its slots must not be used again."""
    editor = LimitEditor.for_stored(stored, False, now_ms=now_ms)
    editor.drop(stored.budgets, stored.rate_limit)
    provider = replace(stored, calendar_aligned=False, budgets=(), rate_limit=None)
    return Edited(dated(stored, provider, now_ms=now_ms), editor.counters())
