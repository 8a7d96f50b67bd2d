"""Writes what was found: Markdown, raw data as JSON and CSV, plots where matplotlib is at hand, one HTML page with everything."""

import csv
import importlib.util
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Final

import orjson

from bench.findings import Cell, Findings, Table
from bench.rounds import Run

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c1e21; }
table { border-collapse: collapse; margin: .5rem 0 1rem; } th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; }
th { text-align: left; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
.met { color: #1a7f37; } .missed { color: #b42318; font-weight: 600; } img { max-width: 100%; } p.note { color: #57606a; }
"""


def write_report(findings: Findings, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(markdown(findings))
    (folder / "raw.json").write_bytes(orjson.dumps(asdict(findings), option=orjson.OPT_INDENT_2, default=str))
    _write_csv(findings, folder / "runs.csv")
    plots: list[Path] = []
    if importlib.util.find_spec("matplotlib") is not None:
        from bench.plots import draw

        plots = [draw(plot, folder) for plot in findings.plots]
    (folder / "report.html").write_text(_html(findings, plots))


def markdown(findings: Findings) -> str:
    lines = ["# quotad bench", "", *(f"- {name}: {value}" for name, value in findings.machine.items()), ""]
    for table in (targets(findings), *findings.tables):
        lines += [f"## {table.title}", "", *markdown_table(table), ""]
        if table.note:
            lines += [table.note, ""]
    return "\n".join(lines)


def targets(findings: Findings) -> Table:
    verdicts = {True: "met", False: "missed", None: "not measured"}
    rows = [[target.what, target.wanted, target.measured, verdicts[target.met]] for target in findings.targets]
    return Table("Targets", ("what", "target", "measured", "verdict"), rows)


def markdown_table(table: Table) -> list[str]:
    numeric = _numeric_columns(table)
    return [
        f"| {' | '.join(table.columns)} |",
        f"|{'|'.join('---:' if number else '---' for number in numeric)}|",
        *(f"| {' | '.join(map(text, row))} |" for row in table.rows),
    ]


def text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _numeric_columns(table: Table) -> list[bool]:
    return [
        any(isinstance(cell, int | float) for cell in column) for column in zip(*table.rows, strict=True)
    ] or [False] * len(table.columns)  # fmt: skip


def _write_csv(findings: Findings, path: Path) -> None:
    """A line for every run, disturbed ones too."""
    if findings.runs:
        lines = [_flat(run) for run in findings.runs]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)


def _flat(run: Run) -> dict[str, object]:
    flat = asdict(run)
    measured, redis = flat.pop("measured"), flat.pop("redis")
    return {**flat, **measured, **{f"redis_{name}": value for name, value in redis.items()}}


def _html(findings: Findings, plots: Sequence[Path]) -> str:
    parts = [f"<!doctype html><meta charset=utf-8><title>quotad bench</title><style>{_STYLE}</style><h1>quotad bench</h1><ul>"]
    parts += [f"<li>{escape(name)}: {escape(value)}</li>" for name, value in findings.machine.items()]
    parts.append("</ul>")
    for table in (targets(findings), *findings.tables):
        parts.append(f"<h2>{escape(table.title)}</h2>{_html_table(table)}")
        if table.note:
            parts.append(f"<p class=note>{escape(table.note)}</p>")
    for plot in plots:
        parts.append(f'<img alt="{escape(plot.stem)}" src="data:image/png;base64,{b64encode(plot.read_bytes()).decode()}">')
    return "\n".join(parts)


def _html_table(table: Table) -> str:
    numeric = _numeric_columns(table)
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(_html_cell(cell, number) for cell, number in zip(row, numeric, strict=True)) + "</tr>"
        for row in table.rows
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _html_cell(cell: Cell, number: bool) -> str:
    kind = "number" if number else cell if cell in ("met", "missed") else ""
    return f'<td class="{kind}">{escape(text(cell))}</td>'
