"""The progress of a training: the numbers that a checkpoint keeps beside the tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from lfp_snn.learners import StepResult
from lfp_snn.training.evaluation import Evaluation

__all__ = ["Progress", "Totals", "firing_in", "firing_named", "tally"]


_FIRING = "firing of "


def firing_named(population: str) -> str:
    """The name of a population's firing rate in a tally."""
    return _FIRING + population


def tally(step: StepResult | None, labels: Tensor, populations: Iterable[str]) -> dict[str, float]:
    """The results of a step, summed over its samples, so that they can be summed over processes.

    Args:
        step: the result of the step; ``None`` where there were no samples.
        labels: the true classes of the samples.
        populations: the names of the units whose firing a step tells.
    """
    if step is None:
        none = dict.fromkeys(("samples", "correct", "ties", "reward"), 0.0)
        return {**none, **{firing_named(name): 0.0 for name in populations}}
    size = len(labels)
    return {
        "samples": size,
        "correct": int((step.classes == labels).sum()),
        "ties": int(step.ties.sum()),
        "reward": float(step.reward) * size,
        **{firing_named(name): float(rate) * size for name, rate in step.firing.items()},
    }


def firing_in(numbers: Mapping[str, float]) -> dict[str, float]:
    """The firing rates in a tally, times the number of its samples."""
    return {
        name.removeprefix(_FIRING): rate
        for name, rate in numbers.items()
        if name.startswith(_FIRING)
    }


@dataclass
class Totals:
    """Sums over the steps of the epoch under way, and the last learning rate used.

    ``skipped`` counts steps that were passed over, and which nothing else counts.
    """

    batches: int = 0
    samples: int = 0
    correct: int = 0
    ties: int = 0
    clipped: int = 0
    skipped: int = 0
    reward: float = 0.0
    norm: float = 0.0
    lr: float = 0.0
    seconds: float = 0.0
    firing: dict[str, float] = field(default_factory=dict)

    def add(self, step: Mapping[str, float], norm: float, clipped: bool) -> None:
        """Count one step, by its :func:`tally` and the norm of its feedback before clipping."""
        self.batches += 1
        self.samples += int(step["samples"])
        self.correct += int(step["correct"])
        self.ties += int(step["ties"])
        self.clipped += clipped
        self.reward += step["reward"]
        self.norm += norm
        for name, rate in firing_in(step).items():
            self.firing[name] = self.firing.get(name, 0.0) + rate

    def add_steps(self, sums: Mapping[str, float]) -> None:
        """Count steps that were summed up elsewhere, by the names of the sums here."""
        for name in ("batches", "samples", "correct", "ties", "clipped", "skipped"):
            setattr(self, name, getattr(self, name) + int(sums[name]))
        self.reward += sums["reward"]
        self.norm += sums["norm"]
        for name, rate in firing_in(sums).items():
            self.firing[name] = self.firing.get(name, 0.0) + rate

    @property
    def accuracy(self) -> float:
        """The share of samples read correctly, each before it was learnt from in this epoch."""
        return self.correct / self.samples

    @property
    def so_far(self) -> float:
        """The accuracy; 0 before the first sample."""
        return self.accuracy if self.samples else 0.0

    def means(self) -> dict[str, Any]:
        """The means over the samples (of norm and clipping: over the steps), as metrics name them.

        Steps that were passed over are counted and enter no mean.
        """
        return {
            "train_accuracy": self.accuracy,
            "train_ties": self.ties / self.samples,
            "reward": self.reward / self.samples,
            "feedback_norm": self.norm / self.batches,
            "clipped": self.clipped / self.batches,
            "skipped": self.skipped,
            "firing": {name: total / self.samples for name, total in self.firing.items()},
        }


@dataclass
class Progress:
    """The progress of a training.

    Attributes:
        epochs: the number of epochs of the learning rate's schedule; 0 in checkpoints that did not
            say.
        epoch: the number of epochs completed.
        batch: the number of batches done in the epoch under way.
        step: the number of optimizer steps done, those that were passed over included.
        skipped_in_a_row: the number of steps passed over since the last that was not.
        best_epoch: the epoch of the best validation so far, of equal ones the latest; the last
            epoch where nothing validates; 0 before there is one.
        best_accuracy: the accuracy of that epoch; -1 where there is none.
        best_error: the error of that epoch, where samples have targets and no classes.
        stale: the number of epochs since the last improvement.
        wall_s: the seconds since the start, over all sessions.
        train_s: the seconds of the completed epochs, their validation included.
        warnings: the warnings so far.
        totals: the sums of the epoch under way.
    """

    epochs: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    skipped_in_a_row: int = 0
    best_epoch: int = 0
    best_accuracy: float = -1.0
    best_error: float | None = None
    stale: int = 0
    wall_s: float = 0.0
    train_s: float = 0.0
    warnings: list[str] = field(default_factory=list)
    totals: Totals = field(default_factory=Totals)

    def judge(self, validation: Evaluation | None) -> bool:
        """Note how good the weights of the epoch are, and tell whether they are to be kept.

        A small validation set ties often. Of equally good weights, the ones that learnt longer are
        kept: the learning rate has come down, and the training samples are told apart more clearly.
        Where nothing validates, the weights of the last epoch are kept.
        """
        if validation is None:
            self.best_epoch = self.epoch
            return True
        if validation.error is None:
            before, now = self.best_accuracy, validation.accuracy
        else:
            before = -math.inf if self.best_error is None else -self.best_error
            now = -validation.error
        self.stale = 0 if now > before else self.stale + 1
        if now < before:
            return False
        self.best_epoch, self.best_error = self.epoch, validation.error
        if validation.error is None:
            self.best_accuracy = validation.accuracy
        return True

    @property
    def known_accuracy(self) -> float | None:
        """The validation accuracy of the weights that are kept, if there is any."""
        return None if self.best_accuracy < 0 else self.best_accuracy

    def to_json(self) -> dict[str, Any]:
        """The progress as plain numbers, texts, lists and dictionaries."""
        return asdict(self)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Progress:
        """Read the progress from :meth:`to_json`, number for number."""
        return cls(**{**state, "totals": Totals(**state["totals"])})
