"""Observers of a training, which are told of it while it runs: the command line, and user code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

__all__ = ["Observer", "SampleSpikes", "StepReport", "Watched"]


@dataclass(frozen=True)
class StepReport:
    """The position of a training after a step.

    Attributes:
        epoch: the epoch under way, from 1.
        batch: the number of batches done in this epoch.
        batches: the number of batches of an epoch.
        step: the number of optimizer steps done in all.
        steps: the number of optimizer steps in all, if no early stop comes between.
        accuracy: the training accuracy of this epoch so far.
    """

    epoch: int
    batch: int
    batches: int
    step: int
    steps: int
    accuracy: float


@dataclass(frozen=True)
class SampleSpikes:
    """The spikes of a network for one sample, and what was read from them.

    Attributes:
        spikes: the spikes, bool ``[T, units]``, by layer, in order from the input (if it spikes) to
            the output.
        label: the true class.
        prediction: the class that was read.
    """

    spikes: Mapping[str, npt.NDArray[np.bool_]]
    label: int
    prediction: int


class Watched(Protocol):
    """The training that an observer may ask from within a hook; asking changes nothing.

    Attributes:
        metrics: one mapping for each epoch so far, those before a run was resumed included.
    """

    metrics: list[dict[str, Any]]

    @property
    def folder(self) -> Path | None:
        """The run directory, if there is one."""

    def weights(self) -> dict[str, Tensor]:
        """A copy of the present weights, on the CPU, by name."""

    def stop(self, reason: str) -> None:
        """End the training with the epoch under way, as if it had been the last one.

        Args:
            reason: a sentence, which is kept among the warnings.
        """

    def labels(self) -> dict[str, str]:
        """The labels of the neuron modules for tables, by name, such as ``Leaky 512 (4)``."""

    def feedback_norms(self) -> dict[str, float]:
        """The norm of each layer's feedback in the last step, as the optimizer got it."""

    def firing(self) -> dict[str, float]:
        """The spikes per neuron and step of each neuron module, in the last batch."""

    def sample(self) -> SampleSpikes:
        """The spikes of the network for the first validation sample."""


class Observer:
    """Base of observers, which other libraries call callbacks: override the hooks that you want.

    Observers are given to :func:`~lfp_snn.training.run.fit` as ``observers=[...]``. The hooks come
    in the order in which they stand here, ``stepped`` and ``epoch_ended`` again and again;
    ``warned`` and ``stopping`` may come at any time. In a training of several processes the first
    alone has observers. An exception raised in a hook ends the training.

    Example::

        class Print(Observer):
            def epoch_ended(self, metrics):
                print(metrics["epoch"], metrics["val_accuracy"], metrics["firing"])
    """

    def attached(self, training: Watched) -> None:
        """The first hook: ``training`` can be asked for what the other hooks do not tell."""

    def started(self, report: StepReport) -> None:
        """Hook for the start of training, or for going on where ``report`` says."""

    def stepped(self, report: StepReport) -> None:
        """Hook after each step."""

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        """Hook after an epoch was trained, validated and saved.

        ``metrics`` is the epoch's line in metrics.jsonl. It has ``epoch``, ``step``, ``lr``,
        ``train_accuracy``, ``train_ties``, ``reward``, ``feedback_norm``, ``clipped``, ``skipped``,
        ``firing`` (by layer), ``val_accuracy``, ``val_ties``, ``epoch_s`` and ``wall_s``. Where
        nothing validates, ``val_accuracy`` and ``val_ties`` are ``None``.
        """

    def testing(self) -> None:
        """Hook after the last epoch, before the best weights are tested."""

    def warned(self, message: str) -> None:
        """Hook for a warning; each message comes once."""

    def stopping(self, signum: int) -> None:
        """Hook for a signal that asks to stop; training stops after the step under way."""
