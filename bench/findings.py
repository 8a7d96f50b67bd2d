"""What a run of the bench found: tables, targets with what was measured, plots to draw; no way of writing them down."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.rounds import Run

Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the list of promises. `met` None: not measured in this run."""

    what: str
    wanted: str
    measured: str
    met: bool | None


@dataclass(frozen=True, slots=True)
class Series:
    """Named values over a common axis."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Plot:
    """`kind`: bars, lines. `log` names the axes that are logarithmic: "", "x", "y", "xy"."""

    file: str
    title: str
    kind: str
    axis: str
    unit: str
    labels: Sequence[str | float]
    series: Sequence[Series]
    log: str = ""


@dataclass(slots=True)
class Findings:
    machine: dict[str, str]
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    def at_least(self, what: str, measured: float, wanted: float, *, goal: float | None = None) -> None:
        text = f">= {wanted:.2f}" + (f" (goal {goal:.2f})" if goal else "")
        self.targets.append(Target(what, text, f"{measured:.2f}", measured >= wanted))

    def at_most(self, what: str, measured: float, wanted: float, unit: str = "") -> None:
        self.targets.append(Target(what, f"<= {wanted:g}{unit}", f"{measured:.2f}{unit}", measured <= wanted))
