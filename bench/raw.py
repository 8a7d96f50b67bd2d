"""Reads what a run of the bench wrote."""

from pathlib import Path
from typing import Any

import orjson

from bench.findings import Table


def raw_of(folder: Path) -> dict[str, Any]:
    """Of the run in this folder, or of the latest in a folder of it."""
    found = sorted(folder.glob("raw.json")) or sorted(folder.glob("*/raw.json"))
    if not found:
        raise SystemExit(f"no raw.json in {folder} or a folder in it")
    raw: dict[str, Any] = orjson.loads(found[-1].read_bytes())
    return raw


def table_of(raw: dict[str, Any], title: str) -> Table | None:
    return next((Table(**table) for table in raw["tables"] if table["title"] == title), None)
