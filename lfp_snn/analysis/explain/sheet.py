"""Sheets about a whole split: mean relevance of each class, and mistakes with the reason."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lfp_snn.analysis.explain.explanation import FLOAT, Explanation
from lfp_snn.analysis.explain.outputs import said
from lfp_snn.analysis.explain.pictures import PLAIN, picture, reach
from lfp_snn.analysis.style import WIDTH, new_figure, style
from lfp_snn.training.files import write_atomic

__all__ = [
    "Mistake",
    "class_means",
    "means_figure",
    "mistakes",
    "mistakes_figure",
    "write_means",
    "write_rows",
]

COLUMNS = 5
STRETCHES = ("first", "second", "last")


@dataclass(frozen=True)
class Mistake:
    """A sample that was misread.

    Attributes:
        read: the explanation of the class that was read.
        true: the explanation of the true class.
    """

    read: Explanation
    true: Explanation

    @property
    def confidence(self) -> float:
        """The lead of the class that was read over the true one, of their shares."""
        shares = self.read.shares
        return float(shares[self.read.prediction] - shares[self.read.label])

    @property
    def lead(self) -> FLOAT:
        """The relevance for the class read minus that for the true one, ``[T, H, W]``."""
        lead: FLOAT = (self.read.relevance - self.true.relevance).sum(1)
        return lead

    @property
    def reason(self) -> str:
        """Reason in words: scores of both classes; where and when the wrong one's relevance won."""
        read = self.read
        names = read.classes[read.prediction], read.classes[read.label]
        active = read.inputs.sum((0, 1)) > 0
        won = (self.lead.sum(0) > 0)[active].mean()
        by_time = [part.sum() for part in np.array_split(self.lead, len(STRETCHES))]
        when = STRETCHES[int(np.argmax(by_time))]
        scores = (said(read.scores[each], read.emits) for each in (read.prediction, read.label))
        own = ", ".join(f"{name}: {each}" for name, each in zip(names, scores, strict=True))
        ahead = f"{names[0]} ahead on {won:.0%} of pixels"
        return f"{own}\n{ahead}" if read.constant else f"{own}\n{ahead},\nmost in the {when} third"


def class_means(explanations: Sequence[Explanation]) -> dict[int, tuple[FLOAT, int]]:
    """The mean relevance ``[P, H, W]`` of each class, over samples read rightly, and their number.

    Args:
        explanations: the explanations, each of the class that was read.
    """
    found = {}
    for number in sorted({each.label for each in explanations if each.label >= 0}):
        own = [
            each.relevance.sum(0)
            for each in explanations
            if each.label == number == each.prediction
        ]
        if own:
            found[number] = np.mean(own, axis=0), len(own)
    return found


def write_means(means: dict[int, tuple[FLOAT, int]], classes: Sequence[str], path: Path) -> None:
    """Write the means as NPZ: ``mean/<class>`` ``[P, H, W]`` and ``samples/<class>``.

    Raises:
        RunError: the file cannot be written.
    """
    arrays: dict[str, Any] = {}
    for number, (mean, count) in means.items():
        arrays[f"mean/{classes[number]}"] = mean
        arrays[f"samples/{classes[number]}"] = count
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomic(path, content.getvalue())


def means_figure(means: dict[int, tuple[FLOAT, int]], classes: Sequence[str]) -> Figure:
    """A figure with one map for each class, on a common scale."""
    rows = max(1, -(-len(means) // COLUMNS))
    half = reach(np.stack([mean.sum(0) for mean, _ in means.values()])) if means else 1.0
    with style(**PLAIN):
        side = (WIDTH - 0.9) / COLUMNS
        figure = new_figure(WIDTH, rows * (side + 0.3) + 0.35)
        panels = figure.subplots(rows, COLUMNS, squeeze=False)
        image = None
        for axes, (number, (mean, count)) in zip(panels.flat, means.items(), strict=False):
            image = picture(axes, mean.sum(0), half)
            axes.set_title(f"{classes[number]}  (n = {count})", fontsize=8)
        for axes in panels.flat[len(means) :]:
            axes.set_axis_off()
        if image is not None:
            bar = figure.colorbar(image, ax=panels, label="mean relevance", aspect=25, pad=0.01)
            bar.ax.tick_params(labelsize=7)
        figure.suptitle(
            "relevance for the class, mean over the samples read rightly",
            x=0.01, ha="left", fontsize=10,
        )  # fmt: skip
        return figure


def mistakes(
    read: Sequence[Explanation], true: Sequence[Explanation], most: int = 6
) -> list[Mistake]:
    """The most confident mistakes, the worst first.

    Args:
        read: the explanations of samples for the class that was read.
        true: the explanations of these samples for the true class.
        most: the largest number of mistakes.
    """
    found = [
        Mistake(one, other)
        for one, other in zip(read, true, strict=True)
        if one.label >= 0 and one.label != one.prediction
    ]
    return sorted(found, key=lambda each: -each.confidence)[:most]


def mistakes_figure(found: Sequence[Mistake]) -> Figure:
    """A figure of mistakes: events, relevance for both classes, where the wrong one won, why."""
    side = 1.25
    with style(**PLAIN):
        figure = new_figure(WIDTH, len(found) * (side + 0.25) + 0.4)
        panels = figure.subplots(len(found), 5, squeeze=False, width_ratios=(1, 1, 1, 1, 1.35))
        for row, mistake in zip(panels, found, strict=True):
            read, true = mistake.read, mistake.true
            maps = read.relevance.sum((0, 1)), true.relevance.sum((0, 1))
            half = max(map(reach, maps))
            picture(row[0], read.inputs.sum((0, 1)), 1.0).set(
                cmap="Greys", clim=(0, float(read.inputs.sum((0, 1)).max()))
            )
            row[0].set_title(read.name[-18:], fontsize=7)
            titles = f"for {read.classes[read.prediction]}", f"for {read.classes[read.label]}"
            for axes, values, title in zip(row[1:3], maps, titles, strict=True):
                picture(axes, values, half)
                axes.set_title(title, fontsize=8)
            picture(row[3], maps[0] - maps[1], half)
            row[3].set_title("the one minus the other", fontsize=7)
            row[4].set_axis_off()
            row[4].text(0, 0.5, mistake.reason, va="center", fontsize=7.5)
        title = "the most confident mistakes: relevance for the class read and for the true one"
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        return figure


def write_rows(explanations: Sequence[Explanation], path: Path) -> None:
    """Write a CSV line for each sample: name, label, prediction, score, relevance in all.

    Raises:
        RunError: the file cannot be written.
    """
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(("sample", "label", "prediction", "score", "entered", "relevance"))
    for each in explanations:
        label = each.classes[each.label] if each.label >= 0 else ""
        numbers = float(each.scores[each.prediction]), each.entered, float(each.relevance.sum())
        writer.writerow((each.name, label, each.classes[each.prediction], *numbers))
    write_atomic(path, content.getvalue().encode())
