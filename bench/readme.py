"""Writes the figures of a run into bench/README.md, between two markers, so that nobody types one:

python -m bench.readme --results DIR [--profile DIR]

DIR is the folder of a run of the bench, or holds such folders: then the latest counts. The other is one of `bench.profile`.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.findings import Cell, Table
from bench.raw import raw_of, table_of
from bench.report import VERDICTS, markdown_table

README: Final = Path(__file__).with_name("README.md")
_SHOWN: Final = {
    "Throughput at 64 connections": ("scenario", "server", "operations/s", "ratio to F", "p50 ms", "p99 ms", "server CPU us/op"),
    "What a decision costs Redis": (),
    "Latency at half the maximum throughput of quotad, and of one caller": (),
    "Redis alone": (),
    "Accuracy": (),
    "Throughput over workers": (),
    "What a decision costs on a cluster": (),
    "Throughput over the number of keys": (),
    "Peers": (),
    "Soak": (),
}
"""Tables, and which of their columns; none: all."""
_QUIET: Final = 0.08


def figures(raw: dict[str, Any]) -> str:
    """Machine and caveats, promises, tables."""
    return "\n".join([*_machine(raw), *_targets(raw), *_tables(raw)])


def _machine(raw: dict[str, Any]) -> Iterator[str]:
    machine = raw["machine"]
    yield f"Measured at commit {machine['commit']}, {machine['taken at']}:"
    yield ""
    yield from (f"- {name}: {value}" for name, value in machine.items() if name not in ("commit", "taken at"))
    yield from (f"- {caveat}" for caveat in caveats(raw))
    yield ""


def caveats(raw: dict[str, Any]) -> Iterator[str]:
    """What a reader must know before believing a figure."""
    yield "load generator, Redis and workers share the processors, and talk over loopback: compare ratios, not rates"
    if "with changes" in raw["machine"]["commit"]:
        yield "the source had changes that are in no commit"
    shares = [run["neighbours"] for run in raw["runs"]]
    if shares:
        noisy = sum(share > _QUIET for share in shares) / len(shares)
        yield f"neighbours used up to {max(shares):.0%} of the machine, more than {_QUIET:.0%} of it in {noisy:.0%} of the runs"
    if any(run["measured"]["generator"] != "wrk" for run in raw["runs"]):
        yield "at least part of the load came from processes in Python, which slow down the servers beside them"
    yield from (f"failed: {failure['what']}" for failure in raw["failures"])


def _targets(raw: dict[str, Any]) -> Iterator[str]:
    rows: list[list[Cell]] = [
        [target["what"], target["wanted"], target["measured"], VERDICTS[target["met"]], target["note"]]
        for target in raw["targets"]
    ]
    yield from (*markdown_table(Table("", ("what", "target", "measured", "", "note"), rows)), "")


def _tables(raw: dict[str, Any]) -> Iterator[str]:
    for title, columns in _SHOWN.items():
        table = table_of(raw, title)
        if table is not None:
            places = [list(table.columns).index(name) for name in columns or table.columns]
            rows = [[row[place] for place in places] for row in table.rows]
            yield from (f"### {title}", "", *markdown_table(Table("", [table.columns[place] for place in places], rows)), "")
            if table.note:
                yield from (table.note, "")


def profile(text: str) -> str:
    """Of profile.md: when and where it was taken, and the shares by part."""
    head, _, _ = text.partition("\n## ")
    machine = dict(re.findall(r"^- ([^:]+): (.*)$", head, re.MULTILINE))
    table = [line for line in head.splitlines() if line.startswith("|")]
    return "\n".join([f"Sampled at commit {machine['commit']}, {machine['taken at']}:", "", *table, ""])


def replaced(text: str, name: str, content: str) -> str:
    """The text with other lines between the markers of this name."""
    start, end = f"<!-- {name}: written by python -m bench.readme -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"no lines '{start}' and '{end}'")
    return f"{before}{start}\n\n{content.strip()}\n\n{end}{after}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.readme", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results"), help="folder of a run, or of runs")
    parser.add_argument("--profile", type=Path, help="folder that bench.profile wrote")
    parser.add_argument("--readme", type=Path, default=README, help="what to rewrite")
    given = parser.parse_args(arguments)
    text = replaced(given.readme.read_text(), "figures", figures(raw_of(given.results)))
    if given.profile:
        text = replaced(text, "profile", profile((given.profile / "profile.md").read_text()))
    given.readme.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
