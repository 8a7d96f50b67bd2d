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
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1c1e21; }
table { border-collapse: collapse; margin: .5rem 0 1rem; } th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; }
th { text-align: left; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
.met { color: #1a7f37; } .missed { color: #b42318; font-weight: 600; }
img { max-width: 100%; } div.wide { overflow-x: auto; } p.note { color: #57606a; }
"""


VERDICTS: Final = {True: "met", False: "missed", None: "not measured"}


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
    for table in report_tables(findings):
        lines += [f"## {table.title}", "", *markdown_table(table), ""]
        if table.note:
            lines += [table.note, ""]
    return "\n".join(lines)


def targets(findings: Findings) -> Table:
    rows = [[target.what, target.wanted, target.measured, VERDICTS[target.met], target.note] for target in findings.targets]
    return Table("Targets", ("what", "target", "measured", "verdict", "note"), rows)


def report_tables(findings: Findings) -> list[Table]:
    """First what the run is about; what went wrong before everything that went well."""
    failed = Table("Failed", ("what", "why"), [[failure.what, failure.why] for failure in findings.failures])
    return [*([failed] if findings.failures else []), targets(findings), *findings.tables]


def markdown_table(table: Table) -> list[str]:
    numeric = _numeric_columns(table)
    return [
        f"| {' | '.join(table.columns)} |",
        f"|{'|'.join('---:' if number else '---' for number in numeric)}|",
        *(f"| {' | '.join(text(cell).replace('|', '/').replace(chr(10), ' ') for cell in row)} |" for row in table.rows),
    ]


def text(cell: Cell) -> str:
    if cell is None:
        return ""
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _numeric_columns(table: Table) -> list[bool]:
    numeric = [any(isinstance(cell, int | float) for cell in column) for column in zip(*table.rows, strict=True)]
    return numeric or [False] * len(table.columns)


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
    parts = ["<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"]
    parts.append(f"<title>quotad bench</title><style>{_STYLE}</style><h1>quotad bench</h1><ul>")
    parts += [f"<li>{escape(name)}: {escape(value)}</li>" for name, value in findings.machine.items()]
    parts.append("</ul>")
    tables = report_tables(findings)
    first = 1 + [table.title for table in tables].index("Targets")
    parts += [_html_section(table) for table in tables[:first]]
    for plot in plots:
        parts.append(f'<img alt="{escape(plot.stem)}" src="data:image/png;base64,{b64encode(plot.read_bytes()).decode()}">')
    parts += [_html_section(table) for table in tables[first:]]
    return "\n".join(parts)


def _html_section(table: Table) -> str:
    note = f"<p class=note>{escape(table.note)}</p>" if table.note else ""
    return f"<h2>{escape(table.title)}</h2>{_html_table(table)}{note}"


def _html_table(table: Table) -> str:
    numeric = _numeric_columns(table)
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(_html_cell(cell, number) for cell, number in zip(row, numeric, strict=True)) + "</tr>"
        for row in table.rows
    )
    return f"<div class=wide><table><tr>{head}</tr>{rows}</table></div>"


def _html_cell(cell: Cell, number: bool) -> str:
    kind = "number" if number else cell if cell in ("met", "missed") else ""
    return f'<td class="{kind}">{escape(text(cell))}</td>'
