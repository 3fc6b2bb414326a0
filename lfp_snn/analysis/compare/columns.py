"""The columns of a comparison's summary."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lfp_snn.analysis.compare.findings import LearnerResult
from lfp_snn.analysis.study.report import mean_share
from lfp_snn.analysis.study.statistics import mean

__all__ = ["COLUMNS", "Column"]


@dataclass(frozen=True)
class Column:
    """A column of the summary.

    Args:
        title: the heading of the column.
        help: a phrase that says what it counts.
        text: a function that gives its entry for a learner, empty if it is not known.
    """

    title: str
    help: str
    text: Callable[[LearnerResult], str | None]


def _median(key: str, shown: Callable[[float], str]) -> Callable[[LearnerResult], str | None]:
    def text(learner: LearnerResult) -> str | None:
        values = learner.each(key)
        return shown(statistics.median(values)) if values else None

    return text


def _share_and_gini(key: str) -> Callable[[LearnerResult], str | None]:
    def text(learner: LearnerResult) -> str | None:
        zeros, ginis = learner.each(f"{key}.zeros"), learner.each(f"{key}.gini")
        if not zeros:
            return None
        return f"{statistics.median(ginis):.2f}; {statistics.median(zeros):.0%}"

    return text


def _test(learner: LearnerResult) -> str | None:
    if learner.test is None:
        return None
    return mean_share(learner.test) if learner.test.seeds > 1 else f"{learner.test.value:.1%}"


#: The summary; medians over the seeds but for the accuracies.
COLUMNS: Sequence[Column] = (
    Column("test accuracy", "mean over the seeds with its 95 % interval (Student's t)", _test),
    Column(
        "validation",
        "of the weights that were kept, mean",
        lambda each: f"{mean(v).value:.1%}" if (v := each.each("val_accuracy")) else None,
    ),
    Column(
        "training, s",
        "the epochs, validation included",
        _median("train_s", lambda s: f"{s:.1f}"),
    ),
    Column(
        "step, ms",
        "feedback and optimizer on one batch, after training",
        _median("step_s", lambda s: f"{1e3 * s:.1f}"),
    ),
    Column(
        "peak, MiB",
        "most memory of the process above what it held before training, libraries loaded on the "
        "way included",
        _median("peak_bytes", lambda b: f"{b / 2**20:.0f}"),
    ),
    Column(
        "epochs to 0.9 of own best",
        "the first whose validation accuracy is nine tenths of the run's best, whatever that is",
        _median("epochs_to_90", lambda n: f"{n:g}"),
    ),
    Column(
        "spikes",
        "of all neurons, for one test sample",
        _median("spikes", lambda n: f"{n:,.0f}"),
    ),
    Column(
        "synaptic operations",
        "weights added for one test sample, a proxy of energy; beside it the share of those that a "
        "network without zeros would take",
        lambda each: (
            f"{statistics.median(ops):,.0f} "
            f"({statistics.median(ops) / statistics.median(each.each('dense_operations')):.1%})"
            if (ops := each.each("synaptic_operations"))
            else None
        ),
    ),
    Column("weights: Gini; zeros", "of the trained weights", _share_and_gini("weights")),
    Column(
        "updates: Gini; zeros",
        "of the gradient of one batch, after training",
        _share_and_gini("updates"),
    ),
)
