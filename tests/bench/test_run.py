"""The run as a whole: a step that fails does not keep the others from being taken; promises nobody measured stay in sight."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench import __main__ as bench
from bench.context import FULL, SMOKE, Context
from bench.findings import Findings, Table
from bench.neighbours import Patience
from bench.progress import Plan, Progress
from bench.promises import PROMISES
from bench.report import report_tables
from bench.rounds import Run
from bench.steps import soak, throughput
from bench.steps.workers import why_not


def context(findings: Findings) -> Context:
    nothing: Any = None
    return Context(SMOKE, Progress(), nothing, nothing, findings, Path(), Patience(0, 0))


def test_a_failed_part_is_reported_first():
    findings = Findings({}, ["memory"])
    here = context(findings)
    with here.attempt("one thing"):
        raise RuntimeError("it broke")
    with here.attempt("another"):
        findings.measured("memory", 1.5, "over 10 keys")
    failed, targets = report_tables(findings)
    assert failed.rows == [["one thing", "RuntimeError: it broke"]]
    assert targets.rows == [[PROMISES["memory"].what, "<= 2 KiB", "1.50 KiB", "met", "over 10 keys"]]


def test_being_told_to_stop_is_no_failure_of_a_part():
    here = context(Findings({}))
    with pytest.raises(KeyboardInterrupt), here.attempt("one thing"):
        raise KeyboardInterrupt
    assert not here.findings.failures


def test_every_promise_belongs_to_a_step():
    assert {promise.step for promise in PROMISES.values()} <= bench.STEPS.keys()
    assert [target.met for target in Findings({}, list(bench.STEPS)).targets] == [None] * len(PROMISES)


def test_the_full_run_is_planned_to_end_in_time():
    planned_s = sum(step.planned_s(FULL) for step in bench.STEPS.values())
    assert planned_s + FULL.patience_in_all_s < 50 * 60
    assert sum(step.planned_s(SMOKE) for name, step in bench.STEPS.items() if name != "peers") < 150


def test_time_left_does_not_stretch_what_is_slept_through(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr("bench.progress.time.monotonic", lambda: now[0])
    progress = Progress()
    for plan in (Plan(20), Plan(10), Plan(600, 590)):
        progress.plan(plan)
    progress.begin()
    assert progress.left_s() == 630
    now[0] = 45
    assert progress.end(5) == 45
    progress.begin()
    # All but waiting for neighbours took twice as long; what is slept through does not.
    assert progress.left_s() == 2 * 10 + 2 * 10 + 590
    now[0] = 50
    assert progress.left_s() == 2 * 10 + 2 * 10 + 590 - 5


def test_the_reason_why_two_workers_gain_less_is_measured():
    def runs(**changed: float) -> list[Run]:
        given = {
            "measured": SimpleNamespace(seconds=2),
            "server_cpu_s": 2,
            "generator_cpu_s": 1,
            "busy": 0.6,
            "neighbours": 0.0,
            **changed,
        }
        given["redis"] = SimpleNamespace(cpu_s=given.pop("redis_cpu_s", 1))
        return [cast("Run", SimpleNamespace(**given))]

    one, full = runs(), runs(busy=0.8)
    assert why_not(full, runs(busy=0.97), 1.5, 1.6).startswith("with one worker 80% of ")
    assert "there is room for about 1.25 times as much. With two: " in why_not(full, runs(busy=0.97), 1.5, 1.6)
    assert ", 0.50 for the load generator, " in why_not(full, runs(busy=0.97, neighbours=0.3), 1.5, 1.6)
    assert why_not(one, runs(redis_cpu_s=1.9), 1.5, 1.6).startswith("Redis, which runs scripts on one processor")
    assert "1.00 processors for workers, 0.50 for Redis, 0.50 for the load generator; F itself gained 1.50" in why_not(
        one, runs(), 1.5, 1.6
    )


def test_what_cannot_be_written_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bench, "_measure", lambda _options, findings: findings.tables.append(Table("Found", ("a",), [[1]])))
    monkeypatch.setattr(bench, "write_report", full)
    # Servers of other tests are children of this process, and signals go to it, too.
    for of_the_process in ("end_as_by_ctrl_c", "_end_children"):
        monkeypatch.setattr(bench, of_the_process, lambda: None)
    assert bench.main(["--smoke", "--results", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "## Found" in out
    assert "FAILED report: not written: [Errno 28] No space left on device" in err


def test_seconds_that_wrk_cannot_count_are_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        bench.main(["--seconds", "1.5"])
    assert "whole ones from 1 on" in capsys.readouterr().err


@pytest.mark.parametrize("requests, told", [(500, "500 requests in 600 s: "), (0, "Ended after 570 s: ")])
def test_requests_of_a_soak_are_those_of_all_of_it(requests: int, told: str):
    findings = Findings({}, ["soak"])
    here = context(findings)
    samples = [soak._Sample(at_s, 10, 10**8, 10**8) for at_s in (0.0, 285.0, 570.0)]
    soak._report(replace(here, options=replace(SMOKE, soak_s=600)), samples, requests, 20)
    assert findings.tables[0].note.startswith(told)


def test_many_keys_are_spread_over_in_a_single_round_too(monkeypatch: pytest.MonkeyPatch):
    grown: list[int] = []
    here = context(Findings({}, ["throughput"]))
    options = replace(FULL, rounds=1, scenarios=frozenset({"spread"}))

    def stop(*_: object, **__: object) -> None:
        raise RuntimeError("far enough")

    monkeypatch.setattr(throughput, "contenders", stop)
    throughput.measure(replace(here, options=options, world=cast("Any", SimpleNamespace(grow=grown.append))))
    assert grown == [100_000]
