"""What a network did, and what a class is read from at each step: spikes or values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lfp_snn.lif import running
from lfp_snn.rewards import Prediction
from lfp_snn.rewards.base import Output
from lfp_snn.rewards.given import own_steps

__all__ = ["Outputs", "evidence", "said"]

#: What is said of a score, by what the network ends in.
SAID = {"spikes": "{} spikes", "values": "value {}"}


@dataclass(frozen=True)
class Outputs:
    """The outputs of a network for a batch.

    Attributes:
        spikes: the output spikes ``[T, B, C]``, or values where there are no neurons.
        membranes: the output membranes ``[T, B, C]``.
        prediction: the classes that were read.
        evidence: what each class is read from at each step ``[T, B, C]``, see :func:`evidence`.
        emits: what the network ends in, ``spikes`` or ``values``.
    """

    spikes: Tensor
    membranes: Tensor
    prediction: Prediction
    evidence: Tensor
    emits: Output = "spikes"

    @property
    def scores(self) -> Tensor:
        """The evidence for each class over all steps, ``[B, C]``: of spikes, their number."""
        return self.evidence.sum(0)

    @property
    def shares(self) -> Tensor:
        r"""The share of each class in what the outputs say, ``[B, C]``.

        Of spikes :math:`n_k / \sum_c n_c`, zero where there are none; of values, which have any
        sign, the softmax of the scores.
        """
        if self.emits != "spikes":
            return torch.softmax(self.scores, 1)
        total = self.scores.sum(1, keepdim=True)
        return self.scores / total.masked_fill(total == 0, 1)

    @property
    def speaks(self) -> Tensor:
        """Whether the outputs say anything, bool ``[B]``: spikes may be missing."""
        anything = self.scores.sum(1) > 0
        return anything if self.emits == "spikes" else torch.ones_like(anything)


def evidence(spikes: Tensor, lengths: Tensor | None, emits: Output) -> Tensor:
    """What each class is read from at each step ``[T, B, C]``; its sum over T is the score.

    Of spikes, the spikes themselves; of values, the value of each step over the number of steps.

    Args:
        spikes: the output spikes or values ``[T, B, C]``.
        lengths: the number of steps of each sample ``[B]``; ``None`` if all have T.
        emits: what the network ends in.
    """
    if emits == "spikes":
        return spikes
    steps = own_steps(spikes, lengths)  # [B, 1]
    return spikes * running(steps[:, 0], len(spikes), 3) / steps


def said(score: float, emits: Output) -> str:
    """A score in words: ``12 spikes`` or ``value 2.10``.

    A mean over several copies of a sample, or over voters, has digits behind the point.
    """
    number = f"{score:g}" if float(score).is_integer() else f"{score:.2f}"
    return SAID[emits].format(number)
