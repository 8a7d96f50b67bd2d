"""The circuit breaker: opens after failures in a row, lets one call try at a time, closes by itself."""

import pytest

from service.errors import StoreUnavailable
from service.store import breaker as module
from service.store.breaker import FAILURES, PAUSE_S, Breaker


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def admits(breaker: Breaker) -> bool:
    try:
        breaker.admit()
    except StoreUnavailable:
        return False
    return True


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        assert admits(breaker)
        breaker.failed()
    return breaker


def test_it_stays_closed_as_long_as_calls_succeed_in_between(clock: Clock):
    breaker = Breaker()
    for _ in range(10):
        for _ in range(FAILURES - 1):
            breaker.failed()
        breaker.succeeded()
        assert admits(breaker)


def test_it_opens_after_failures_in_a_row(clock: Clock):
    breaker = opened()
    assert breaker.is_open
    assert not admits(breaker)


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
    breaker.failed()
    clock.now += PAUSE_S / 2
    assert not admits(breaker)
    clock.now += PAUSE_S / 2
    assert admits(breaker)


def test_a_successful_try_closes_it(clock: Clock):
    breaker = opened()
    clock.now += PAUSE_S
    assert admits(breaker)
    breaker.succeeded()
    assert not breaker.is_open
    assert all(admits(breaker) for _ in range(10))
