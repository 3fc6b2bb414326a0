"""Figures of the sweeps."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.steps.sweeps import Series
from lfp_snn.analysis.style import STYLES, WIDTH, new_figure, style

__all__ = ["growth"]

MARKERS = "osD^v"


def growth(series: Sequence[Series]) -> Figure:
    """A figure of the time of a step over the quantity varied, both logarithmic, a panel a network.

    The legend gives the slope: k where time grows as the k-th power. Bars reach from the fastest
    to the slowest step.

    Args:
        series: one sweep, on one or more networks.
    """
    with style():
        figure = new_figure(WIDTH, 3.8)
        panels = figure.subplots(1, len(series), sharey=True, squeeze=False)[0]
        for axes, each in zip(panels, series, strict=True):
            for (colour, dash), marker, name in zip(STYLES, MARKERS, each.names(), strict=False):
                medians = each.medians(name)
                steps = [comparison.measured[name].seconds for _, comparison in each.points]
                below = [m - min(s) for m, s in zip(medians, steps, strict=True)]
                above = [max(s) - m for m, s in zip(medians, steps, strict=True)]
                label = f"{name}: slope {each.slope(name):z.2f}"
                axes.errorbar(
                    each.values(),
                    medians,
                    yerr=(below, above),
                    color=colour,
                    linestyle=dash,
                    marker=marker,
                    label=label,
                    elinewidth=1,
                )
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_xticks(each.values(), labels=[f"{value:g}" for value in each.values()])
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel(each.sweep.label)
            axes.set_title(each.network)
            axes.legend(fontsize=8)
        panels[0].yaxis.set_major_formatter(FuncFormatter(_milliseconds))
        panels[0].set_ylabel("training step [ms]")
        return figure


def _milliseconds(seconds: float, _: int) -> str:
    return f"{1000 * seconds:g}"
