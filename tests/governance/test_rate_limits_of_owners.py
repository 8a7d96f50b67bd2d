"""Rate limits on create and update, the same for every owner: four members replaced together, counters kept, removal."""

from typing import Any

import pytest

from service.entities import Counter, Counters, RateLimit
from tests.governance.owners import OWNERS, TEAM, Body, Owned, OwnerKind, applied, readings

NOON = 1_773_835_200_000  # 2026-03-18T12:00:00Z
MINUTE, HOUR = 60_000, 3_600_000
CREATED, EDITED = NOON, NOON + 10 * MINUTE

TOKENS = {"token_max_limit": 1000, "token_reset_duration": "1h"}
REQUESTS = {"request_max_limit": 10, "request_reset_duration": "1d"}
BARE = {"token_reset_duration": "1h", "request_reset_duration": "1d"}

owners = pytest.mark.parametrize("kind", OWNERS, ids=str)


def terms(rate_limit: RateLimit | None) -> dict[str, Any] | None:
    """The four members as a client sees them."""
    names = ("token_max_limit", "token_reset_duration", "request_max_limit", "request_reset_duration")
    values = {name: getattr(rate_limit, name, None) for name in names}
    return None if rate_limit is None else {name: value for name, value in values.items() if value is not None}


def used(owned: Owned, tokens: int, requests: int) -> Counters:
    counters = applied({}, owned.counters, CREATED)
    assert owned.rate_limit is not None
    for slot, usage in ((owned.rate_limit.token_slot, tokens), (owned.rate_limit.request_slot, requests)):
        counters[slot] = Counter(usage=usage, last_reset_ms=counters[slot].last_reset_ms)
    return counters


def usage(owned: Owned, counters: Counters, now_ms: int) -> tuple[int, int]:
    assert owned.rate_limit is not None
    now = readings(owned, counters, now_ms)
    return now[owned.rate_limit.token_slot].usage, now[owned.rate_limit.request_slot].usage


@owners
@pytest.mark.parametrize("sent", [None, {}, {"token_max_limit": None, "request_reset_duration": None}])
def test_none_created(kind: OwnerKind, sent: Body | None):
    owned = kind.create({"rate_limit": sent}, CREATED)
    assert owned.rate_limit is None
    assert owned.counters.writes == {}


@owners
@pytest.mark.parametrize("sent", [TOKENS, REQUESTS, TOKENS | REQUESTS, TOKENS | {"request_reset_duration": "1m"}])
def test_created(kind: OwnerKind, sent: Body):
    owned = kind.create({"rate_limit": sent}, CREATED)
    assert owned.rate_limit is not None
    assert terms(owned.rate_limit) == sent
    assert (owned.rate_limit.created_at_ms, owned.rate_limit.updated_at_ms) == (CREATED, CREATED)
    assert owned.rate_limit.token_slot != owned.rate_limit.request_slot
    counters = applied({}, owned.counters, CREATED)
    assert counters[owned.rate_limit.token_slot] == counters[owned.rate_limit.request_slot] == Counter(0, CREATED)


@owners
def test_durations_alone_on_creation(kind: OwnerKind):
    assert terms(kind.create({"rate_limit": BARE}, CREATED).rate_limit) == (BARE if kind.keeps_bare_rate_limits else None)


REPLACED = [TOKENS | REQUESTS, TOKENS, REQUESTS, {"token_max_limit": 1, "token_reset_duration": "2h"}, REQUESTS | BARE]


@owners
@pytest.mark.parametrize("sent", REPLACED)
def test_replaced(kind: OwnerKind, sent: Body):
    """An absent member clears that member; id, counters and windows go on."""
    stored = kind.create({"rate_limit": TOKENS | REQUESTS}, CREATED)
    edited = kind.update(stored, {"rate_limit": sent}, EDITED)
    assert stored.rate_limit is not None
    assert edited.rate_limit is not None
    assert terms(edited.rate_limit) == sent
    assert edited.rate_limit.id == stored.rate_limit.id
    assert edited.rate_limit.created_at_ms == CREATED
    assert edited.rate_limit.updated_at_ms == (CREATED if sent == TOKENS | REQUESTS else EDITED)
    counters = applied(used(stored, 300, 4), edited.counters, EDITED)
    assert usage(edited, counters, EDITED) == (300, 4)
    assert {counter.last_reset_ms for counter in counters.values()} == {CREATED}


@owners
@pytest.mark.parametrize("sent", [None, {}, BARE, {"token_reset_duration": "1h"}])
def test_kept_or_removed(kind: OwnerKind, sent: Body | None):
    stored = kind.create({"rate_limit": TOKENS | REQUESTS}, CREATED)
    edited = kind.update(stored, {"rate_limit": sent}, EDITED)
    assert stored.rate_limit is not None
    slots = {stored.rate_limit.token_slot, stored.rate_limit.request_slot}
    if sent is None:
        assert edited.rate_limit == stored.rate_limit
        assert edited.counters.drops == set()
    elif sent and kind.keeps_bare_rate_limits:
        assert terms(edited.rate_limit) == sent
        assert edited.counters.drops == set()
    else:
        assert edited.rate_limit is None
        assert edited.counters.drops == slots


@owners
def test_created_again_after_removal(kind: OwnerKind):
    stored = kind.create({"rate_limit": TOKENS}, CREATED)
    removed = kind.update(stored, {"rate_limit": {}}, EDITED)
    again = kind.update(removed, {"rate_limit": TOKENS}, EDITED)
    assert stored.rate_limit is not None
    assert again.rate_limit is not None
    assert again.rate_limit.id != stored.rate_limit.id
    assert {again.rate_limit.token_slot, again.rate_limit.request_slot}.isdisjoint(
        {stored.rate_limit.token_slot, stored.rate_limit.request_slot}
    )
    assert usage(again, applied(used(stored, 5, 5), again.counters, EDITED), EDITED) == (0, 0)


CHANGED_DURATIONS = [
    # token window so far, new one, minutes since it began, tokens shown afterwards of 300
    ("1h", "2h", 10, 300),
    ("1h", "5m", 10, 300),
    ("5m", "1h", 4, 300),
    ("5m", "1h", 5, 0),
    ("1h", None, 10, 300),
    ("1h", None, 60, 0),
    (None, "1h", 10, 300),
    (None, "10m", 9, 300),
    # Counted without a window: however long ago.
    (None, "10m", 10, 0),
]


@pytest.mark.parametrize("was, becomes, minutes, tokens", CHANGED_DURATIONS)
def test_a_changed_duration_keeps_what_its_window_still_counts(was: str | None, becomes: str | None, minutes: int, tokens: int):
    stored = TEAM.create({"rate_limit": REQUESTS | {"token_reset_duration": was}}, CREATED)
    now_ms = CREATED + minutes * MINUTE
    edited = TEAM.update(stored, {"rate_limit": REQUESTS | {"token_reset_duration": becomes}}, now_ms)
    counters = applied(used(stored, 300, 4), edited.counters, now_ms)
    assert usage(edited, counters, now_ms) == (tokens, 4)


@owners
def test_reset_budget_usage_leaves_rate_limits_alone(kind: OwnerKind):
    stored = kind.create({"rate_limit": TOKENS | REQUESTS}, CREATED)
    edited = kind.update(stored, {"reset_budget_usage": True}, EDITED)
    assert usage(edited, applied(used(stored, 300, 4), edited.counters, EDITED), EDITED) == (300, 4)
