"""Plots of a comparison, in the style of :mod:`lfp_snn.analysis.plots`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    PercentFormatter,
)

from lfp_snn.analysis.compare.findings import ComparisonFindings, LearnerResult
from lfp_snn.analysis.plots import epoch_axis
from lfp_snn.analysis.style import INK, STYLES, WIDTH, new_figure, style

__all__ = ["accuracy_over_epochs", "accuracy_over_time", "costs", "test_accuracies"]

Points = npt.NDArray[np.float64]

#: Points of time at which runs that took different times are averaged.
GRID = 200


def accuracy_over_epochs(findings: ComparisonFindings) -> Figure:
    """A plot of the validation accuracy of every epoch: mean and band over the seeds."""
    with style():
        figure = new_figure(WIDTH, 3.6)
        axes = figure.subplots()
        for index, learner in enumerate(findings.learners):
            if not learner.histories or not learner.validated:
                continue
            epochs = min(len(history) for history in learner.histories)
            curves = np.array([_accuracies(h)[:epochs] for h in learner.histories])
            _band(axes, np.arange(1, epochs + 1.0), curves, index, learner.name)
        epoch_axis(axes)
        _finish(figure, axes, findings)
        return figure


def accuracy_over_time(findings: ComparisonFindings) -> Figure:
    """A plot of the best validation accuracy so far against training time.

    A curve begins when every seed has ended an epoch; a seed that is through keeps its last value.
    """
    with style():
        figure = new_figure(WIDTH, 3.6)
        axes = figure.subplots()
        for index, learner in enumerate(findings.learners):
            times = [_seconds(history) for history in learner.histories]
            if not times or not learner.validated:
                continue
            grid = np.geomspace(max(t[0] for t in times), max(t[-1] for t in times), GRID)
            curves = np.array(
                [
                    _so_far(grid, t, np.maximum.accumulate(_accuracies(h)))
                    for t, h in zip(times, learner.histories, strict=True)
                ]
            )
            _band(axes, grid, curves, index, learner.name)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: f"{seconds:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("training time in seconds, validation included")
        _finish(figure, axes, findings)
        return figure


def _accuracies(history: Sequence[Mapping[str, float]]) -> Points:
    return np.array([epoch["val_accuracy"] for epoch in history], np.float64)


def _seconds(history: Sequence[Mapping[str, float]]) -> Points:
    return np.cumsum([epoch["epoch_s"] for epoch in history], dtype=np.float64)


def _so_far(grid: Points, times: Points, best: Points) -> Points:
    """The value at the last epoch that had ended, or else at the first one."""
    ended = np.searchsorted(times, grid, side="right")
    return best[np.maximum(ended - 1, 0)]


def _band(axes: Axes, x: Points, curves: Points, index: int, name: str) -> None:
    colour, dash = STYLES[index % len(STYLES)]
    axes.fill_between(x, curves.min(0), curves.max(0), color=colour, alpha=0.15, linewidth=0)
    marker = "o" if len(x) == 1 else None
    axes.plot(x, curves.mean(0), dash, color=colour, label=name, marker=marker)


def _finish(figure: Figure, axes: Axes, findings: ComparisonFindings) -> None:
    if findings.target is not None:
        label = f"target {findings.target:.0%}"
        axes.axhline(findings.target, color=INK, linestyle=":", linewidth=1, label=label)
    axes.set_ylabel("validation accuracy")
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper left", ncols=4)


def test_accuracies(findings: ComparisonFindings) -> Figure:
    """A plot of the test accuracy of each seed, means with intervals, and paired differences."""
    names = [learner.name for learner in findings.learners]
    with style():
        figure = new_figure(WIDTH, 0.42 * len(names) + 1.3)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
        for row, learner in enumerate(findings.learners):
            _seeds_and_mean(left, row, learner)
            difference = findings.differences.get(learner.name)
            if difference is not None:
                error = [[difference.difference - difference.low],
                         [difference.high - difference.difference]]  # fmt: skip
                colour = STYLES[row % len(STYLES)][0]
                right.errorbar(
                    difference.difference, row, xerr=error, fmt="o", color=colour, capsize=4
                )
        left.set_yticks(range(len(names)), labels=names)
        left.set_ylim(len(names) - 0.5, -0.5)
        low, high = left.get_xlim()
        left.set_xlim(max(low, -0.02), min(high, 1.02))
        left.set_xlabel("test accuracy: seeds, mean, 95 % interval")
        left.xaxis.set_major_formatter(PercentFormatter(1.0))
        right.axvline(0, color=INK, linewidth=1)
        right.set_xlabel(f"{findings.reference} minus the other, points")
        right.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        return figure


def _seeds_and_mean(axes: Axes, row: int, learner: LearnerResult) -> None:
    test = learner.test
    if test is None:
        return
    colour = STYLES[row % len(STYLES)][0]
    values = learner.each("test_accuracy")
    spread = row + np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else [row]
    axes.plot(values, spread, "o", color=colour, alpha=0.45, markersize=4)
    error = [[test.value - test.low], [test.high - test.value]]
    axes.errorbar(test.value, row, xerr=error, fmt="|", color=colour, capsize=5, markersize=16)


def costs(findings: ComparisonFindings) -> Figure:
    """Bars of the time of a step, time to the end, peak memory and synaptic operations."""
    shown = [
        ("step_s", "step, ms", 1e3),
        ("train_s", "training, s", 1.0),
        ("peak_bytes", "peak memory, MiB", 2.0**-20),
        ("synaptic_operations", "synaptic operations, thousands", 1e-3),
    ]
    learners = [learner for learner in findings.learners if learner.measured]
    with style(**{"axes.grid.axis": "x"}):
        height = 2 * (0.3 * len(learners) + 0.6)
        figure = new_figure(WIDTH, height)
        panels = figure.subplots(2, 2, sharey=True)
        for axes, (key, title, unit) in zip(panels.ravel(), shown, strict=True):
            _bars(axes, [_middle(learner, key) * unit for learner in learners])
            axes.set_title(title)
        for axes in panels[:, 0]:
            axes.set_yticks(range(len(learners)), labels=[learner.name for learner in learners])
        panels[0, 0].set_ylim(len(learners) - 0.4, -0.6)
        return figure


def _middle(learner: LearnerResult, key: str) -> float:
    values = learner.each(key)
    return statistics.median(values) if values else float("nan")


def _bars(axes: Axes, values: Sequence[float]) -> None:
    """Draw a bar for each value, with its number; none where the value is not known."""
    known = [(row, value) for row, value in enumerate(values) if not np.isnan(value)]
    bars = axes.barh(
        [row for row, _ in known],
        [value for _, value in known],
        height=0.6,
        color=[STYLES[row % len(STYLES)][0] for row, _ in known],
    )
    axes.bar_label(bars, [f"{value:,.3g}" for _, value in known], padding=3, fontsize=8)
    axes.set_axisbelow(True)
    axes.margins(x=0.25)
    axes.xaxis.set_major_locator(MaxNLocator(4))
