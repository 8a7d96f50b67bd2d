"""The circuit breaker: opens after failures in a row, lets one call try at a time, closes by itself."""

import pytest

from service.errors import StoreUnavailable
from service.store import breaker as module
from service.store.breaker import FAILURES_TO_OPEN, PAUSE_S, Breaker


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def admits(breaker: Breaker, *, writes: bool = True) -> bool:
    try:
        breaker.admit(writes=writes)
    except StoreUnavailable:
        return False
    return True


def fail(breaker: Breaker, reason: str = "gone", *, refuses_writes_only: bool = False) -> None:
    """A call of its own."""
    breaker.failed(reason, breaker._failures_ever, refuses_writes_only=refuses_writes_only)


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN):
        assert admits(breaker)
        fail(breaker)
    return breaker


def test_it_stays_closed_as_long_as_calls_succeed_in_between(clock: Clock):
    breaker = Breaker()
    for _ in range(10):
        for _ in range(FAILURES_TO_OPEN - 1):
            fail(breaker)
        breaker.succeeded(writes=True)
        assert admits(breaker)


def test_it_opens_after_failures_in_a_row(clock: Clock):
    breaker = opened()
    assert breaker.is_open
    assert not admits(breaker)


def test_calls_that_are_lost_together_are_one_failure(clock: Clock):
    breaker = Breaker()
    for _ in range(FAILURES_TO_OPEN - 1):
        for sent_after in [breaker.admit(writes=True) for _ in range(10)]:
            breaker.failed("the connection was lost", sent_after)
        assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open


def test_after_a_pause_one_call_may_try(clock: Clock):
    breaker = opened()
    clock.now += PAUSE_S
    assert [admits(breaker) for _ in range(3)] == [True, False, False]
    # Nothing came back from it: after the same pause another one may.
    clock.now += PAUSE_S
    assert [admits(breaker) for _ in range(2)] == [True, False]


def test_a_failed_try_costs_another_pause(clock: Clock):
    breaker = opened()
    clock.now += PAUSE_S
    assert admits(breaker)
    clock.now += PAUSE_S / 2
    fail(breaker)
    clock.now += PAUSE_S / 2
    assert not admits(breaker)
    clock.now += PAUSE_S / 2
    assert admits(breaker)


def test_a_successful_try_closes_it(clock: Clock):
    breaker = opened()
    clock.now += PAUSE_S
    assert admits(breaker)
    breaker.succeeded(writes=True)
    assert not breaker.is_open
    assert all(admits(breaker) for _ in range(10))


def test_what_is_told_at_once_is_also_told_why(clock: Clock):
    breaker = opened()
    with pytest.raises(StoreUnavailable) as told:
        breaker.admit(writes=True)
    assert told.value.reason == "gone"


class TestWhereOnlyWritesAreRefused:
    @pytest.fixture
    def breaker(self, clock: Clock) -> Breaker:
        breaker = Breaker()
        for _ in range(FAILURES_TO_OPEN):
            fail(breaker, "OOM", refuses_writes_only=True)
        return breaker

    def test_reads_go_on_and_say_nothing_of_writes(self, breaker: Breaker):
        for _ in range(10):
            assert admits(breaker, writes=False)
            breaker.succeeded(writes=False)
        assert breaker.is_open
        assert not admits(breaker)

    def test_a_write_that_succeeds_closes_it(self, breaker: Breaker, clock: Clock):
        clock.now += PAUSE_S
        assert admits(breaker)
        breaker.succeeded(writes=True)
        assert all(admits(breaker) for _ in range(10))

    def test_reads_are_told_as_soon_as_they_fail_too(self, breaker: Breaker):
        fail(breaker)
        assert not admits(breaker, writes=False)
        # Whoever answers anything is there again.
        breaker.succeeded(writes=False)
        assert admits(breaker)
