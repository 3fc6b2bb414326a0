"""What a training tells while it runs; the command line and user code listen."""

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
    """Where the training stands after a step.

    Attributes:
        epoch: the epoch under way, from 1.
        batch: batches done of it.
        batches: batches of an epoch.
        step: optimizer steps done in all.
        steps: optimizer steps in all, if no early stop comes between.
        accuracy: training accuracy of this epoch so far.
    """

    epoch: int
    batch: int
    batches: int
    step: int
    steps: int
    accuracy: float


@dataclass(frozen=True)
class SampleSpikes:
    """What a network did with one sample.

    Attributes:
        spikes: bool ``[T, units]`` by layer, in order, from the input (if it spikes) to the output.
        label: the true class.
        prediction: the class that was read.
    """

    spikes: Mapping[str, npt.NDArray[np.bool_]]
    label: int
    prediction: int


class Watched(Protocol):
    """What a training tells when it is asked, from within a hook; asking changes nothing.

    Attributes:
        metrics: one mapping for each epoch so far, of the sessions before a run was resumed too.
    """

    metrics: list[dict[str, Any]]

    @property
    def folder(self) -> Path | None:
        """The run directory, if there is one."""

    def weights(self) -> dict[str, Tensor]:
        """A copy of the weights as they are, on the CPU, by name."""

    def stop(self, reason: str) -> None:
        """End the training with the epoch under way, as if it had been the last one.

        Args:
            reason: a sentence, which is kept among the warnings.
        """

    def labels(self) -> dict[str, str]:
        """What to call each neuron module in a table, by its name: ``Leaky 512 (4)``."""

    def feedback_norms(self) -> dict[str, float]:
        """Norm of the last step's feedback of each layer, as the optimizer got it."""

    def firing(self) -> dict[str, float]:
        """Spikes per neuron and step of each neuron module, in the last batch."""

    def sample(self) -> SampleSpikes:
        """What the network does with the first validation sample."""


class Observer:
    """What other libraries call a callback: override what you want to hear of.

    Given to :func:`~lfp_snn.training.run.fit` as ``observers=[...]``. The hooks come in the order
    in which they stand here, ``stepped`` and ``epoch_ended`` again and again; ``warned`` and
    ``stopping`` may come at any time. In a training of several processes the first alone has
    observers. An exception raised here ends the training.

    Example::

        class Print(Observer):
            def epoch_ended(self, metrics):
                print(metrics["epoch"], metrics["val_accuracy"], metrics["firing"])
    """

    def attached(self, training: Watched) -> None:
        """Comes first: whom to ask for what the other hooks do not tell."""

    def started(self, report: StepReport) -> None:
        """Training begins, or goes on where ``report`` says."""

    def stepped(self, report: StepReport) -> None:
        """One more step was made."""

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        """An epoch was trained, validated and saved; ``metrics`` is its line in metrics.jsonl.

        It has ``epoch``, ``step``, ``lr``, ``train_accuracy``, ``train_ties``, ``reward``,
        ``feedback_norm``, ``clipped``, ``skipped``, ``firing`` (by layer), ``val_accuracy``,
        ``val_ties``, ``epoch_s`` and ``wall_s``; where nothing validates, ``None`` for it.
        """

    def testing(self) -> None:
        """Training is over, and the best weights are tested."""

    def warned(self, message: str) -> None:
        """Something looks wrong; each message comes once."""

    def stopping(self, signum: int) -> None:
        """A signal asked to stop; that is done after the step under way."""
