"""The bench runs: its whole report is there, nobody was let in over a limit. What it measures is its own affair."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.promises import PROMISES

ROOT = Path(__file__).parents[2]
SCENARIOS = {
    "quota_read",
    "reserve",
    "settle",
    "reserve_settle",
    "authorize",
    "batch",
    "hot_tenant",
    "spread",
    "refused",
    "admin",
}

WITH_LIMITS = {"reserve_settle", "hot_tenant", "spread", "refused", "authorize", "batch"}


def run_bench(results: Path, *arguments: str) -> dict[str, Any]:
    """The raw data of a run."""
    command = [sys.executable, "-m", "bench", "--smoke", "--results", str(results), *arguments]
    run = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False, timeout=1_200)
    assert run.returncode == 0, run.stderr
    (folder,) = results.iterdir()
    raw: dict[str, Any] = json.loads((folder / "raw.json").read_bytes())

    # Without matplotlib, which tests do without, the report comes without plots.
    plots = {plot["file"] for plot in raw["plots"]} if importlib.util.find_spec("matplotlib") else set()
    assert {file.name for file in folder.iterdir()} == {"report.md", "report.html", "raw.json", "runs.csv"} | plots
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(plots)
    assert "<script" not in page
    for table in raw["tables"]:
        assert f"## {table['title']}" in (folder / "report.md").read_text()
        assert table["title"] in page
        assert table["rows"]
    with (folder / "runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(raw["runs"])
    return raw


def rows_of(raw: dict[str, Any], title: str) -> list[dict[str, Any]]:
    (table,) = (table for table in raw["tables"] if table["title"] == title)
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def check_accuracy(raw: dict[str, Any]) -> None:
    (promise,) = (target for target in raw["targets"] if target["what"] == "overspend in strict mode")
    assert promise["met"]
    cases = rows_of(raw, "Accuracy")
    assert {case["mode"] for case in cases} == {"strict", "clamp", "postpaid"}
    assert {case["scenario"] for case in cases} == WITH_LIMITS
    for case in cases:
        assert case["refused"] > 0
        assert case["Redis commands per decision"] > 1
        assert case["Redis bytes per decision"] > 100
        if case["expected"].isdigit():
            assert case["admitted"] == int(case["expected"])
        # By how little is known of requests beforehand: else the column would say nothing.
        assert (case["overspent"] == 0) is (case["mode"] == "strict")


def check_throughput(raw: dict[str, Any], scenarios: set[str]) -> None:
    rows = [row for row in rows_of(raw, "Throughput at 64 connections") if row["server"] == "quotad"]
    assert {row["scenario"] for row in rows} == scenarios
    assert all(row["operations/s"] > 0 for row in rows)
    decisions = {row["scenario"]: row for row in rows_of(raw, "What a decision costs Redis")}
    assert decisions.keys() == scenarios


def test_a_few_steps_leave_a_whole_report(tmp_path: Path):
    scenarios = {"quota_read", "settle", "batch"}
    raw = run_bench(tmp_path, "--only", "throughput", "accuracy", "--scenarios", *sorted(scenarios), "--seconds", "0.1")
    check_throughput(raw, scenarios)
    check_accuracy(raw)
    beside_batch = [row["server"] for row in rows_of(raw, "Throughput at 64 connections") if row["scenario"] == "batch"]
    assert beside_batch == ["quotad", "quotad, reserve_settle"]


@pytest.mark.slow
def test_every_step_leaves_its_table(tmp_path: Path):
    raw = run_bench(tmp_path)
    check_throughput(raw, SCENARIOS)
    check_accuracy(raw)
    assert [table["title"] for table in raw["tables"]] == [
        "Throughput at 64 connections",
        "What a decision costs Redis",
        "Latency at half the maximum throughput of quotad, and of one caller",
        "Redis alone",
        "Accuracy",
        "Throughput over workers",
        "What a decision costs on a cluster",
        "Memory of a stored key",
        "Start on an embedded Redis",
        "Paging",
        "Throughput over the number of keys",
        "Soak",
        "Steps",
    ]
    assert {len(row) - len(table["columns"]) for table in raw["tables"] for row in table["rows"]} == {0}
    assert {row["outcome"] for row in rows_of(raw, "Steps")} == {"whole"}
    promised = [promise.what for promise in PROMISES.values()]
    assert [target["what"] for target in raw["targets"]] == promised
    # Seconds say nothing about a soak.
    assert {target["what"].partition(":")[0] for target in raw["targets"] if target["met"] is None} == {"soak"}
