"""Plots of a convergence study, in the style of :mod:`lfp_snn.analysis.plots`."""

from __future__ import annotations

import warnings

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lfp_snn.analysis.convergence.findings import (
    FLOAT,
    CaseResult,
    ConvergenceFindings,
    known_mean,
)
from lfp_snn.analysis.style import INK, STYLES, WIDTH, new_figure, style

__all__ = ["alignment_by_depth", "alignment_over_steps", "reward_over_steps"]

#: Points along the steps at which rewards are drawn, each the mean of the steps before it.
POINTS = 40


def reward_over_steps(findings: ConvergenceFindings) -> Figure:
    """A plot of the reward of each step: panels are depths, lines are rules, bands over seeds."""
    with style():
        figure = new_figure(WIDTH, 2.8)
        panels = figure.subplots(1, len(findings.depths), sharey=True, squeeze=False)[0]
        for axes, depth in zip(panels, findings.depths, strict=True):
            for index, rule in enumerate(findings.rules):
                case = findings.case(rule, depth)
                if case is not None:
                    _rewards(axes, case, index)
            axes.set_title(depth)
            axes.set_ylim(bottom=0)
        panels[0].set_ylabel("reward handed out")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4)
        figure.supxlabel("step", fontsize=10)
        return figure


def _rewards(axes: Axes, case: CaseResult, index: int) -> None:
    colour, dash = STYLES[index % len(STYLES)]
    parts = np.array_split(np.arange(case.rewards.shape[1]), min(POINTS, case.rewards.shape[1]))
    steps = [part[-1] + 1 for part in parts]
    values = np.stack([case.rewards[:, part].mean(1) for part in parts], axis=1)
    axes.fill_between(steps, values.min(0), values.max(0), color=colour, alpha=0.15, linewidth=0)
    axes.plot(steps, values.mean(0), dash, color=colour, label=case.rule)


def alignment_over_steps(findings: ConvergenceFindings) -> Figure:
    """A plot of the cosine over steps: rows are rules, columns are depths, lines are layers."""
    rules, depths = findings.rules, findings.depths
    deepest = max(len(case.layers) for case in findings.finished)
    with style():
        figure = new_figure(WIDTH, 1.6 * len(rules) + 0.8)
        grid = figure.subplots(len(rules), len(depths), sharex=True, sharey=True, squeeze=False)
        for row, rule in zip(grid, rules, strict=True):
            for axes, depth in zip(row, depths, strict=True):
                case = findings.case(rule, depth)
                if case is not None:
                    for place in range(len(case.layers)):
                        _cosines(axes, case, place, deepest)
                axes.axhline(0, color=INK, linewidth=0.8)
            row[0].set_ylabel(rule)
        for axes, depth in zip(grid[0], depths, strict=True):
            axes.set_title(depth)
        lines = {
            text: line
            for axes in grid.flat
            for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            [lines[str(distance)] for distance in range(deepest)],
            [str(distance) for distance in range(deepest)],
            title="layers before the output",
            alignment="left",
            loc="outside upper left",
            ncols=deepest,
        )
        figure.supxlabel("step", fontsize=10)
        figure.supylabel(f"cosine with {findings.against}", fontsize=10)
        return figure


def _colour(distance: int, deepest: int) -> tuple[float, float, float, float]:
    """The colour of a layer, from the output (dark) to the layer that is farthest from it."""
    return colormaps["viridis"](0.85 * distance / max(deepest - 1, 1))


def _cosines(axes: Axes, case: CaseResult, place: int, deepest: int) -> None:
    distance = len(case.layers) - 1 - place
    values, colour = case.cosines[:, :, place], _colour(distance, deepest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a step at which no seed had an update
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    axes.fill_between(case.probed, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(case.probed, known_mean(values, axis=0), color=colour, linewidth=1.4, label=distance)


def alignment_by_depth(findings: ConvergenceFindings) -> Figure:
    """A plot of the cosine over the distance from the output, at start and end, by rule."""
    rules = findings.rules
    with style():
        figure = new_figure(WIDTH, 2.8)
        panels = figure.subplots(1, len(rules), sharex=True, sharey=True, squeeze=False)[0]
        for axes, rule in zip(panels, rules, strict=True):
            for index, depth in enumerate(findings.depths):
                case = findings.case(rule, depth)
                if case is not None:
                    colour = STYLES[index % len(STYLES)][0]
                    _by_distance(axes, case.start, colour, "--", None)
                    _by_distance(axes, case.end, colour, "-", depth)
            axes.axhline(0, color=INK, linewidth=0.8)
            axes.set_title(rule)
        panels[0].xaxis.get_major_locator().set_params(integer=True)
        panels[0].set_ylabel(f"cosine with {findings.against}")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4)
        figure.supxlabel("layers before the output (start dashed, end solid)", fontsize=10)
        return figure


def _by_distance(axes: Axes, values: FLOAT, colour: str, dash: str, label: str | None) -> None:
    """The mean and spread over the seeds of ``[seeds, layers]``, the output first."""
    values = values[:, ::-1]
    places = np.arange(values.shape[1])
    middle = known_mean(values, axis=0)
    axes.plot(places, middle, dash, color=colour, marker="o", markersize=3, label=label)
    for seed in values:
        axes.plot(places, seed, ".", color=colour, alpha=0.35, markersize=3)
