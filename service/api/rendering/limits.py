"""Budgets and rate limits with what is used of them now: a window that is over is shown as empty."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Final

from service.api.rendering.times import FromNow, timestamp
from service.entities import NEVER_COUNTED, Budget, Counter, Counters, RateLimit
from service.money import to_dollars
from service.windows import Window, current, next_reset_ms, window_of_budget, windows_of_rate_limit

Owner = Mapping[str, str | int]
"""The member that names the owner of a budget, such as {"team_id": "..."}; empty for a provider."""

Said = tuple[str | int | float, ...]
"""What counters say, in the order of the members that tell it; a FromNow is a time."""

FOR_EVER_MS: Final = sys.maxsize


def budget_body(stored: Budget, counters: Counters, now_ms: int, *, aligned: bool, owner: Owner) -> dict[str, Any]:
    """`aligned` is the owner's flag."""
    counted = CountedBudget(stored, aligned=aligned)
    return {
        "id": stored.id,
        "max_limit": to_dollars(stored.max_limit_nanousd),
        "reset_duration": stored.reset_duration,
        "calendar_aligned": counted.window.align != "",
        **owner,
        "config_hash": "",
        "created_at": timestamp(stored.created_at_ms),
        "updated_at": timestamp(stored.updated_at_ms),
        **_told(counted, counters, now_ms),
    }


def budget_bodies(
    stored: Iterable[Budget], counters: Counters, now_ms: int, *, aligned: bool, owner: Owner
) -> list[dict[str, Any]]:
    return [budget_body(one, counters, now_ms, aligned=aligned, owner=owner) for one in stored]


class CountedBudget:
    """What the counter of a budget says. Remembered until it changes, or says something else because time passes (`until_ms`)."""

    members = ("last_reset", "current_usage", "reserved", "remaining", "next_reset_at")

    def __init__(self, stored: Budget, *, aligned: bool) -> None:
        self.window = window_of_budget(stored, aligned=aligned)
        self._slot = stored.slot
        self._max_nanousd = stored.max_limit_nanousd
        self._seen: Counter | None = None
        self._from_ms = self.until_ms = 0
        self._said: Said = ()

    def say(self, counters: Counters, now_ms: int) -> Said:
        stored = counters.get(self._slot, NEVER_COUNTED)
        if stored is not self._seen or not self._from_ms <= now_ms < self.until_ms:
            counter = current(stored, self.window, now_ms)
            left = self._max_nanousd - counter.usage - counter.held
            began, ends, self.until_ms = _times(self.window, stored, counter)
            self._seen, self._from_ms = stored, now_ms
            self._said = (
                began,
                to_dollars(counter.usage),
                to_dollars(counter.held),
                to_dollars(left if left > 0 else 0),
                ends,
            )
        return self._said


def rate_limit_body(stored: RateLimit, counters: Counters, now_ms: int, *, aligned: bool) -> dict[str, Any]:
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
    counted = CountedRateLimit(stored, aligned=aligned)
    shown.update(_told(counted, counters, now_ms))
    return shown


class CountedRateLimit:
    """What the counters of a rate limit say: tokens, then requests. Remembered as that of a budget."""

    def __init__(self, stored: RateLimit, *, aligned: bool) -> None:
        self._token_window, self._request_window = windows_of_rate_limit(stored, aligned=aligned)
        self._token_slot, self._request_slot = stored.token_slot, stored.request_slot
        # Without a duration a window never ends: nothing to tell.
        self._tells_tokens_end = stored.token_reset_duration is not None
        self._tells_requests_end = stored.request_reset_duration is not None
        self.members = (
            "token_current_usage",
            "token_reserved",
            "token_last_reset",
            *(["token_next_reset_at"] if self._tells_tokens_end else []),
            "request_current_usage",
            "request_last_reset",
            *(["request_next_reset_at"] if self._tells_requests_end else []),
        )
        self._seen: tuple[Counter, Counter] | None = None
        self._from_ms = self.until_ms = 0
        self._said: Said = ()

    def say(self, counters: Counters, now_ms: int) -> Said:
        stored = counters.get(self._token_slot, NEVER_COUNTED), counters.get(self._request_slot, NEVER_COUNTED)
        seen = self._seen
        is_seen = seen is not None and stored[0] is seen[0] and stored[1] is seen[1]
        if not is_seen or not self._from_ms <= now_ms < self.until_ms:
            tokens = current(stored[0], self._token_window, now_ms)
            requests = current(stored[1], self._request_window, now_ms)
            tokens_began, tokens_end, tokens_until_ms = _times(self._token_window, stored[0], tokens)
            requests_began, requests_end, requests_until_ms = _times(self._request_window, stored[1], requests)
            self._seen, self._from_ms, self.until_ms = stored, now_ms, min(tokens_until_ms, requests_until_ms)
            self._said = (
                tokens.usage,
                tokens.held,
                tokens_began,
                *([tokens_end] if self._tells_tokens_end else []),
                requests.usage,
                requests_began,
                *([requests_end] if self._tells_requests_end else []),
            )
        return self._said


def _told(counted: CountedBudget | CountedRateLimit, counters: Counters, now_ms: int) -> dict[str, str | int | float]:
    said = zip(counted.members, counted.say(counters, now_ms), strict=True)
    return {member: timestamp(now_ms + value) if isinstance(value, FromNow) else value for member, value in said}


def _times(window: Window, stored: Counter, counter: Counter) -> tuple[str | FromNow, str | FromNow, int]:
    """When the window of a counter began and ends, and until when that is true."""
    if counter is stored or window.align:
        ends_ms = next_reset_ms(window, counter.last_reset_ms)
        return timestamp(counter.last_reset_ms), timestamp(ends_ms), ends_ms
    # A rolling window that is over would begin now, at any moment, until something is counted.
    return FromNow(0), FromNow(window.length_ms), FOR_EVER_MS
