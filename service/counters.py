"""Which counters an owner of limits has, and in which windows they count."""

from collections.abc import Iterable, Iterator

from service.entities import Budget, LimitOwner, RateLimit, VirtualKey
from service.windows import Window, window_of_budget, windows_of_rate_limit

Counted = tuple[int, str]
"""A slot and the id of the budget or rate limit that counts there: a provider configured anew begins with slot 1 again."""


def windows_of_counters(owner: LimitOwner) -> dict[Counted, Window]:
    """Of a virtual key also those of its provider configs and model configs, which follow the key's calendar flag."""
    aligned = owner.calendar_aligned
    found = dict(_windows(owner.budgets, owner.rate_limit, aligned))
    if isinstance(owner, VirtualKey):
        for config in owner.provider_configs:
            found.update(_windows(config.budgets, config.rate_limit, aligned))
        for held in owner.model_configs:
            found.update(_windows(held.budgets, held.rate_limit, aligned))
    return found


def _windows(budgets: Iterable[Budget], rate_limit: RateLimit | None, aligned: bool) -> Iterator[tuple[Counted, Window]]:
    for budget in budgets:
        yield (budget.slot, budget.id), window_of_budget(budget, aligned=aligned)
    if rate_limit is not None:
        token_window, request_window = windows_of_rate_limit(rate_limit, aligned=aligned)
        yield (rate_limit.token_slot, rate_limit.id), token_window
        yield (rate_limit.request_slot, rate_limit.id), request_window
