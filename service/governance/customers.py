"""Rules for customers: what a create or an update makes of the request and of what is stored."""

from dataclasses import replace

from service.entities import Customer
from service.governance.edits import Edited, LimitEditor
from service.governance.limits import create_limits, dated, edit_limits
from service.models.customers import CreateCustomerRequest, UpdateCustomerRequest


def create(request: CreateCustomerRequest, *, now_ms: int, entity_id: str) -> Edited[Customer]:
    editor = LimitEditor.for_new(request.calendar_aligned, now_ms=now_ms)
    limits = create_limits(editor, request, keep_bare=False)
    customer = Customer(
        id=entity_id,
        name=request.name,
        calendar_aligned=editor.aligned,
        budgets=limits.budgets,
        rate_limit=limits.rate_limit,
        next_slot=editor.next_slot,
        created_at_ms=now_ms,
        updated_at_ms=now_ms,
    )
    return Edited(customer, editor.counters())


def update(stored: Customer, request: UpdateCustomerRequest, *, now_ms: int) -> Edited[Customer]:
    editor = LimitEditor.for_stored(stored, request.calendar_aligned, now_ms=now_ms)
    limits = edit_limits(editor, stored, request, keep_bare=False)
    customer = replace(
        stored,
        name=stored.name if request.name is None else request.name,
        calendar_aligned=editor.aligned,
        budgets=limits.budgets,
        rate_limit=limits.rate_limit,
        next_slot=editor.next_slot,
    )
    return Edited(dated(stored, customer, now_ms=now_ms), editor.counters())
