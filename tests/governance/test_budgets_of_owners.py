"""Budgets on create and update, the same for every owner: lists reconcile, the single form merges, usage survives edits."""

from datetime import UTC, datetime
from typing import Any

import pytest

from service.entities import Counter, Counters
from service.errors import InvalidRequest
from tests.governance.owners import CREATED_BY_POST, OWNERS, TEAM, Body, Owned, OwnerKind, applied, readings

MINUTE, HOUR = 60_000, 3_600_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


CREATED = ms("2026-03-18T09:30:00")
EDITED = ms("2026-03-18T09:40:00")
TODAY, THIS_MONTH = ms("2026-03-18"), ms("2026-03-01")

owners = pytest.mark.parametrize("kind", OWNERS, ids=str)


def budget(reset_duration: str, max_limit: float, **more: Any) -> Body:
    return {"reset_duration": reset_duration, "max_limit": max_limit} | more


def used(owned: Owned, *usages: int) -> Counters:
    """Counters of a new owner after its budgets have been charged."""
    counters = applied({}, owned.counters, CREATED)
    for one, usage in zip(owned.budgets, usages, strict=True):
        counters[one.slot] = Counter(usage=usage, last_reset_ms=counters[one.slot].last_reset_ms)
    return counters


def shown(owned: Owned, counters: Counters, now_ms: int) -> list[tuple[str, float, int]]:
    """reset_duration, limit in dollars and usage of each budget."""
    usage = readings(owned, counters, now_ms)
    return [(one.reset_duration, one.max_limit_nanousd / 10**9, usage[one.slot].usage) for one in owned.budgets]


CREATED_BUDGETS: list[tuple[Body, list[tuple[str, bool, int]]]] = [
    # body, reset_duration, own calendar_aligned and last_reset of each budget
    ({}, []),
    ({"budgets": None, "budget": None}, []),
    ({"budgets": []}, []),
    ({"budgets": [budget("1d", 1)]}, [("1d", False, CREATED)]),
    ({"budget": budget("1d", 1)}, [("1d", False, CREATED)]),
    ({"budget": budget("monthly", 1, calendar_aligned=True)}, [("monthly", True, THIS_MONTH)]),
    ({"budgets": [budget("1h", 1), budget("1d", 1, calendar_aligned=True)]}, [("1h", False, CREATED), ("1d", True, TODAY)]),
    (
        {"budgets": [budget("1h", 1), budget("1d", 1), budget("3M", 1)], "calendar_aligned": True},
        [("1h", False, CREATED), ("1d", False, TODAY), ("3M", False, THIS_MONTH)],
    ),
]


@owners
@pytest.mark.parametrize("body, budgets", CREATED_BUDGETS)
def test_create(kind: OwnerKind, body: Body, budgets: list[tuple[str, bool, int]]):
    owned = kind.create(body, CREATED)
    counters = applied({}, owned.counters, CREATED)
    assert [(one.reset_duration, one.calendar_aligned, counters[one.slot].last_reset_ms) for one in owned.budgets] == budgets
    assert all(counters[one.slot].usage == 0 for one in owned.budgets)
    assert all(one.max_limit_nanousd == 10**9 for one in owned.budgets)
    assert all(one.created_at_ms == one.updated_at_ms == CREATED for one in owned.budgets)
    assert all(one.slot < owned.next_slot for one in owned.budgets)
    assert not owned.counters.drops


@pytest.mark.parametrize("kind", CREATED_BY_POST, ids=str)
def test_ids_play_no_part_on_creation(kind: OwnerKind):
    owned = kind.create({"budgets": [budget("1d", 1, id="mine"), budget("1h", 1, id="mine")]}, CREATED)
    assert len({one.id for one in owned.budgets} - {"mine"}) == 2


FIRST, SECOND = "id of the first", "id of the second"

LISTS: list[tuple[list[Body] | None, list[tuple[str, float, int]], list[int | None]]] = [
    # Stored are 1h (10 dollars, 3 used) and 1d (20 dollars, 4 used).
    # sent, (reset_duration, limit, usage) afterwards, which stored budget each is (None: a new one)
    (None, [("1h", 10, 3), ("1d", 20, 4)], [0, 1]),
    ([], [], []),
    ([budget("1h", 10), budget("1d", 20)], [("1h", 10, 3), ("1d", 20, 4)], [0, 1]),
    ([budget("1d", 20), budget("1h", 10)], [("1d", 20, 4), ("1h", 10, 3)], [1, 0]),
    ([budget("1h", 50)], [("1h", 50, 3)], [0]),
    ([budget("1h", 0.5), budget("1d", 20)], [("1h", 0.5, 3), ("1d", 20, 4)], [0, 1]),
    ([budget("1w", 20)], [("1w", 20, 0)], [None]),
    ([budget("24h", 20), budget("1d", 20)], [("24h", 20, 0), ("1d", 20, 4)], [None, 1]),
    ([budget("60m", 10), budget("daily", 20)], [("60m", 10, 0), ("daily", 20, 0)], [None, None]),
    ([budget("1w", 5, id=FIRST)], [("1w", 5, 3)], [0]),
    ([budget("1w", 5, id=FIRST), budget("1d", 20)], [("1w", 5, 3), ("1d", 20, 4)], [0, 1]),
    ([budget("1d", 5, id=FIRST)], [("1d", 5, 3)], [0]),
    ([budget("1d", 5, id=FIRST), budget("1h", 6, id=SECOND)], [("1d", 5, 3), ("1h", 6, 4)], [0, 1]),
    ([budget("1w", 5, id=FIRST), budget("1h", 6)], [("1w", 5, 3), ("1h", 6, 0)], [0, None]),
    ([budget("1h", 6), budget("1w", 5, id=FIRST)], [("1h", 6, 0), ("1w", 5, 3)], [None, 0]),
    ([budget("1m", 5, id=SECOND)], [("1m", 5, 4)], [1]),  # began ten minutes ago: the minute begins now, what is used stays
]


