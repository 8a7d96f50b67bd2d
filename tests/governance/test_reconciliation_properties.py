"""Whatever lists of budgets an admin sends: no usage is lost for what is kept, and no slot ever counts for two budgets."""

from hypothesis import given
from hypothesis import strategies as st

from service.entities import Counter, Counters
from service.windows import window_of
from tests.governance.owners import OWNERS, TEAM, Body, Owned, OwnerKind, applied, readings, windows

T0 = 1_773_835_200_000
LATER = 40 * 86_400_000

DURATIONS = ("1m", "1h", "24h", "1d", "2d", "daily", "1w", "1M", "monthly", "1Y")

new_budgets = st.builds(
    lambda text, dollars, aligned: {
        "reset_duration": text,
        "max_limit": dollars,
        "calendar_aligned": aligned and text not in ("1m", "1h", "24h"),
    },
    st.sampled_from(DURATIONS),
    st.integers(1, 1_000),
    st.booleans(),
)
lists = st.lists(new_budgets, max_size=5, unique_by=lambda budget: budget["reset_duration"])
kinds = st.sampled_from(OWNERS)
moments = st.integers(T0, T0 + LATER)


@st.composite
def named(draw: st.DrawFn, stored: Owned) -> list[Body]:
    """A list of budgets, some of which name stored ones by id."""
    sent = draw(lists)
    ids = draw(st.permutations([budget.id for budget in stored.budgets]))
    return [
        budget | ({"id": name} if name and draw(st.booleans()) else {})
        for budget, name in zip(sent, [*ids, *[None] * 5], strict=False)
    ]


def charged(owned: Owned, counters: Counters, data: st.DataObject) -> Counters:
    return {
        slot: Counter(data.draw(st.integers(1, 10**12)), counter.last_reset_ms, counter.held)
        for slot, counter in counters.items()
    }


@given(kinds, lists, moments, st.data())
def test_budgets_that_stay_keep_what_they_count(kind: OwnerKind, created: list[Body], now_ms: int, data: st.DataObject):
    stored = kind.create({"budgets": created}, T0)
    counters = charged(stored, applied({}, stored.counters, T0), data)
    edited = kind.update(stored, {"budgets": data.draw(named(stored))}, now_ms)

    before = readings(stored, counters, now_ms)
    after = readings(edited, applied(counters, edited.counters, now_ms), now_ms)
    old = {budget.id: budget for budget in stored.budgets}
    for budget in edited.budgets:
        if budget.id not in old:
            assert after[budget.slot].usage == 0
        elif budget.calendar_aligned <= old[budget.id].calendar_aligned:
            assert after[budget.slot].usage == before[budget.slot].usage
            assert after[budget.slot].last_reset_ms >= before[budget.slot].last_reset_ms
        else:
            assert after[budget.slot].usage == 0
            assert windows(edited)[budget.slot].align


@given(kinds, lists, lists, moments, st.data())
def test_every_stored_slot_is_kept_or_dropped(
    kind: OwnerKind, created: list[Body], sent: list[Body], now_ms: int, data: st.DataObject
):
    stored = kind.create({"budgets": created}, T0)
    edited = kind.update(stored, {"budgets": data.draw(st.just(sent) | named(stored))}, now_ms)
    slots, old = ({budget.slot for budget in owned.budgets} for owned in (edited, stored))
    assert edited.counters.drops == old - slots
    assert len(slots) == len(edited.budgets)
    assert all(slot >= stored.next_slot for slot in slots - old)
    assert edited.next_slot == stored.next_slot + len(slots - old)
    assert edited.counters.writes.keys() <= slots
    assert slots - old <= edited.counters.writes.keys()


@given(kinds, lists, lists, moments)
def test_the_same_list_again_changes_nothing(kind: OwnerKind, created: list[Body], sent: list[Body], now_ms: int):
    once = kind.update(kind.create({"budgets": created}, T0), {"budgets": sent}, now_ms)
    for again in (sent, [budget | {"id": stored.id} for budget, stored in zip(sent, once.budgets, strict=True)]):
        twice = kind.update(once, {"budgets": again}, now_ms + 1_000)
        assert twice.entity == once.entity
        assert twice.counters.writes == {}
        assert twice.counters.drops == set()


@given(lists, lists, moments)
def test_the_result_is_what_was_sent(created: list[Body], sent: list[Body], now_ms: int):
    edited = TEAM.update(TEAM.create({"budgets": created}, T0), {"budgets": sent}, now_ms)
    shown = [
        {
            "reset_duration": budget.reset_duration,
            "max_limit": budget.max_limit_nanousd // 10**9,
            "calendar_aligned": budget.calendar_aligned,
        }
        for budget in edited.budgets
    ]
    assert shown == sent


@given(lists, st.lists(lists, max_size=6), moments)
def test_slots_are_never_used_twice(created: list[Body], updates: list[list[Body]], now_ms: int):
    owned = TEAM.create({"budgets": created}, T0)
    owner_of: dict[int, str] = {budget.slot: budget.id for budget in owned.budgets}
    for sent in updates:
        owned = TEAM.update(owned, {"budgets": sent}, now_ms)
        for budget in owned.budgets:
            assert owner_of.setdefault(budget.slot, budget.id) == budget.id


rate_limits = st.fixed_dictionaries(
    {},
    optional={
        **{f"{what}_max_limit": st.none() | st.integers(1, 1_000) for what in ("token", "request")},
        **{f"{what}_reset_duration": st.sampled_from(DURATIONS) for what in ("token", "request")},
    },
).filter(lambda body: all(not body.get(f"{what}_max_limit") or f"{what}_reset_duration" in body for what in ("token", "request")))


@given(kinds, rate_limits, rate_limits, moments, st.data())
def test_a_rate_limit_that_stays_keeps_what_it_counts_in_windows(
    kind: OwnerKind, created: Body, sent: Body, now_ms: int, data: st.DataObject
):
    stored = kind.create({"rate_limit": created}, T0)
    counters = charged(stored, applied({}, stored.counters, T0), data)
    edited = kind.update(stored, {"rate_limit": sent}, now_ms)
    if stored.rate_limit is None or edited.rate_limit is None:
        return
    was, limit = stored.rate_limit, edited.rate_limit
    before = readings(stored, counters, now_ms)
    after = readings(edited, applied(counters, edited.counters, now_ms), now_ms)
    for slot, was_per, per in (
        (limit.token_slot, was.token_reset_duration, limit.token_reset_duration),
        (limit.request_slot, was.request_reset_duration, limit.request_reset_duration),
    ):
        is_out_of_date = was_per is None and now_ms - T0 >= window_of(per, aligned=False).length_ms
        assert after[slot].usage == (0 if is_out_of_date else before[slot].usage)
