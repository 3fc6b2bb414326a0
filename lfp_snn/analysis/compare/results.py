"""What came out of a comparison: tables, and what may be concluded from them, in words."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lfp_snn.analysis.compare.cells import Cell
from lfp_snn.analysis.compare.measures import seconds_to
from lfp_snn.analysis.compare.plan import Comparison
from lfp_snn.analysis.compare.run import State
from lfp_snn.analysis.compare.statistics import Mean, Paired, holm, mean, paired

__all__ = ["COLUMNS", "Column", "LearnerResult", "Results", "concluded", "gather"]

ALPHA = 0.05


@dataclass(frozen=True)
class LearnerResult:
    """The finished cells of a learner.

    Attributes:
        name: in the comparison.
        values: what the search found.
        tuned: validation accuracy of the best trial; ``None`` if nothing was searched.
        trials: how many were spent.
        cells: figures of each finished seed, in the order of the seeds.
        histories: metrics of the epochs of each, in the same order.
        failed: why seeds or trials failed.
    """

    name: str
    values: Mapping[str, Any]
    tuned: float | None
    trials: int
    cells: Sequence[Mapping[str, Any]]
    histories: Sequence[Sequence[Mapping[str, Any]]]
    failed: Mapping[str, str]

    def each(self, key: str) -> list[Any]:
        """A figure of every cell; dots lead into mappings. Missing ones are left out."""
        values = []
        for cell in self.cells:
            value: Any = cell
            for part in key.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None:
                values.append(value)
        return values

    @property
    def test(self) -> Mean | None:
        """Test accuracy; ``None`` before a seed has finished."""
        values = self.each("test_accuracy")
        return mean(values) if values else None

    def seconds_to(self, accuracy: float) -> list[float | None]:
        """Training time of each seed until it reached a validation accuracy."""
        return [seconds_to(history, accuracy) for history in self.histories]


@dataclass(frozen=True)
class Results:
    """Everything that a report needs.

    Attributes:
        learners: in the order of the config.
        differences: test accuracy of the reference minus that of each other learner, over the seeds
            that both have finished; without those that share fewer than two.
        reference: name of the reference.
        target: validation accuracy to which time is told.
        seeds: those asked for.
        machine: what it ran on, and how.
        data: name, source and sizes of the data.
    """

    learners: Sequence[LearnerResult]
    differences: Mapping[str, Paired]
    reference: str
    target: float | None
    seeds: Sequence[int]
    machine: Mapping[str, Any]
    data: Mapping[str, Any]

    def learner(self, name: str) -> LearnerResult:
        """A learner by its name."""
        return next(each for each in self.learners if each.name == name)

    @property
    def tested(self) -> int | None:
        """Size of the test part."""
        return next(
            (each.cells[0]["samples"]["test"] for each in self.learners if each.cells), None
        )

    def same_start(self) -> bool:
        """Whether the learners began with the same weights, seed by seed."""
        starts: dict[int, set[str]] = {}
        for learner in self.learners:
            for cell in learner.cells:
                starts.setdefault(cell["seed"], set()).add(cell["initial_weights"])
        return all(len(each) == 1 for each in starts.values())

    def to_json(self) -> dict[str, Any]:
        """As plain numbers, texts, lists and mappings."""
        return {
            "reference": self.reference,
            "target": self.target,
            "seeds": list(self.seeds),
            "machine": dict(self.machine),
            "data": dict(self.data),
            "same_start": self.same_start(),
            "learners": {each.name: _learner_json(each, self.target) for each in self.learners},
            "differences": {name: asdict(each) for name, each in self.differences.items()},
            "conclusions": list(self.conclusions()),
        }

    def cells_csv(self) -> str:
        """A line a cell."""
        rows = [_flat(cell) for learner in self.learners for cell in learner.cells]
        file = io.StringIO()
        keys = list(dict.fromkeys(key for row in rows for key in row))
        writer = csv.DictWriter(file, keys, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return file.getvalue()

    def conclusions(self) -> Iterator[str]:
        """What may and may not be concluded, a sentence or two each."""
        for name, difference in self.differences.items():
            yield concluded(self.reference, name, difference)
        for learner in self.learners:
            if learner.name != self.reference and learner.name not in self.differences:
                yield (
                    f"Nothing can be said of {self.reference} and {learner.name}: they share fewer "
                    f"than two finished seeds."
                )
        yield from self._limits()

    def _limits(self) -> Iterator[str]:
        if self.tested and self.learners:
            best = max((e.test.value for e in self.learners if e.test), default=0.0)
            error = math.sqrt(max(best * (1 - best), 0.0) / self.tested)
            yield (
                f"The intervals are over {len(self.seeds)} seeds, which vary initial weights and "
                f"the order of samples, on one fixed split. They hold for this split: its "
                f"{self.tested} test samples alone leave each accuracy a standard error of about "
                f"{100 * error:.1f} points as an estimate for new recordings."
            )
        yield (
            "Each learner had the same number of search trials on validation data, not the same "
            "computing time; a wider search could change any of the figures. Nothing is said of "
            "other networks or data."
        )
        if not self.same_start():
            yield "The learners did NOT start from the same weights; the pairs are loose."


def gather(
    comparison: Comparison,
    states: Mapping[str, State],
    cells: Mapping[str, Sequence[Cell]],
    machine: Mapping[str, Any],
    data: Mapping[str, Any],
) -> Results:
    """Read back what the cells of each learner have written."""
    learners = []
    for name, state in states.items():
        finished = [cell for cell in cells[name] if cell.finished]
        learners.append(
            LearnerResult(
                name,
                state.values,
                state.best,
                state.trials[0],
                [cell.figures() for cell in finished],
                [cell.run.read_metrics() for cell in finished],
                state.failed,
            )
        )
    seeds = [cell.seed for cell in next(iter(cells.values()), ())]
    differences = _differences(learners, comparison.reference)
    return Results(
        learners, differences, comparison.reference, comparison.target, seeds, machine, data
    )


def _differences(learners: Sequence[LearnerResult], reference: str) -> dict[str, Paired]:
    by_seed = {
        each.name: {cell["seed"]: cell["test_accuracy"] for cell in each.cells} for each in learners
    }
    found = {}
    for name, accuracies in by_seed.items():
        common = [seed for seed in by_seed[reference] if seed in accuracies]
        if name != reference and len(common) > 1:
            ours = [by_seed[reference][seed] for seed in common]
            found[name] = paired(ours, [accuracies[seed] for seed in common])
    adjusted = holm([each.p for each in found.values()])
    return {
        name: replace(each, adjusted=p)
        for (name, each), p in zip(found.items(), adjusted, strict=True)
    }


def concluded(reference: str, name: str, difference: Paired, what: str = "test accuracy") -> str:
    """What a paired difference of two learners in a share (``what``) allows to say."""
    ahead = difference.adjusted < ALPHA
    sign = -1 if ahead and difference.difference < 0 else 1  # of who is ahead minus who is behind
    low, high = sorted((sign * 100 * difference.low, sign * 100 * difference.high))
    interval = f"95 % interval {low:+.1f} to {high:+.1f} points, of {difference.seeds} seeds"
    p = f"p = {difference.adjusted:.2g} after Holm's correction"
    mean_points = 100 * difference.difference
    if ahead:
        first, second = (reference, name) if mean_points > 0 else (name, reference)
        return (
            f"{first} is ahead of {second} in {what} by {abs(mean_points):.1f} points "
            f"({interval}; {p}): on this split the difference is more than chance of the seeds."
        )
    return (
        f"No difference in {what} between {reference} and {name} is shown: "
        f"{mean_points:+.1f} points ({interval}, not corrected; {p}). That does not make them "
        f"equal: differences within the interval remain possible."
    )


def _learner_json(learner: LearnerResult, target: float | None) -> dict[str, Any]:
    return {
        "values": dict(learner.values),
        "tuned_val_accuracy": learner.tuned,
        "trials": learner.trials,
        "test_accuracy": asdict(learner.test) if learner.test else None,
        "seconds_to_target": learner.seconds_to(target) if target else None,
        "cells": [dict(cell) for cell in learner.cells],
        "failed": dict(learner.failed),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@dataclass(frozen=True)
class Column:
    """A column of the summary.

    Args:
        title: its heading.
        help: what it counts.
        text: its entry for a learner, or nothing if it is not known.
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
    test = learner.test
    # The interval of a few seeds may reach beyond what an accuracy can be.
    return f"{test.value:.1%} ({max(test.low, 0):.1%} to {min(test.high, 1):.1%})"


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