@owners
@pytest.mark.parametrize("sent, expected, kept", LISTS)
def test_lists_reconcile(
    kind: OwnerKind, sent: list[Body] | None, expected: list[tuple[str, float, int]], kept: list[int | None]
):
    stored = kind.create({"budgets": [budget("1h", 10), budget("1d", 20)]}, CREATED)
    ids = {FIRST: stored.budgets[0].id, SECOND: stored.budgets[1].id}
    sent = sent and [entry | ({"id": ids[entry["id"]]} if "id" in entry else {}) for entry in sent]

    edited = kind.update(stored, {"budgets": sent}, EDITED)

    counters = applied(used(stored, 3, 4), edited.counters, EDITED)
    assert shown(edited, counters, EDITED) == expected
    places = {one.id: place for place, one in enumerate(stored.budgets)}
    assert [places.get(one.id) for one in edited.budgets] == kept
    for one, place in zip(edited.budgets, kept, strict=True):
        if place is not None:
            assert (one.slot, one.created_at_ms) == (stored.budgets[place].slot, CREATED)
    assert edited.counters.drops == {one.slot for place, one in enumerate(stored.budgets) if place not in kept}


@owners
def test_updated_at_moves_with_the_budget_only(kind: OwnerKind):
    stored = kind.create({"budgets": [budget("1h", 10), budget("1d", 20), budget("1w", 30)]}, CREATED)
    sent = [budget("1h", 10), budget("1d", 21), budget("1w", 30, calendar_aligned=True)]
    edited = kind.update(stored, {"budgets": sent}, EDITED)
    assert [one.updated_at_ms for one in edited.budgets] == [CREATED, EDITED, EDITED]


@owners
def test_an_empty_id_is_none(kind: OwnerKind):
    stored = kind.create({"budgets": [budget("1h", 10)]}, CREATED)
    edited = kind.update(stored, {"budgets": [budget("1h", 5, id=""), budget("1d", 20, id="")]}, EDITED)
    assert edited.budgets[0].id == stored.budgets[0].id != edited.budgets[1].id


@owners
@pytest.mark.parametrize(
    "ids, param", [(["x"], "budgets[0].id"), ([None, "x"], "budgets[1].id"), ([FIRST, FIRST], "budgets[1].id")]
)
def test_ids_that_name_no_budget_here_or_one_twice(kind: OwnerKind, ids: list[str | None], param: str):
    stored = kind.create({"budgets": [budget("1h", 10), budget("1d", 20)]}, CREATED)
    sent = [budget(f"{hours}h", 1, id=stored.budgets[0].id if name is FIRST else name) for hours, name in enumerate(ids, start=1)]
    with pytest.raises(InvalidRequest) as error:
        kind.update(stored, {"budgets": sent}, EDITED)
    assert error.value.param == param
    assert error.value.message.startswith(param)


ONE_BUDGET: list[tuple[Body | None, list[tuple[str, float, int]]]] = [
    # Stored is 1d (20 dollars, 4 used).
    (None, [("1d", 20, 4)]),
    ({}, []),
    ({"calendar_aligned": True}, []),
    ({"max_limit": None, "reset_duration": None}, []),
    ({"max_limit": 1}, [("1d", 1, 4)]),
    ({"reset_duration": "1w"}, [("1w", 20, 4)]),
    ({"reset_duration": "1m"}, [("1m", 20, 4)]),
    ({"max_limit": 30, "reset_duration": "1M"}, [("1M", 30, 4)]),
    ({"max_limit": 30, "calendar_aligned": False}, [("1d", 30, 4)]),
    ({"max_limit": 30, "calendar_aligned": True}, [("1d", 30, 0)]),
]


@owners
@pytest.mark.parametrize("sent, expected", ONE_BUDGET)
def test_the_single_form_merges(kind: OwnerKind, sent: Body | None, expected: list[tuple[str, float, int]]):
    stored = kind.create({"budget": budget("1d", 20)}, CREATED)
    edited = kind.update(stored, {"budget": sent}, EDITED)
    assert shown(edited, applied(used(stored, 4), edited.counters, EDITED), EDITED) == expected
    assert edited.counters.drops == (set() if expected else {stored.budgets[0].slot})
    assert all(one.id == stored.budgets[0].id for one in edited.budgets)


