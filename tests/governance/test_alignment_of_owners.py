"""Switching calendar_aligned: on starts the windows concerned afresh, off changes nothing but the future."""

from datetime import UTC, datetime

import pytest

from service.entities import Counter, Counters
from tests.governance.owners import MODEL_CONFIG_IN_KEY, TEAM, WITH_OWN_ALIGNMENT, Body, Owned, OwnerKind, applied, readings


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


CREATED = ms("2026-03-18T09:30:00")  # a Wednesday
EDITED = ms("2026-03-18T09:40:00")
TODAY, MONDAY, THIS_MONTH, THIS_YEAR = ms("2026-03-18"), ms("2026-03-16"), ms("2026-03-01"), ms("2026-01-01")

BODY: Body = {
    "budgets": [{"reset_duration": text, "max_limit": 10} for text in ("1h", "24h", "2d", "1w", "monthly", "1Y")],
    "rate_limit": {
        "token_max_limit": 10,
        "token_reset_duration": "1m",
        "request_max_limit": 10,
        "request_reset_duration": "1d",
    },
}
OWN_FLAG: Body = {"budgets": [{"reset_duration": "1d", "max_limit": 10, "calendar_aligned": True}]}

owners = pytest.mark.parametrize("kind", WITH_OWN_ALIGNMENT, ids=str)


def all_used(owned: Owned) -> Counters:
    """Every counter of a new owner at 7."""
    return {slot: Counter(7, counter.last_reset_ms) for slot, counter in applied({}, owned.counters, CREATED).items()}


def shown(owned: Owned, counters: Counters, now_ms: int) -> list[tuple[int, int]]:
    """Usage and last_reset of budgets, tokens, requests."""
    now = readings(owned, counters, now_ms)
    slots = [budget.slot for budget in owned.budgets]
    if owned.rate_limit is not None:
        slots += [owned.rate_limit.token_slot, owned.rate_limit.request_slot]
    return [(now[slot].usage, now[slot].last_reset_ms) for slot in slots]


SWITCHED_ON = [
    *[(7, CREATED), (7, CREATED), (0, TODAY), (0, MONDAY), (0, THIS_MONTH), (0, THIS_YEAR)],
    *[(7, CREATED), (0, TODAY)],
]


@owners
@pytest.mark.parametrize("more", [{}, BODY], ids=["alone", "with the same limits"])
def test_switched_on(kind: OwnerKind, more: Body):
    stored = kind.create(BODY | {"calendar_aligned": False}, CREATED)
    edited = kind.update(stored, more | {"calendar_aligned": True}, CREATED + 1_000)
    assert edited.aligned
    assert shown(edited, applied(all_used(stored), edited.counters, CREATED + 1_000), CREATED + 1_000) == SWITCHED_ON


@owners
@pytest.mark.parametrize("stored_flag, sent", [(True, True), (True, None), (False, False), (False, None)])
def test_not_switched(kind: OwnerKind, stored_flag: bool, sent: bool | None):
    stored = kind.create(BODY | {"calendar_aligned": stored_flag}, CREATED)
    edited = kind.update(stored, {"calendar_aligned": sent}, EDITED)
    assert edited.aligned is stored_flag
    assert edited.counters.writes == {}


@owners
def test_switched_off(kind: OwnerKind):
    stored = kind.create(BODY | {"calendar_aligned": True}, CREATED)
    edited = kind.update(stored, {"calendar_aligned": False}, CREATED + 1_000)
    now_ms = CREATED + 1_000
    before = shown(stored, all_used(stored), now_ms)
    assert not edited.aligned
    assert shown(edited, applied(all_used(stored), edited.counters, now_ms), now_ms) == before


@owners
def test_switched_off_a_window_that_was_over_stays_empty(kind: OwnerKind):
    stored = kind.create(BODY | {"calendar_aligned": True}, ms("2026-02-10"))
    counters = {slot: Counter(7, counter.last_reset_ms) for slot, counter in applied({}, stored.counters, 0).items()}
    first_of_march = ms("2026-03-01T12:00:00")
    edited = kind.update(stored, {"calendar_aligned": False}, first_of_march)
    monthly = edited.budgets[4]
    now = readings(edited, applied(counters, edited.counters, first_of_march), first_of_march)
    assert (now[monthly.slot].usage, now[monthly.slot].last_reset_ms) == (0, THIS_MONTH)


