"""Figures of one run: accuracy, firing rates, spikes of a sample, confusion of classes.

Every function returns a :class:`matplotlib.figure.Figure` that belongs to no global state and
needs no display, in the style of :mod:`lfp_snn.analysis.style`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from lfp_snn.analysis.style import COLOURS, INK, STYLES, WIDTH, new_figure, style
from lfp_snn.training.observer import SampleSpikes

__all__ = [
    "accuracy_curves",
    "confusion_matrix",
    "epoch_axis",
    "firing_rates",
    "sample_raster",
]

MOST_CLASSES_WITH_NUMBERS = 20
LONGEST_NAME = 24
#: Layers that a figure draws: as many as have a line of their own look.
MARKERS = "os"
MOST_LAYERS = len(MARKERS) * len(STYLES)


def _series(history: Sequence[Mapping[str, Any]], key: str) -> npt.NDArray[np.float64]:
    """The values of a key over the epochs; NaN (a gap in the line) where there is none."""
    values = (epoch.get(key) for epoch in history)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _drawn(layers: Sequence[str]) -> list[str]:
    """The layers that are drawn: all, or so many of them, from the first to the last."""
    if len(layers) <= MOST_LAYERS:
        return list(layers)
    last = len(layers) - 1
    return [layers[index * last // (MOST_LAYERS - 1)] for index in range(MOST_LAYERS)]


def epoch_axis(axes: Axes) -> None:
    """Set whole epochs along the x axis."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def accuracy_curves(
    history: Sequence[Mapping[str, Any]],
    best_epoch: int | None = None,
    baseline: float | None = None,
) -> Figure:
    """A figure of training and validation accuracy over the epochs.

    Args:
        history: one mapping for each epoch, with ``epoch``, ``train_accuracy`` and ``val_accuracy``
            in [0, 1].
        best_epoch: the epoch whose checkpoint was kept, which is marked.
        baseline: the test accuracy of the baseline in [0, 1], drawn as a level to compare with.
    """
    with style():
        figure = new_figure(WIDTH, 3.4)
        axes = figure.subplots()
        epochs = _series(history, "epoch")
        for key, label, (colour, dash), marker in (
            ("train_accuracy", "training", STYLES[1], "s"),
            ("val_accuracy", "validation", STYLES[0], "o"),
        ):
            values = _series(history, key)
            axes.plot(epochs, values, dash, color=colour, marker=marker, label=label)
        best = [epoch for epoch in history if epoch["epoch"] == best_epoch]
        if best and best[-1].get("val_accuracy") is not None:
            value = best[-1]["val_accuracy"]
            label = f"kept: epoch {best_epoch}, {value:.1%}"
            axes.plot(
                [best[-1]["epoch"]], [value], "*", color=INK, markersize=12, label=label, zorder=3
            )
        if baseline is not None:
            axes.axhline(baseline, color=INK, linestyle=":", linewidth=1.2, label="baseline (test)")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylabel("accuracy")
        epoch_axis(axes)
        figure.legend(loc="outside upper left", ncols=4)
        return figure


def error_curve(history: Sequence[Mapping[str, Any]]) -> Figure:
    """A figure of the validation error over the epochs.

    Args:
        history: one mapping for each epoch, with ``epoch`` and ``val_error``.
    """
    with style():
        figure = new_figure(WIDTH, 3.4)
        axes = figure.subplots()
        colour, dash = STYLES[0]
        values = _series(history, "val_error")
        axes.plot(_series(history, "epoch"), values, dash, color=colour, marker="o")
        axes.set_ylim(bottom=0)
        axes.set_ylabel("error")
        epoch_axis(axes)
        return figure


