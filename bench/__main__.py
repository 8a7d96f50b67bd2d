"""`python -m bench`: measures everything, writes bench/results/<time>/, prints the targets."""

import argparse
import contextlib
import math
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Final

import psutil

from bench import paging
from bench.context import FULL, SMOKE, Context, Options, rounds_of
from bench.findings import Cell, Failure, Findings, Table
from bench.machine import described
from bench.neighbours import Patience, ours_s
from bench.progress import Plan, Progress
from bench.report import markdown, markdown_table, targets, write_report
from bench.scenarios import SCENARIOS
from bench.servers import end_as_by_ctrl_c
from bench.steps import accuracy, cluster, latency, memory, peers, scripts_alone, sizes, soak, startup, throughput, workers
from bench.world import opened_world

STEPS: Final[dict[str, ModuleType]] = {
    "throughput": throughput,
    "latency": latency,
    "scripts_alone": scripts_alone,
    "accuracy": accuracy,
    "workers": workers,
    "cluster": cluster,
    "memory": memory,
    "startup": startup,
    "paging": paging,
    "peers": peers,
    "sizes": sizes,
    "soak": soak,
}
_KEYS: Final = 1_000


def main(arguments: Sequence[str]) -> int:
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.seconds and given.seconds > 1 and given.seconds % 1:
        parser.error("argument --seconds: whole ones from 1 on, as wrk counts them")
    if given.sizes and len(set(given.sizes)) < 2:
        parser.error("argument --sizes: two numbers at least, to compare stores of different sizes")
    options = _options(given)
    # Every server is a process of its own, and started often: none of them shall compile the source anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    end_as_by_ctrl_c()
    warmth = "after one to warm up" if options.warm_up else "nothing warmed up"
    rounds = f"{options.rounds} of {options.seconds:g} s for each contender ({options.latency_seconds:g} s for latency), {warmth}"
    names = [name for name in STEPS if _wanted(name, options)]
    findings = Findings({**described(options.seconds), "rounds": rounds}, names)
    folder = given.results / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"nowhere to write: {error}") from error
    stopped = False
    try:
        _measure(options, findings)
    except KeyboardInterrupt:
        stopped = True
        print("Stopped; what was measured until now is written.", file=sys.stderr)
    finally:
        _end_children()
        print(markdown(findings) if given.print_all else "\n".join(markdown_table(targets(findings))))
        for failure in findings.failures:
            print(f"FAILED {failure.what}: {failure.why}", file=sys.stderr)
        try:
            write_report(findings, folder)
            print(f"\nWritten to {folder}", file=sys.stderr)
        except OSError as error:
            # It took most of an hour.
            if not given.print_all:
                print(markdown(findings))
            findings.failures.append(Failure("report", f"not written: {error}"))
            print(f"FAILED report: not written: {error}", file=sys.stderr)
    return 1 if stopped or findings.failures else 0


def _measure(options: Options, findings: Findings) -> None:
    """A step that fails does not keep the others from being taken."""
    progress = Progress()
    for name in findings.steps:
        progress.plan(Plan(STEPS[name].planned_s(options), options.soak_s if name == "soak" else 0))
    patience = Patience(options.patience_s, options.patience_in_all_s)
    took: list[list[Cell]] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        progress.step("starting Redis and quotad, seeding")
        world = stack.enter_context(opened_world(_KEYS))
        rounds = rounds_of([world.redis], options, progress, findings, patience)
        context = Context(options, progress, rounds, world, findings, folder, patience)
        stack.enter_context(context.kept)
        try:
            for name in findings.steps:
                failed_before, used_before_s, patience_before_s = len(findings.failures), ours_s(), patience.left_s
                progress.begin()
                with context.attempt(name):
                    STEPS[name].measure(context)
                seconds = progress.end(patience_before_s - patience.left_s)
                outcome = "whole" if len(findings.failures) == failed_before else "FAILED"
                used_s = round(ours_s() - used_before_s)
                took.append([name, round(STEPS[name].planned_s(options)), round(seconds), used_s, outcome])
        finally:
            if took:
                waited = f"Neighbours cost {options.patience_in_all_s - patience.left_s:.0f} s of it: waiting, rounds repeated."
                findings.tables.append(Table("Steps", ("step", "planned s", "took s", "processor s", "outcome"), took, waited))


def _end_children() -> None:
    """Load generators, and servers that were just being started, when a run is stopped."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _wanted(name: str, options: Options) -> bool:
    return name in options.only if options.only else name != "peers" or options.peers


def _options(given: argparse.Namespace) -> Options:
    options = SMOKE if given.smoke else FULL
    changed = {
        "rounds": given.rounds,
        "seconds": given.seconds,
        "latency_seconds": given.seconds,
        "sizes": sorted(given.sizes) if given.sizes else None,
        "soak_s": given.soak,
        "only": frozenset(given.only) if given.only else None,
        "scenarios": frozenset(given.scenarios) if given.scenarios else None,
    }
    return replace(options, **{name: value for name, value in changed.items() if value is not None})


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def convert(text: str) -> float:
        number = kind(text)
        if not 0 < number < math.inf:
            raise ValueError(text)
        return number

    # What argparse names in its message.
    convert.__name__ = "positive number"
    return convert


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="once, briefly, small: shows that everything runs")
    parser.add_argument("--only", nargs="+", choices=STEPS, metavar="STEP", help=f"steps to take: {', '.join(STEPS)}")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument(
        "--scenarios", nargs="+", choices=names, metavar="NAME", help=f"whose throughput to measure: {', '.join(names)}"
    )
    parser.add_argument("--rounds", type=_positive(int), help=f"rounds of each comparison ({FULL.rounds})")
    parser.add_argument(
        "--seconds", type=_positive(float), help=f"seconds of one run ({FULL.seconds}; {FULL.latency_seconds} for latency)"
    )
    parser.add_argument(
        "--sizes", type=_positive(int), nargs="+", metavar="KEYS", help="numbers of keys in the store, at least two"
    )
    parser.add_argument("--soak", type=_positive(float), metavar="SECONDS", help=f"length of the soak ({FULL.soak_s})")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), help="where to write")
    parser.add_argument("--print-all", action="store_true", help="print the whole report, not only the targets")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
