"""What a turn settles was reserved before it: one that is faster than was thought is made again, with enough of them."""

from functools import partial
from typing import Any

import pytest

from bench.load import drive
from bench.neighbours import Patience
from bench.progress import Progress
from bench.rounds import Contender, Rounds, Run
from bench.scenarios import QUOTA_READ, SETTLE
from bench.world import opened_world


def test_a_turn_that_outruns_what_was_prepared_is_made_again():
    asked: list[int] = []
    collected: list[Run] = []
    with opened_world(20, used_up=1) as world:

        def before(first: int, count: int) -> None:
            assert SETTLE.before is not None
            asked.append(count)
            SETTLE.before(world, first, count)

        patience = Patience(each_s=0, left_s=0)
        made = Rounds([world.redis], Progress(), collected, rounds=1, seconds=0.2, patience=patience, warm_up=False)
        contender = Contender(
            name="quotad", server=world.quotad, traffic=partial(SETTLE.traffic, world), before=before, at_first_per_s=5
        )
        (run,) = made.measure("settle", [contender])
    assert asked[0] == 1
    assert len(asked) > 1
    assert run.unexpected == 0
    assert collected == [run]
    assert run.measured.requests <= asked[-1]
    assert run.measured.seconds >= 0.2


def test_what_a_turn_may_undo_is_made_behind_it(monkeypatch: pytest.MonkeyPatch):
    """Every other round goes backwards: who drives keys out of the memory of a worker comes before who needs them there."""
    told: list[str] = []

    def driven(*arguments: Any, **options: Any) -> Any:
        told.append("run")
        return drive(*arguments, **options)

    monkeypatch.setattr("bench.rounds.drive", driven)
    with opened_world(20, used_up=1) as world:
        patience = Patience(each_s=0, left_s=0)
        made = Rounds([world.redis], Progress(), [], rounds=2, seconds=0.2, patience=patience, warm_up=False)
        traffic = partial(QUOTA_READ.traffic, world)
        warmed = Contender(name="few", server=world.quotad, traffic=traffic, warm=lambda _: told.append("warm"))
        made.measure("keys", [warmed, Contender(name="all", server=world.quotad, traffic=traffic)])
    assert told == ["warm", "run", "run", "run", "warm", "run"]
