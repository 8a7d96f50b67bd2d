"""Limits of a whole owner, as its request asks for them: what teams, customers, providers and model configs share."""

from dataclasses import dataclass, replace

from service.entities import Budget, LimitOwner, RateLimit
from service.governance.edits import LimitEditor, Owner
from service.models.limit_owners import CreateLimitsRequest, UpdateLimitsRequest


@dataclass(frozen=True, slots=True)
class Limits:
    budgets: tuple[Budget, ...]
    rate_limit: RateLimit | None


def create_limits(editor: LimitEditor, request: CreateLimitsRequest, *, keep_bare: bool) -> Limits:
    budgets = request.budgets if request.budgets is not None or request.budget is None else (request.budget,)
    return Limits(
        budgets=editor.create_budgets(budgets or ()),
        rate_limit=editor.edit_rate_limit(None, request.rate_limit, keep_bare=keep_bare),
    )


def edit_limits(editor: LimitEditor, stored: LimitOwner, request: UpdateLimitsRequest, *, keep_bare: bool) -> Limits:
    if request.budget is not None and request.budgets is None:
        budgets = editor.edit_single_budget(stored.budgets, request.budget)
    else:
        budgets = editor.edit_budgets(stored.budgets, request.budgets)
    rate_limit = editor.edit_rate_limit(stored.rate_limit, request.rate_limit, keep_bare=keep_bare)
    if request.reset_budget_usage:
        editor.reset_usage(budgets)
    return Limits(budgets, rate_limit)


def dated(stored: Owner, changed: Owner, *, now_ms: int) -> Owner:
    """`updated_at` moves when something else does."""
    return stored if changed == stored else replace(changed, updated_at_ms=now_ms)
