"""Where the time of a worker goes: `python -m bench.profile` writes flame graphs and a table of shares by part.

Drives quotad with a scenario while py-spy (requirements-bench.lock) samples the worker; of threads that wait it sees nothing.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bench.findings import Cell, Table
from bench.load import drive
from bench.machine import described
from bench.report import markdown_table
from bench.scenarios import SCENARIOS
from bench.scenarios.scenario import Scenario
from bench.servers import ROOT, end_as_by_ctrl_c
from bench.traffic import Traffic
from bench.world import World, opened_world

_SAMPLES_PER_S: Final = 500
_PREPARED_PER_S: Final = 20_000
"""Requests that a run is prepared for; more than a worker answers."""
_KEYS: Final = 1_000
_SHOWN_FUNCTIONS: Final = 15
_HOT: Final = ("quota_read", "reserve", "settle")

_PARTS: Final = {
    "HTTP server": ("/uvicorn/", "/httptools/", "/service/server.py", "/service/protocol.py", "/service/timeouts.py"),
    "parsing and checking bodies": ("/service/models/", "/pydantic/"),
    "prices": ("/service/pricing/",),
    "rules": ("/service/routing/",),
    "decision": ("/service/quota/", "/service/reservation.py", "/service/governance/"),
    "what scripts are told, what they answered": (
        "/service/store/packed_plan.py",
        "/service/store/plans.py",
        "/service/store/quota.py",
        "/service/store/reservation",
        "/service/store/codec.py",
        "/service/store/packed_integers.py",
    ),
    # Streams of asyncio are used by redis-py alone.
    "Redis call and merging": ("/redis/", "/hiredis/", "/service/store/", "/asyncio/streams.py"),
    "rendering": ("/service/api/rendering/", "/service/api/headers.py"),
    "metrics": ("/service/metrics.py", "/prometheus_client/"),
    "endpoints, credentials": ("/service/api/", "/service/app.py"),
    "event loop and sockets": ("/asyncio/", "/uvloop/"),
}
"""Files by part; the first that fits counts."""
_OTHER: Final = "other"


def part_of(stack: Sequence[str]) -> str:
    """By the innermost frame that belongs to a part: what a library does is done for its caller."""
    for frame in reversed(stack):
        for part, files in _PARTS.items():
            if any(file in frame for file in files):
                return part
    return _OTHER


def stacks_of(raw: str) -> list[tuple[list[str], int]]:
    """Frames from the outermost, as `function (file:line)`, and how often they were seen."""
    lines = (line.rpartition(" ") for line in raw.splitlines())
    return [(frames.split(";"), int(count)) for frames, _, count in lines if frames]


def shares(counted: Counter[str]) -> list[tuple[str, float]]:
    total = sum(counted.values())
    return [(name, count / total) for name, count in counted.most_common()]


def by_part(stacks: Iterable[tuple[list[str], int]]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for stack, count in stacks:
        counted[part_of(stack)] += count
    return counted


def by_function(stacks: Iterable[tuple[list[str], int]]) -> Counter[str]:
    """Time in the function itself; native code counts for the Python function that called it."""
    counted: Counter[str] = Counter()
    for stack, count in stacks:
        name, _, place = stack[-1].partition(" (")
        counted[f"{name} ({_shortened(place.rpartition(':')[0])})"] += count
    return counted


def _shortened(path: str) -> str:
    """Nothing of the machine: ours from the folder of the source on, of others the last folder."""
    if path.startswith(f"{ROOT}/"):
        return path.removeprefix(f"{ROOT}/")
    return path.rpartition("/site-packages/")[2] if "/site-packages/" in path else "/".join(Path(path).parts[-2:])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="of each run (5)")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--scenarios", nargs="+", choices=names, default=_HOT, metavar="NAME", help=", ".join(names))
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), help="where to write")
    given = parser.parse_args(arguments)
    end_as_by_ctrl_c()
    beside = Path(sys.executable).with_name("py-spy")
    py_spy = str(beside) if beside.exists() else shutil.which("py-spy")
    if py_spy is None:
        parser.error("py-spy is not installed: pip install -r requirements-bench.lock")
    folder = given.results / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}-profile"
    folder.mkdir(parents=True)
    wanted = [scenario for scenario in SCENARIOS if scenario.name in given.scenarios]
    stacks: dict[str, list[tuple[list[str], int]]] = {}
    with opened_world(_KEYS) as world:
        for place, scenario in enumerate(wanted, start=1):
            run = _Sampled(py_spy, world, scenario, 1_000_000_000 * place, given.seconds)
            graph = folder / f"{scenario.name}.svg"
            run.record("flamegraph", graph, ["--function"])
            # Its title is the command line, with paths of this machine.
            graph.write_text(re.sub(r">[^<>]*py-spy record[^<>]*<", f">quotad: {scenario.name}<", graph.read_text()))
            raw = folder / f"{scenario.name}.txt"
            run.record("raw", raw, ["--full-filenames"])
            stacks[scenario.name] = stacks_of(raw.read_text())
            raw.unlink()
    text = _page(stacks, described(given.seconds))
    (folder / "profile.md").write_text(text)
    sys.stdout.write(text)
    print(f"\nWritten to {folder}", file=sys.stderr)
    return 0


class _Sampled:
    """Runs of one scenario under py-spy, the first warmed up; each has numbers of its own."""

    def __init__(self, py_spy: str, world: World, scenario: Scenario, first: int, seconds: float) -> None:
        self._py_spy = py_spy
        self._world = world
        self._scenario = scenario
        self._number = first
        self._seconds = seconds
        drive(world.quotad.url, self._prepared(1), seconds=1)

    def record(self, form: str, path: Path, options: Sequence[str]) -> None:
        worker, traffic = self._worker(), self._prepared(self._seconds + 1)
        command = [
            self._py_spy,
            "record",
            "--pid",
            str(worker),
            "--duration",
            str(round(self._seconds)),
            "--gil",
            "--nonblocking",
        ]
        command += ["--rate", str(_SAMPLES_PER_S), "--format", form, "--output", str(path), *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as sampling:
            # It looks at the process first: load a little longer than that does no harm.
            drive(self._world.quotad.url, traffic, seconds=self._seconds + 1)
            _, said = sampling.communicate()
        if sampling.returncode or not path.exists():
            raise SystemExit(f"py-spy could not sample the worker: {said}")

    def _prepared(self, seconds: float) -> Traffic:
        self._number += 10_000_000
        if self._scenario.before is not None:
            self._scenario.before(self._world, self._number, int(_PREPARED_PER_S * seconds))
        return self._scenario.traffic(self._world, self._number)

    def _worker(self) -> int:
        children = self._world.quotad.process.children(recursive=True)
        return int(children[-1].pid if children else self._world.quotad.process.pid)


def _page(stacks: dict[str, list[tuple[list[str], int]]], machine: dict[str, str]) -> str:
    counted = {name: dict(shares(by_part(found))) for name, found in stacks.items()}
    largest = {part: max(own.get(part, 0) for own in counted.values()) for own in counted.values() for part in own}
    parts = sorted(largest, key=lambda part: -largest[part])
    rows: list[list[Cell]] = [[part, *(f"{own.get(part, 0):.0%}" for own in counted.values())] for part in parts]
    lines = ["# Where the time of a worker goes", "", *(f"- {name}: {value}" for name, value in machine.items()), ""]
    lines += [*markdown_table(Table("", ("part", *counted), rows)), ""]
    for name, found in stacks.items():
        top = shares(by_function(found))[:_SHOWN_FUNCTIONS]
        lines += [f"## {name}: time in the function itself ({name}.svg)", ""]
        lines += [*markdown_table(Table("", ("share", "function"), [[f"{share:.1%}", function] for function, share in top])), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
