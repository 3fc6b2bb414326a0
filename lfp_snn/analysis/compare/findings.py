"""The findings of a comparison: tables, and what may be concluded from them, in words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from typing_extensions import override

from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.analysis.measures import seconds_to
from lfp_snn.analysis.study.findings import Findings, concluded, corrected, failure_lines
from lfp_snn.analysis.study.report import csv_text
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.session import Ended
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.analysis.study.statistics import Paired, SeedMean, mean, paired
from lfp_snn.training.configfile import read_mapping

__all__ = ["ComparisonFindings", "LearnerResult", "gather"]

#: What summary.csv has the medians of, by the dotted names of cells.csv.
MEDIANS = (
    "val_accuracy",
    "train_s",
    "step_s",
    "peak_bytes",
    "epochs_to_90",
    "spikes",
    "synaptic_operations",
    "dense_operations",
    "weights.gini",
    "weights.zeros",
    "updates.gini",
    "updates.zeros",
)

#: What of a config is a setting of a learner.
SETTINGS = (
    "epochs",
    "batch_size",
    "optimizer",
    "schedule",
    "clip",
    "ema",
    "patience",
    "calibrate",
    "learner",
)


@dataclass(frozen=True)
class LearnerResult:
    """The finished seeds of a learner.

    Attributes:
        name: the name of the learner in the comparison.
        settings: the settings that it was trained with, nested as in a config; those that the
            search found are among them.
        values: the values that the search found, by dotted key.
        tuned: the validation accuracy of the best trial; ``None`` if nothing was searched.
        trials: the number of trials that were spent.
        trial_epochs: the epochs of a trial.
        measured: the measurements on each finished seed, in the order of the seeds.
        histories: the metrics of the epochs of each finished seed, in the same order.
        failed: the reasons why seeds or trials failed.
    """

    name: str
    settings: Mapping[str, Any]
    values: Mapping[str, Any]
    tuned: float | None
    trials: int
    trial_epochs: int
    measured: Sequence[Mapping[str, Any]]
    histories: Sequence[Sequence[Mapping[str, Any]]]
    failed: Mapping[str, str]

    def each(self, key: str) -> list[Any]:
        """One number of every seed, by its dotted name; missing ones are left out."""
        values = []
        for each in self.measured:
            value: Any = each
            for part in key.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None:
                values.append(value)
        return values

    @property
    def test(self) -> SeedMean | None:
        """The test accuracy over the seeds; ``None`` before a seed has finished."""
        values = self.each("test_accuracy")
        return mean(values) if values else None

    @property
    def validated(self) -> bool:
        """Whether every epoch of every seed was validated."""
        return all(
            epoch["val_accuracy"] is not None for history in self.histories for epoch in history
        )

    def seconds_to(self, accuracy: float) -> list[float | None]:
        """The training time of each seed until it reached a validation accuracy, in seconds."""
        return [seconds_to(history, accuracy) for history in self.histories]


@dataclass(frozen=True)
class ComparisonFindings(Findings):
    """The findings of a comparison: learners side by side, and their differences.

    Attributes:
        learners: the results of the learners, in the order of the config.
        differences: the test accuracy of the reference minus that of each other learner, over the
            seeds that both have finished; learners that share fewer than two are left out.
        reference: the name of the reference.
        target: the validation accuracy to which the training time is told.
        seeds: the seeds that were asked for.
        machine: the machine that it ran on, and how.
        data: the name, source and sizes of the data.
        command: the command that wrote the report.
    """

    learners: Sequence[LearnerResult]
    differences: Mapping[str, Paired]
    reference: str
    target: float | None
    seeds: Sequence[int]
    machine: Mapping[str, Any]
    data: Mapping[str, Any]
    command: str

    def learner(self, name: str) -> LearnerResult:
        """The result of a learner, by its name."""
        return next(each for each in self.learners if each.name == name)

    @property
    def tested(self) -> int | None:
        """The size of the test part."""
        return next(
            (each.measured[0]["samples"]["test"] for each in self.learners if each.measured), None
        )

    def same_start(self) -> bool:
        """Whether the learners began with the same weights, seed by seed."""
        starts: dict[int, set[str]] = {}
        for learner in self.learners:
            for each in learner.measured:
                starts.setdefault(each["seed"], set()).add(each["initial_weights"])
        return all(len(each) == 1 for each in starts.values())

    @property
    @override
    def failures(self) -> Sequence[str]:
        return failure_lines({learner.name: learner.failed for learner in self.learners})

    @override
    def to_json(self) -> dict[str, Any]:
        return {
            "command": self.command,
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
        """A CSV with a line for each seed of every learner, with everything that was measured."""
        rows = [_flat(each) for learner in self.learners for each in learner.measured]
        titles = list(dict.fromkeys(key for row in rows for key in row))
        return csv_text(titles, ([row.get(title, "") for title in titles] for row in rows))

    def summary_csv(self) -> str:
        """A CSV with a line for each learner and one number in each column, in units of SI or 1.

        The test accuracy is a mean with the ends of its interval, everything else a median over the
        seeds; what is not known is left empty.
        """
        rows = []
        for learner in self.learners:
            test = learner.test
            ends = ("", "", "") if test is None else (test.value, test.low, test.high)
            medians = (
                statistics.median(values) if (values := learner.each(key)) else ""
                for key in MEDIANS
            )
            rows.append([learner.name, len(learner.measured), *ends, *medians])
        titles = ("learner", "seeds", "test_accuracy", "test_accuracy_low", "test_accuracy_high")
        return csv_text([*titles, *MEDIANS], rows)

    @override
    def conclusions(self) -> Iterator[str]:
        if not self.searched:
            yield (
                "Nothing was searched: every learner has the settings of the config, which may "
                "suit one of them better than another."
            )
        for name, difference in self.differences.items():
            yield concluded(self.reference, name, difference)
        for learner in self.learners:
            if learner.name != self.reference and learner.name not in self.differences:
                yield (
                    f"Nothing can be said of {self.reference} and {learner.name}: they share fewer "
                    f"than two finished seeds."
                )
        yield from self._limits()

    @property
    def searched(self) -> bool:
        """Whether the settings of any learner were searched."""
        return any(each.trials for each in self.learners)

    def _search(self) -> str:
        """What the search may have left out, in words."""
        fixed = [each.name for each in self.learners if not each.trials]
        without = f", {' and '.join(fixed)} with nothing to search aside" if fixed else ""
        return (
            f"Each learner had the same number of search trials on validation data{without}, not "
            f"the same computing time; a wider search could change any of the figures."
        )

    def _limits(self) -> Iterator[str]:
        if self.tested and self.learners:
            best = max((e.test.value for e in self.learners if e.test), default=0.0)
            error = math.sqrt(max(best * (1 - best), 0.0) / self.tested)
            over = (
                f"The intervals are over {len(self.seeds)} seeds, which vary initial weights and "
                f"the order of samples, on one fixed split"
                if len(self.seeds) > 1
                else "One seed has no interval, and the split is one"
            )
            yield (
                f"{over}. The figures hold for this split: its {self.tested} test samples alone "
                f"leave each accuracy a standard error of about {100 * error:.1f} points as an "
                f"estimate for new recordings."
            )
        means = [each.test for each in self.learners if each.test]
        if any(each.low < 0 or each.high > 1 for each in means):
            yield "Intervals that reach beyond 0 or 100 % are shown up to there."
        if self.searched:
            yield self._search()
        yield "Nothing is said of other networks or data."
        if not all(learner.validated for learner in self.learners):
            yield "Where nothing validated, the weights of the last epoch were tested."
        if not self.same_start():
            yield "The learners did NOT start from the same weights; the pairs are loose."


def gather(study: ComparisonStudy, ended: Ended) -> ComparisonFindings:
    """Read back what was measured on every learner."""
    learners = []
    for arm in study.arms:
        name, state = arm.name, ended.states[arm.name]
        finished = ended.finished(name)
        learners.append(
            LearnerResult(
                name,
                _settings(arm, state.values, finished),
                state.values,
                state.best,
                state.trials[0],
                state.epochs[0],
                [run.measured() for run in finished],
                [run.run.read_metrics() for run in finished],
                state.failed,
            )
        )
    reference, target = study.options.reference, study.options.target
    differences = _differences(learners, reference)
    return ComparisonFindings(
        learners,
        differences,
        reference,
        target,
        ended.seeds,
        ended.machine,
        ended.data,
        ended.command,
    )


def _settings(arm: Arm, values: Mapping[str, Any], finished: Sequence[SeedRun]) -> dict[str, Any]:
    """The settings of a learner; data, network and seeds are those of all, and left out.

    What they leave to the network, such as the reward, is told as a run of it took it.
    """
    config = arm.config(values, 0).model_dump(mode="json")
    if finished and finished[0].run.config.is_file():
        config["learner"] = read_mapping(finished[0].run.config)["learner"]
    return {key: config[key] for key in SETTINGS}


def _differences(learners: Sequence[LearnerResult], reference: str) -> dict[str, Paired]:
    by_seed = {
        learner.name: {each["seed"]: each["test_accuracy"] for each in learner.measured}
        for learner in learners
    }
    found = {}
    for name, accuracies in by_seed.items():
        common = [seed for seed in by_seed[reference] if seed in accuracies]
        if name != reference and len(common) > 1:
            ours = [by_seed[reference][seed] for seed in common]
            found[name] = paired(ours, [accuracies[seed] for seed in common])
    return corrected(found)


def _learner_json(learner: LearnerResult, target: float | None) -> dict[str, Any]:
    return {
        "settings": dict(learner.settings),
        "values": dict(learner.values),
        "tuned_val_accuracy": learner.tuned,
        "trials": learner.trials,
        "test_accuracy": asdict(learner.test) if learner.test else None,
        "seconds_to_target": learner.seconds_to(target) if target else None,
        "cells": [dict(each) for each in learner.measured],
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
