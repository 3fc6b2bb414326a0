"""Plots of pruned runs, in the style of :mod:`lfp_snn.analysis.plots`."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lfp_snn.analysis.prune.criteria import Criterion
from lfp_snn.analysis.prune.findings import PruningFindings
from lfp_snn.analysis.style import STYLES, WIDTH, new_figure, style

__all__ = ["accuracy_over_share"]


def accuracy_over_share(findings: PruningFindings) -> Figure:
    """A figure of test accuracy over the share pruned: a panel a criterion, a line a learner.

    Lines are means over the seeds, bands go from the lowest to the highest.
    """
    criteria = findings.options.criteria
    with style():
        figure = new_figure(WIDTH, 3.0)
        panels = figure.subplots(1, len(criteria), sharey=True, squeeze=False)[0]
        for axes, criterion in zip(panels, criteria, strict=True):
            _panel(axes, findings, criterion)
        panels[0].set_ylabel("test accuracy")
        panels[0].set_ylim(0, 1.02)
        panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4)
        figure.supxlabel("weights pruned", fontsize=10)
        return figure


def _panel(axes: Axes, findings: PruningFindings, criterion: Criterion) -> None:
    for index, (name, runs) in enumerate(findings.learners.items()):
        colour, dash = STYLES[index % len(STYLES)]
        curves = np.array([run.curve(criterion).accuracies for run in runs])
        shares = findings.options.shares
        axes.fill_between(
            shares, curves.min(0), curves.max(0), color=colour, alpha=0.15, linewidth=0
        )
        axes.plot(shares, curves.mean(0), dash, color=colour, marker="o", label=name, markersize=3)
    axes.set_title(str(criterion))
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75])  # a last one would touch the first of the next panel
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
