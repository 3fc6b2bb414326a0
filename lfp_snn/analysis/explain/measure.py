"""Faithfulness of the explanations of a run, as one table and one figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lfp_snn.analysis.explain.attribute import Explainer
from lfp_snn.analysis.explain.faithfulness import (
    Curves,
    Interval,
    flip,
    interval,
    scores_by_method,
    stability,
)
from lfp_snn.analysis.explain.target import OfOutputs
from lfp_snn.analysis.style import COLOURS, INK, WIDTH, new_figure, style
from lfp_snn.data import Batch

__all__ = ["JITTER", "Faithfulness", "figure_of_curves", "measure"]

JITTER = 1.0  # steps


@dataclass(frozen=True)
class Faithfulness:
    """The faithfulness of explanations: what removing entries did, by method.

    Attributes:
        samples: the number of recordings that were measured.
        curves: the curves by the name of the method.
        conservation_error: the share of relevance that was lost on the way.
        stability: the correlation of the pixels' relevance with that of jittered events; None where
            no recording has one, since all of its pixels have the same relevance.
    """

    samples: int
    curves: Mapping[str, Curves]
    conservation_error: float
    stability: Interval | None

    @property
    def areas(self) -> dict[str, Interval]:
        """The area between the curves of the class's share of the output."""
        return {name: interval(each.areas) for name, each in self.curves.items()}

    @property
    def areas_of_accuracy(self) -> dict[str, Interval]:
        """The area between the curves of accuracy."""
        return {name: interval(each.areas_of_accuracy) for name, each in self.curves.items()}

    def to_json(self) -> dict[str, Any]:
        """The intervals and mean curves, as JSON takes them."""
        return {
            "samples": self.samples,
            "conservation_error": self.conservation_error,
            "stability": None if self.stability is None else asdict(self.stability),
            "areas": {name: asdict(each) for name, each in self.areas.items()},
            "areas_of_accuracy": {n: asdict(each) for n, each in self.areas_of_accuracy.items()},
            "curves": {
                name: {
                    "shares": list(each.shares),
                    **{
                        what: getattr(each, what).mean(1).tolist()
                        for what in ("most", "least", "right_most", "right_least")
                    },
                }
                for name, each in self.curves.items()
            },
        }


def measure(
    explainer: Explainer,
    batch: Batch,
    target: OfOutputs,
    seed: int = 0,
    done: Callable[[float], object] = lambda share: None,
) -> Faithfulness:
    """Measure the faithfulness of explanations on a batch.

    Args:
        explainer: the explainer with network and rule.
        batch: a batch of spike trains, with labels.
        target: what is asked.
        seed: the seed of random orders and of jitter.
        done: a function that is told now and then which share of the work is done.

    Raises:
        DataError: the input is constant over time.
    """
    scores, found = scores_by_method(explainer, batch, target, seed)
    parts = len(scores) + 2
    curves: dict[str, Curves] = {}
    for name, each in scores.items():
        done((len(curves) + 1) / parts)
        curves[name] = flip(explainer, batch, each, found.chosen, seed=seed)
    done((parts - 1) / parts)
    stable = stability(explainer, batch, target, JITTER, seed)
    known = np.isfinite(stable)
    return Faithfulness(
        len(batch),
        curves,
        found.conservation_error,
        interval(stable[known], seed) if known.any() else None,
    )


def figure_of_curves(runs: Sequence[Faithfulness]) -> Figure:
    """A figure of the class's share of the output, and accuracy, while entries are removed.

    Args:
        runs: the results of one or more runs, over which curves are averaged.
    """
    with style():
        figure = new_figure(WIDTH, 3.3)
        left, right = figure.subplots(1, 2)
        _curves(left, runs, "most", "least")
        left.set_ylabel("class's share of the output")
        _curves(right, runs, "right_most", "right_least")
        right.set_ylabel("accuracy")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=5, fontsize=8)
        figure.supxlabel(
            "active entries removed: the most relevant first (solid), the least first (dashed)",
            fontsize=9,
        )
        return figure


def _curves(axes: Axes, runs: Sequence[Faithfulness], most: str, least: str) -> None:
    for number, name in enumerate(runs[0].curves):
        colour = (*COLOURS, INK)[number]
        shares = runs[0].curves[name].shares
        for what, dash, label in ((most, "-", name), (least, "--", None)):
            mean = np.mean([getattr(run.curves[name], what).mean(1) for run in runs], axis=0)
            axes.plot(shares, mean, dash, color=colour, label=label, linewidth=1.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    axes.tick_params(labelsize=8)
