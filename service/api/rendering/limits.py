"""Budgets and rate limits with what is used of them now: a window that is over is shown as empty.

What a counter says is filled in by functions of its own, so that a limit read again and again is made only once.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from service.api.rendering.times import timestamp
from service.entities import Budget, Counter, Counters, RateLimit
from service.money import to_dollars
from service.windows import Window, current, next_reset_ms, window_of_budget, windows_of_rate_limit

Owner = Mapping[str, str | int]
"""The member that names the owner of a budget, such as {"team_id": "..."}; empty for a provider."""

_NEVER_COUNTED = Counter()


def budget(stored: Budget, counters: Counters, now_ms: int, *, aligned: bool, owner: Owner) -> dict[str, Any]:
    """`aligned` is the owner's flag."""
    window = window_of_budget(stored, aligned=aligned)
    shown = {
        "id": stored.id,
        "max_limit": to_dollars(stored.max_limit_nanousd),
        "reset_duration": stored.reset_duration,
        "calendar_aligned": window.align != "",
        **owner,
        "config_hash": "",
        "created_at": timestamp(stored.created_at_ms),
        "updated_at": timestamp(stored.updated_at_ms),
    }
    count_budget(shown, stored, window, counters, now_ms)
    return shown


def count_budget(shown: dict[str, Any], stored: Budget, window: Window, counters: Counters, now_ms: int) -> None:
    """Fills in what its counter says."""
    counter = current(counters.get(stored.slot, _NEVER_COUNTED), window, now_ms)
    shown["last_reset"] = timestamp(counter.last_reset_ms)
    shown["current_usage"] = to_dollars(counter.usage)
    shown["reserved"] = to_dollars(counter.held)
    shown["remaining"] = to_dollars(max(0, stored.max_limit_nanousd - counter.usage - counter.held))
    shown["next_reset_at"] = timestamp(next_reset_ms(window, counter.last_reset_ms))


def budgets(stored: Iterable[Budget], counters: Counters, now_ms: int, *, aligned: bool, owner: Owner) -> list[dict[str, Any]]:
    return [budget(one, counters, now_ms, aligned=aligned, owner=owner) for one in stored]


def rate_limit(stored: RateLimit, counters: Counters, now_ms: int, *, aligned: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": stored.id}
    if stored.token_max_limit is not None:
        shown["token_max_limit"] = stored.token_max_limit
    if stored.token_reset_duration is not None:
        shown["token_reset_duration"] = stored.token_reset_duration
    if stored.request_max_limit is not None:
        shown["request_max_limit"] = stored.request_max_limit
    if stored.request_reset_duration is not None:
        shown["request_reset_duration"] = stored.request_reset_duration
    shown["config_hash"] = ""
    shown["created_at"] = timestamp(stored.created_at_ms)
    shown["updated_at"] = timestamp(stored.updated_at_ms)
    count_rate_limit(shown, stored, windows_of_rate_limit(stored, aligned=aligned), counters, now_ms)
    return shown


def count_rate_limit(
    shown: dict[str, Any], stored: RateLimit, windows: tuple[Window, Window], counters: Counters, now_ms: int
) -> None:
    """Fills in what its counters say."""
    token_window, request_window = windows
    tokens = current(counters.get(stored.token_slot, _NEVER_COUNTED), token_window, now_ms)
    requests = current(counters.get(stored.request_slot, _NEVER_COUNTED), request_window, now_ms)
    if stored.token_reset_duration is not None:
        shown["token_next_reset_at"] = timestamp(next_reset_ms(token_window, tokens.last_reset_ms))
    shown["token_current_usage"] = tokens.usage
    shown["token_reserved"] = tokens.held
    shown["token_last_reset"] = timestamp(tokens.last_reset_ms)
    if stored.request_reset_duration is not None:
        shown["request_next_reset_at"] = timestamp(next_reset_ms(request_window, requests.last_reset_ms))
    shown["request_current_usage"] = requests.usage
    shown["request_last_reset"] = timestamp(requests.last_reset_ms)
