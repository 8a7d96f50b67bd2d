"""Rules for teams: what a create or an update makes of the request and of what is stored."""

from dataclasses import replace

from service.entities import Team
from service.governance.edits import Edited, LimitEditor
from service.governance.limits import create_limits, dated, edit_limits
from service.models.teams import CreateTeamRequest, UpdateTeamRequest


def create(request: CreateTeamRequest, *, now_ms: int, entity_id: str) -> Edited[Team]:
    editor = LimitEditor.for_new(request.calendar_aligned, now_ms=now_ms)
    limits = create_limits(editor, request, keep_bare=False)
    team = Team(
        id=entity_id,
        name=request.name,
        customer_id=request.customer_id or None,
        calendar_aligned=editor.aligned,
        budgets=limits.budgets,
        rate_limit=limits.rate_limit,
        next_slot=editor.next_slot,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )
    return Edited(team, editor.counters())


def update(stored: Team, request: UpdateTeamRequest, *, now_ms: int) -> Edited[Team]:
    editor = LimitEditor.for_stored(stored, request.calendar_aligned, now_ms=now_ms)
    limits = edit_limits(editor, stored, request, keep_bare=False)
    team = replace(
        stored,
        name=stored.name if request.name is None else request.name,
        customer_id=stored.customer_id if request.customer_id is None else request.customer_id or None,
        calendar_aligned=editor.aligned,
        budgets=limits.budgets,
        rate_limit=limits.rate_limit,
        next_slot=editor.next_slot,
    )
    return Edited(dated(stored, team, now_ms=now_ms), editor.counters())