def firing_rates(history: Sequence[Mapping[str, Any]]) -> Figure:
    """A figure of the mean spikes per neuron and step of each layer over the epochs.

    Of more than 24 layers so many are drawn, evenly from the first to the last.

    Args:
        history: one mapping for each epoch, with ``epoch`` and ``firing``, a mapping from the name
            of the neuron module to its rate in [0, 1].
    """
    with style():
        names = list(dict.fromkeys(name for epoch in history for name in epoch.get("firing", {})))
        drawn = _drawn(names)
        figure = new_figure(WIDTH, max(3.0, 0.23 * len(drawn) + 0.5))  # the legend has a line each
        axes = figure.subplots()
        epochs = _series(history, "epoch")
        for index, name in enumerate(drawn):
            marker, (colour, dash) = MARKERS[index // len(STYLES)], STYLES[index % len(STYLES)]
            rates = _series([epoch.get("firing", {}) for epoch in history], name)
            axes.plot(epochs, rates, dash, color=colour, marker=marker, label=_short(name))
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_ylabel("neurons that spike in a step")
        epoch_axis(axes)
        if names:
            title = "layer" if drawn == names else f"{len(drawn)} of {len(names)} layers"
            figure.legend(loc="outside right upper", title=title, alignment="left")
        return figure


def sample_raster(sample: SampleSpikes, classes: Sequence[str] = ()) -> Figure:
    """A figure of every spike of one sample, a panel for each layer, from the input to the output.

    Of more than 24 layers so many are drawn, evenly from the first to the last.

    Args:
        sample: the spikes ``[T, units]`` of each layer; the last layer is the output.
        classes: the names of the output units; their numbers where there are none.
    """
    layers = _drawn(list(sample.spikes))
    outputs = sample.spikes[layers[-1]].shape[1]
    named = len(classes) == outputs <= MOST_CLASSES_WITH_NUMBERS
    heights = [1.3] * (len(layers) - 1) + [0.17 * outputs + 0.3 if named else 1.3]
    with style(**{"axes.grid": False}):
        figure = new_figure(WIDTH, sum(heights) + 1.2)
        rows = figure.subplots(
            len(heights), sharex=True, squeeze=False, height_ratios=heights
        ).ravel()
        for index, (axes, name) in enumerate(zip(rows, layers, strict=True)):
            title = name if name == "input" else f"layer {_short(name)}"
            colour = COLOURS[index % len(COLOURS)]
            _layer_panel(axes, title, sample.spikes[name], colour, heights[index])
        figure.suptitle(_verdict(sample, classes), x=0.01, ha="left", fontsize=11)
        if named:
            _name_outputs(rows[-1], sample, classes)
        rows[-1].set_xlabel("time step")
        rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        return figure


def _layer_panel(
    axes: Axes, name: str, spikes: npt.NDArray[np.bool_], colour: str, inches: float
) -> None:
    """Draw all spikes of a layer: bars as wide as a step and as high as a unit, but visible."""
    steps, units = spikes.shape
    when, which = np.nonzero(spikes)
    width = np.clip(0.75 * 72 * 0.85 * WIDTH / steps, 1.0, 14)  # points; labels take 15 %
    height = np.clip(0.6 * 72 * inches / units, 0.7, 5)
    axes.scatter(
        when, which, s=width**2, marker="_", linewidths=height, color=colour, rasterized=True
    )
    axes.set_xlim(-0.7, steps - 0.3)
    axes.set_ylim(units - 0.5, -0.5)
    if not len(when):  # an empty panel looks like a fault of the figure
        axes.text(0.5, 0.5, "no spikes", transform=axes.transAxes, ha="center", va="center")
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.set_ylabel("unit")
    axes.set_title(
        f"{name}: {len(when)} spikes, {spikes.mean():.1%} of {units} units x {steps} steps"
    )


def _verdict(sample: SampleSpikes, classes: Sequence[str]) -> str:
    def named(index: int) -> str:
        return _short(classes[index]) if 0 <= index < len(classes) else str(index)

    if sample.label < 0:
        return "targets, no class"
    right = "right" if sample.label == sample.prediction else "wrong"
    return f"class {named(sample.label)}, read as {named(sample.prediction)} ({right})"


def _name_outputs(axes: Axes, sample: SampleSpikes, classes: Sequence[str]) -> None:
    """Write class names on the left, spike counts on the right, and shade the true class."""
    axes.set_yticks(range(len(classes)), labels=[*map(_short, classes)], fontsize=8)
    axes.set_ylabel("class")
    if sample.label >= 0:
        axes.axhspan(sample.label - 0.5, sample.label + 0.5, color=INK, alpha=0.12, linewidth=0)
    counts = axes.secondary_yaxis("right")
    totals = list(sample.spikes.values())[-1].sum(0)
    counts.set_yticks(range(len(classes)), labels=[str(n) for n in totals], fontsize=8)
    counts.tick_params(length=0)
    counts.spines["right"].set_visible(False)
    counts.set_ylabel("spikes")


def confusion_matrix(counts: npt.ArrayLike, classes: Sequence[str] = ()) -> Figure:
    """A figure of the confusion matrix: how often each class (row) was read as each class (column).

    The colour is the share of the row, the number in a cell the count of samples.

    Args:
        counts: the counts ``[C, C]``.
        classes: the names of the classes; their numbers where there are none.
    """
    matrix = np.asarray(counts)
    number = len(matrix)
    names = [*map(_short, classes)] if len(classes) == number else [str(i) for i in range(number)]
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = float(np.clip(0.36 * number, 2.6, 6.0))
    turn = 90 if max(map(len, names), default=0) > 3 else 0
    step = -(-number // 40)  # beyond 40 classes not every name fits
    ticks = range(0, number, step)
    with style(**{"axes.grid": False}):
        figure = new_figure(side + 1.6, side + 0.8)
        axes = figure.subplots()
        # The root lets rare confusions show beside a full diagonal.
        image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
        axes.set_xticks(ticks, labels=names[::step], rotation=turn)
        axes.set_yticks(ticks, labels=names[::step])
        axes.set_xlabel("read as")
        axes.set_ylabel("true class")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if number <= MOST_CLASSES_WITH_NUMBERS:
            for row, column in np.argwhere(matrix):
                dark = shares[row, column] > 0.3
                axes.text(
                    column,
                    row,
                    str(matrix[row, column]),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
        bar = figure.colorbar(image, shrink=0.7, format=PercentFormatter(1.0))
        bar.set_ticks([0, 0.02, 0.1, 0.25, 0.5, 1])
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)
        return figure


def _short(name: str) -> str:
    """A name that is short enough to leave room for the data."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026"
