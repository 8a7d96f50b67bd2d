"""What the model test compares: an outcome as a word, the configuration that a plan is of."""

from typing import Any

from service.reservation import Blocked, Plan


def word_of(outcome: Any) -> str:
    if isinstance(outcome, Blocked):
        return "expired" if outcome.key_expired else "blocked"
    return {"IdConflict": "conflict"}.get(type(outcome).__name__, type(outcome).__name__.lower())


def versions_of(plan: Plan) -> tuple[int | None, tuple[Any, ...]]:
    return plan.global_version, plan.owners
