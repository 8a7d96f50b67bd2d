"""A page of a list costs what it shows, not what the store holds: 25 of many keys against 25 of few.

`python -m bench.paging` measures this alone.
"""

import sys
from statistics import median
from typing import Final

from bench.context import FULL, Context, Options
from bench.findings import Cell, Table
from bench.load import drive
from bench.neighbours import Patience
from bench.seed import ADMIN, GOVERNANCE
from bench.servers import end_as_by_ctrl_c
from bench.traffic import Traffic, get
from bench.world import World, opened_world

_FEW: Final = 100
_MANY: Final = 100_000
_PAGES: Final = {
    "first 25": "limit=25",
    "25 from the middle": "limit=25&offset={middle}",
    "25 by name": "limit=25&sort_by=name&order=asc",
}
_SEARCH: Final = "25 found by search"
"""Reads every name, so it is shown without a promise."""


def planned_s(options: Options) -> float:
    return 4 + min(_MANY, max(options.sizes)) / 8_000 + 2 * (len(_PAGES) + 1) * options.rounds * (options.pages_s + 0.4)


def measure(context: Context) -> None:
    many = min(_MANY, max(context.options.sizes))
    context.progress.step(f"25 rows of {_FEW} keys and of {many:,}")
    with context.world_of(_FEW) as small, context.world_of(many) as large:
        rows = rows_of(small, large, context.options, context.patience)
    columns = ("page", f"ms of {_FEW} keys", f"ms of {many:,} keys", "ratio")
    note = "Median of one request at a time, by an administrator; every row with its counters. A search reads every name."
    context.findings.tables.append(Table("Paging", columns, rows, note))
    worst = max(float(row[-1]) for row in rows if isinstance(row[-1], float) and row[0] != _SEARCH)
    context.findings.measured("paging", worst, "" if many == _MANY else f"{many:,} keys")


def rows_of(small: World, large: World, options: Options, patience: Patience) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for name, query in {**_PAGES, _SEARCH: "limit=25&search=original-3"}.items():
        times: dict[str, list[float]] = {"small": [], "large": []}
        for _ in range(options.rounds):
            patience.wait_for_quiet()
            times["small"].append(_page_ms(small, query, options.pages_s))
            times["large"].append(_page_ms(large, query, options.pages_s))
        few_ms, many_ms = median(times["small"]), median(times["large"])
        rows.append([name, round(few_ms, 2), round(many_ms, 2), round(many_ms / few_ms, 2)])
    return rows


def _page_ms(world: World, query: str, seconds: float) -> float:
    path = f"{GOVERNANCE}/virtual-keys?{query.format(middle=len(world.keys) // 2)}"
    return drive(world.quotad.url, Traffic((get(path, ADMIN),)), seconds=seconds, connections=1).p50_us / 1000


if __name__ == "__main__":
    end_as_by_ctrl_c()
    with opened_world(_FEW, used_up=0) as few, opened_world(_MANY, used_up=0) as lots:
        for shown in rows_of(few, lots, FULL, Patience(FULL.patience_s, FULL.patience_in_all_s)):
            sys.stdout.write(f"{shown}\n")