OWN_FLAGS = [
    # owner's flag before and after, budget's own flag before and as sent, usage and last_reset of the budget
    (False, False, False, True, (0, TODAY)),
    (False, True, False, False, (0, TODAY)),
    (False, True, False, True, (0, TODAY)),
    (False, True, True, True, (7, TODAY)),
    (False, True, True, False, (7, TODAY)),
    (True, True, False, False, (7, TODAY)),
    (True, False, False, False, (7, TODAY)),
    (True, False, True, False, (7, TODAY)),
    (False, False, True, False, (7, TODAY)),
    (False, False, False, False, (7, CREATED)),
]


@owners
@pytest.mark.parametrize("owner_was, owner_is, own_was, own_is, expected", OWN_FLAGS)
def test_a_budget_is_aligned_by_its_own_flag_or_the_owners(
    kind: OwnerKind, owner_was: bool, owner_is: bool, own_was: bool, own_is: bool, expected: tuple[int, int]
):
    def body(aligned: bool, own: bool) -> Body:
        budget = {"reset_duration": "1d", "max_limit": 10, "calendar_aligned": own}
        return {"calendar_aligned": aligned, "budgets": [budget]}

    stored = kind.create(body(owner_was, own_was), CREATED)
    edited = kind.update(stored, body(owner_is, own_is), EDITED)
    assert shown(edited, applied(all_used(stored), edited.counters, EDITED), EDITED) == [expected]
    assert edited.budgets[0].calendar_aligned is own_is


@owners
@pytest.mark.parametrize("form", ["budget", "budgets"])
def test_a_budget_sent_back_as_it_is_shown_goes_on_following_its_owner(kind: OwnerKind, form: str):
    """While the owner's flag is set, budgets are shown with it."""

    def body(aligned: bool) -> Body:
        budget = {"reset_duration": "1d", "max_limit": 10, "calendar_aligned": True}
        return {"calendar_aligned": aligned, form: budget if form == "budget" else [budget]}

    budget = {"reset_duration": "1d", "max_limit": 10}
    stored = kind.create({"calendar_aligned": True, "budgets": [budget]}, CREATED)
    for off_at_once in (True, False):
        edited = kind.update(stored, body(aligned=not off_at_once), EDITED)
        if not off_at_once:
            edited = kind.update(edited, {"calendar_aligned": False}, EDITED)
        assert not edited.budgets[0].calendar_aligned
    # Once it is off, the flag is the budget's own.
    assert kind.update(edited, body(aligned=False), EDITED).budgets[0].calendar_aligned


def test_new_limits_begin_with_the_period_when_it_is_switched_on_with_them():
    stored = TEAM.create({}, CREATED)
    edited = TEAM.update(stored, BODY | {"calendar_aligned": True}, EDITED)
    begun = [last_reset for _, last_reset in shown(edited, applied({}, edited.counters, EDITED), EDITED)]
    assert begun == [EDITED, EDITED, TODAY, MONDAY, THIS_MONTH, THIS_YEAR, EDITED, TODAY]


def test_an_aligned_budget_moved_to_another_period_keeps_its_usage():
    stored = TEAM.create({"calendar_aligned": True, "budgets": [{"reset_duration": "1M", "max_limit": 10}]}, CREATED)
    sent = [{"id": stored.budgets[0].id, "reset_duration": "1d", "max_limit": 10}]
    edited = TEAM.update(stored, {"budgets": sent}, EDITED)
    assert shown(edited, applied(all_used(stored), edited.counters, EDITED), EDITED) == [(7, TODAY)]


def test_the_key_governs_its_model_configs():
    stored = MODEL_CONFIG_IN_KEY.create(OWN_FLAG | {"calendar_aligned": True}, CREATED)
    edited = MODEL_CONFIG_IN_KEY.update(stored, {"calendar_aligned": False}, EDITED)
    assert edited.aligned
    assert edited.entity == stored.entity
    assert edited.counters.writes == {}
