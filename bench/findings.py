"""What a run of the bench found: tables, promises kept and missed, plots to draw; no way of writing them down."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.promises import PROMISES
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
    """What became of a promise. `met` None: not measured in this run. `note`: under which circumstances, or why not."""

    what: str
    wanted: str
    measured: str
    met: bool | None
    note: str = ""


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


@dataclass(frozen=True, slots=True)
class Failure:
    """Part of a run that ended early."""

    what: str
    why: str


@dataclass(slots=True)
class Findings:
    """`steps` are those that were to be taken: their promises are shown, measured or not."""

    machine: dict[str, str]
    steps: Sequence[str] = ()
    tables: list[Table] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def __post_init__(self) -> None:
        promised = [promise for promise in PROMISES.values() if promise.step in self.steps]
        self.targets += [Target(promise.what, promise.wanted_text, "", None) for promise in promised]

    def measured(self, name: str, value: float, note: str = "") -> None:
        """Of the promise with this name."""
        promise = PROMISES[name]
        place = [target.what for target in self.targets].index(promise.what)
        self.targets[place] = Target(
            promise.what, promise.wanted_text, promise.measured_text(value), promise.is_kept(value), note
        )
