"""Draws plots as PNG files; needs matplotlib."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes

from bench.findings import Plot

matplotlib.use("Agg")

from matplotlib import pyplot  # the backend must be chosen first


def draw(plot: Plot, folder: Path) -> Path:
    figure, axes = pyplot.subplots(figsize=(10, 5), layout="constrained")
    if plot.kind == "bars":
        _bars(axes, plot)
    else:
        _lines(axes, plot)
    if "x" in plot.log:
        axes.set_xscale("log")
    if "y" in plot.log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_title(plot.title)
    axes.set_xlabel(plot.axis)
    axes.set_ylabel(plot.unit)
    axes.grid(axis="y", alpha=0.3)
    if len(plot.series) > 1:
        axes.legend(fontsize="small")
    path = folder / plot.file
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def _bars(axes: Axes, plot: Plot) -> None:
    width = 0.8 / len(plot.series)
    for number, series in enumerate(plot.series):
        axes.bar([place + number * width for place in range(len(plot.labels))], series.values, width, label=series.name)
    middle = 0.4 - width / 2
    axes.set_xticks([place + middle for place in range(len(plot.labels))], [str(label) for label in plot.labels])
    if max(map(len, map(str, plot.labels))) > 12:
        axes.tick_params(axis="x", labelrotation=15)


def _lines(axes: Axes, plot: Plot) -> None:
    for series in plot.series:
        axes.plot(plot.labels, series.values, marker="o", markersize=3, label=series.name)
