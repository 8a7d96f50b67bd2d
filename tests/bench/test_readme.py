"""From the raw data of a run to the figures of bench/README.md: nobody types one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.readme import README, caveats, figures, profile, replaced

ROOT = Path(__file__).parents[2]
TABLE = {
    "title": "Peers",
    "columns": ["counts five limits", "requests/s"],
    "rows": [["quotad", 5_000]],
    "note": "One caller.",
}


def raw(**changed: Any) -> dict[str, Any]:
    target = {"what": "settle", "wanted": ">= 0.50", "measured": "0.61", "met": True, "note": "a note"}
    run = {"neighbours": 0.02, "measured": {"generator": "wrk"}}
    return {
        "machine": {"taken at": "2026-11-27 01:00 UTC", "commit": "abc1234", "processors": "2"},
        "targets": [target, {**target, "what": "batch", "measured": "", "met": None, "note": ""}],
        "tables": [TABLE],
        "runs": [run],
        "failures": [],
        **changed,
    }


def test_commit_promises_and_tables_are_shown():
    text = figures(raw())
    assert "Measured at commit abc1234, 2026-11-27 01:00 UTC:" in text
    assert "| settle | >= 0.50 | 0.61 | met | a note |" in text
    assert "| batch | >= 0.50 |  | not measured |  |" in text
    assert "### Peers\n\n| counts five limits | requests/s |\n|---|---:|\n| quotad | 5,000 |\n\nOne caller." in text


def test_caveats_follow_from_the_run():
    noisy = {"neighbours": 0.4, "measured": {"generator": "python"}}
    machine = {"commit": "abc1234 with changes"}
    said = list(caveats(raw(machine=machine, runs=[noisy], failures=[{"what": "soak", "why": "it ended"}])))
    assert "the source had changes that are in no commit" in said
    assert "neighbours used up to 40% of the machine, more than 8% of it in 100% of the runs" in said
    assert any("processes in Python" in caveat for caveat in said)
    assert "failed: soak" in said
    assert len(list(caveats(raw()))) == 2


def test_only_what_is_between_the_markers_is_written_anew(tmp_path: Path):
    readme = tmp_path / "README.md"
    readme.write_text(README.read_text())
    (tmp_path / "raw.json").write_text(json.dumps(raw()))
    sampled = "# Where\n\n- taken at: today\n- commit: def5678\n\n| part | reserve |\n|---|---|\n| decision | 30% |\n"
    (tmp_path / "profile.md").write_text(f"{sampled}\n## reserve\n| a | b |\n")
    command = [sys.executable, "-m", "bench.readme", "--results", str(tmp_path), "--readme", str(readme)]
    subprocess.run([*command, "--profile", str(tmp_path)], cwd=ROOT, check=True)
    once = readme.read_text()
    assert "abc1234" in once
    assert "Sampled at commit def5678, today:\n\n| part | reserve |\n|---|---|\n| decision | 30% |" in once
    assert once.partition("## Where the time goes")[0] == README.read_text().partition("## Where the time goes")[0]
    subprocess.run(command, cwd=ROOT, check=True)
    assert readme.read_text() == once


def test_of_a_profile_the_shares_by_part_are_shown():
    assert "| a | b |" not in profile("- taken at: x\n- commit: y\n| part |\n\n## one\n| a | b |\n")


def test_text_outside_stays():
    text = "before\n<!-- x: written by python -m bench.readme -->\nold\n<!-- end of x -->\nafter\n"
    assert replaced(text, "x", "new") == text.replace("\nold\n", "\n\nnew\n\n")
