"""The plot of a sweep, in the style of :mod:`lfp_snn.analysis.plots`."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lfp_snn.analysis.style import STYLES, WIDTH, new_figure, style

__all__ = ["importance"]


def importance(shares: Mapping[str, float]) -> Figure:
    """A figure of the importance of each searched key: its share of the accuracy's variance."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    with style(**{"axes.grid.axis": "x"}):
        figure = new_figure(WIDTH, 0.32 * len(ordered) + 1.0)
        axes = figure.subplots()
        bars = axes.barh([key for key, _ in ordered], [share for _, share in ordered],
                         color=STYLES[0][0])  # fmt: skip
        axes.bar_label(bars, [f"{share:.0%}" for _, share in ordered], padding=4)
        axes.set_xlim(0, 1.1)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel("share of the variance of validation accuracy")
        return figure
