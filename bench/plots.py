"""Draws plots as PNG files; needs matplotlib."""

from pathlib import Path
from typing import Final

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, FuncFormatter

from bench.findings import Plot

matplotlib.use("Agg")

from matplotlib import pyplot  # the backend must be chosen first

_COLOURS: Final = "tab10"
_MANY: Final = 12
"""Letters of a label above which labels stand askew."""
_FEW_BARS: Final = 12
"""So many bars can bear their numbers."""
_OURS: Final = "quotad"


def draw(plot: Plot, folder: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=(11, 5), layout="constrained")
    axes.set_prop_cycle(color=matplotlib.color_sequences[_COLOURS])
    if plot.kind == "bars":
        _bars(axes, plot)
    else:
        _lines(axes, plot)
    _scale(axes, plot)
    axes.set_title(plot.title, loc="left", fontweight="bold")
    axes.set_xlabel(plot.axis)
    axes.set_ylabel(plot.unit)
    axes.grid(axis="y", which="both" if "y" in plot.log else "major", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(plot.series) > 1:
        # Beside the data, never over it.
        figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    path = folder / plot.file
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return path


def _scale(axes: Axes, plot: Plot) -> None:
    numbers = FuncFormatter(lambda value, _: f"{value:,.10g}")
    if "x" in plot.log:
        axes.set_xscale("log")
        axes.set_xticks([float(label) for label in plot.labels], [f"{label:,}" for label in plot.labels])
        axes.minorticks_off()
    if "y" in plot.log:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(numbers)
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: numbers(value) if f"{value:e}"[0] in "25" else ""))
        axes.tick_params(axis="y", which="minor", labelsize="small")
    else:
        axes.set_ylim(bottom=0)
        if max((value for series in plot.series for value in series.values), default=0) >= 10_000:
            axes.yaxis.set_major_formatter(EngFormatter(sep=""))


def _bars(axes: Axes, plot: Plot) -> None:
    width = 0.8 / len(plot.series)
    few = len(plot.series) * len(plot.labels) <= _FEW_BARS
    for number, series in enumerate(plot.series):
        places = [place + number * width for place in range(len(plot.labels))]
        edge = "black" if series.name == _OURS else "none"
        bars = axes.bar(places, series.values, width, label=series.name, edgecolor=edge, linewidth=0.8)
        if few:
            axes.bar_label(bars, [f"{value:,.0f}" for value in series.values], fontsize="small")
    middle = 0.4 - width / 2
    axes.set_xticks([place + middle for place in range(len(plot.labels))], [str(label) for label in plot.labels])
    if max(map(len, map(str, plot.labels))) > _MANY:
        axes.tick_params(axis="x", labelrotation=15)


def _lines(axes: Axes, plot: Plot) -> None:
    for number, series in enumerate(plot.series):
        # Floors are dashed: they are what the others are compared with.
        style = "--" if series.name.startswith("F") else "-"
        axes.plot(plot.labels, series.values, style, marker="os^Dv"[number % 5], markersize=4, label=series.name)