@owners
def test_the_single_form_keeps_the_calendar_unless_told(kind: OwnerKind):
    stored = kind.create({"budget": budget("1d", 20, calendar_aligned=True)}, CREATED)
    assert kind.update(stored, {"budget": {"max_limit": 5}}, EDITED).budgets[0].calendar_aligned
    assert not kind.update(stored, {"budget": {"max_limit": 5, "calendar_aligned": False}}, EDITED).budgets[0].calendar_aligned


@owners
def test_the_single_form_creates(kind: OwnerKind):
    stored = kind.create({}, CREATED)
    edited = kind.update(stored, {"budget": {"max_limit": 5, "reset_duration": "1d", "calendar_aligned": True}}, EDITED)
    assert shown(edited, applied({}, edited.counters, EDITED), EDITED) == [("1d", 5, 0)]
    assert edited.counters.writes[edited.budgets[0].slot].last_reset_ms == TODAY
    assert kind.update(stored, {"budget": {}}, EDITED).budgets == ()


REFUSED_SINGLE: list[tuple[list[Body], Body, str]] = [
    # stored, sent, blamed member
    ([], {"max_limit": 5}, "budget.reset_duration"),
    ([], {"reset_duration": "1d"}, "budget.max_limit"),
    ([], {"max_limit": 5, "reset_duration": "1h", "calendar_aligned": True}, "budget.calendar_aligned"),
    ([budget("1h", 1)], {"max_limit": 5, "calendar_aligned": True}, "budget.calendar_aligned"),
    ([budget("1d", 1, calendar_aligned=True)], {"reset_duration": "1h"}, "budget.calendar_aligned"),
    ([budget("1d", 1), budget("1h", 1)], {"max_limit": 5}, "budget"),
    ([budget("1d", 1), budget("1h", 1)], {}, "budget"),
]


@owners
@pytest.mark.parametrize("stored, sent, param", REFUSED_SINGLE)
def test_the_single_form_refused(kind: OwnerKind, stored: list[Body], sent: Body, param: str):
    owned = kind.create({"budgets": stored}, CREATED)
    with pytest.raises(InvalidRequest) as error:
        kind.update(owned, {"budget": sent}, EDITED)
    assert error.value.param == param


@owners
@pytest.mark.parametrize("body", [{}, {"budgets": [budget("1d", 5), budget("1w", 7)]}])
def test_reset_budget_usage(kind: OwnerKind, body: Body):
    """Every budget that remains: usage 0, its window goes on."""
    stored = kind.create({"budgets": [budget("1d", 1), budget("1h", 1)], "rate_limit": {"token_reset_duration": "1h"}}, CREATED)
    edited = kind.update(stored, body | {"reset_budget_usage": True}, EDITED)
    counters = applied(used(stored, 3, 4), edited.counters, EDITED)
    now = readings(edited, counters, EDITED)
    assert [now[one.slot].usage for one in edited.budgets] == [0, 0]
    assert now[edited.budgets[0].slot].last_reset_ms == CREATED


@owners
@pytest.mark.parametrize("value", [False, None])
def test_reset_budget_usage_not_asked_for(kind: OwnerKind, value: bool | None):
    stored = kind.create({"budget": budget("1d", 1)}, CREATED)
    edited = kind.update(stored, {"reset_budget_usage": value}, EDITED)
    assert edited.counters.writes == {}


@owners
def test_a_change_moved_into_its_new_window_is_reset_too(kind: OwnerKind):
    stored = kind.create({"budget": budget("1h", 1)}, CREATED)
    edited = kind.update(stored, {"budget": {"reset_duration": "1d"}, "reset_budget_usage": True}, EDITED)
    assert shown(edited, applied(used(stored, 3), edited.counters, EDITED), EDITED) == [("1d", 1, 0)]


@owners
def test_what_a_window_has_forgotten_does_not_come_back_in_a_longer_one(kind: OwnerKind):
    stored = kind.create({"budget": budget("1h", 1)}, CREATED)
    later = CREATED + HOUR
    edited = kind.update(stored, {"budget": {"reset_duration": "1d"}}, later)
    counters = applied(used(stored, 3), edited.counters, later)
    assert shown(edited, counters, later) == [("1d", 1, 0)]
    assert counters[edited.budgets[0].slot].last_reset_ms == later


def test_an_empty_update_changes_nothing_at_all():
    for kind in OWNERS:
        stored = kind.create(
            {"budget": budget("1d", 1), "rate_limit": {"token_max_limit": 5, "token_reset_duration": "1h"}}, CREATED
        )
        edited = kind.update(stored, {}, EDITED)
        assert edited.entity == stored.entity
        assert (edited.counters.writes, edited.counters.drops) == ({}, set())


def test_a_new_budget_never_gets_the_slot_of_an_old_one():
    stored = TEAM.create({"budget": budget("1d", 1)}, CREATED)
    seen = {stored.budgets[0].slot}
    for hours in range(1, 10):
        stored = TEAM.update(stored, {"budgets": [budget(f"{hours}h", 1)]}, EDITED)
        assert stored.budgets[0].slot not in seen
        seen.add(stored.budgets[0].slot)
