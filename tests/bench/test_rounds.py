"""What is taken for a figure: runs that no neighbour disturbed, compared within their round; none where answers were wrong."""

from typing import Any

import pytest

from bench.load import Measured
from bench.redis_cost import RedisCost
from bench.rounds import Run, check, median_rate, median_ratio, undisturbed

NO_COST: Any = RedisCost.__new__(RedisCost)


def run(contender: str, number: int, per_second: int, *, disturbed: bool = False, unexpected: int = 0, p99_us: float = 1) -> Run:
    measured = Measured(
        generator="none", seconds=1, requests=per_second, refused=0, broken=0, bytes=0,
        p50_us=1, p90_us=1, p99_us=p99_us, p999_us=1, max_us=1,
    )  # fmt: skip
    return Run(
        subject="reads", contender=contender, round=number, neighbours=0, busy=1, disturbed=disturbed, operations=1,
        unexpected=unexpected, measured=measured, server_cpu_s=1, generator_cpu_s=1, redis=NO_COST,
    )  # fmt: skip


def rounds(*rates: tuple[int, int], disturbed: int = 0) -> list[Run]:
    """Of F and quotad, round by round; those of the last `disturbed` were disturbed."""
    return [
        run(contender, number, rate, disturbed=number > len(rates) - disturbed)
        for number, both in enumerate(rates, start=1)
        for contender, rate in zip(("F", "quotad"), both, strict=True)
    ]


def test_ratios_are_taken_within_rounds():
    # The machine was three times as fast in the second round: medians of each side alone would say 100 to 50.
    runs = rounds((100, 90), (300, 270), (50, 45))
    assert median_ratio(runs, "quotad", "F") == 0.9
    assert median_rate(runs, "F") == 100


def test_another_figure_may_be_compared():
    runs = [run("F", 1, 10, p99_us=5), run("quotad", 1, 10, p99_us=7)]
    assert median_ratio(runs, "quotad", "F", lambda one: one.measured.p99_us) == 1.4


def test_disturbed_rounds_count_only_where_too_few_are_quiet():
    assert {one.round for one in undisturbed(rounds((1, 1), (1, 1), (1, 1), (9, 9), disturbed=1))} == {1, 2, 3}
    assert {one.round for one in undisturbed(rounds((1, 1), (1, 1), (9, 9), disturbed=1))} == {1, 2, 3}


@pytest.mark.parametrize(
    "requests, unexpected, is_wrong", [(1_000, 0, False), (1_000, 20, False), (1_000, 21, True), (0, 0, True)]
)
def test_wrong_answers_are_no_throughput(requests: int, unexpected: int, is_wrong: bool):
    runs = [run("quotad", 1, requests, unexpected=unexpected)]
    if is_wrong:
        with pytest.raises(RuntimeError, match=f"reads, quotad: {unexpected} of {requests} answers were unexpected"):
            check(runs)
    else:
        check(runs)
