"""Targets of explanations: what is to be explained enters at the outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.analysis.explain.outputs import Outputs
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError
from lfp_snn.rewards import Reward

__all__ = [
    "Contrast",
    "OfClass",
    "OfLabel",
    "OfOutputs",
    "OfReward",
    "OfShare",
    "Target",
    "class_number",
]


class Target(ABC):
    """The base of targets, which say what is to be explained."""

    @abstractmethod
    def __call__(self, outputs: Outputs, batch: Batch) -> Tensor:
        """The relevance that enters at the outputs, ``[T, B, C]``."""

    @abstractmethod
    def chosen(self, outputs: Outputs, batch: Batch) -> Tensor:
        """The class that each sample is asked about, int64 ``[B]``."""

    @abstractmethod
    def text(self, classes: Sequence[str], chosen: int, against: int | None) -> str:
        """The question as text, for a title."""

    def against(self, outputs: Outputs, batch: Batch) -> Tensor | None:
        """The class that each sample's class is compared with, int64 ``[B]``, or None."""
        return None


@dataclass(frozen=True)
class OfOutputs(Target):
    r"""The target of what classes are read from, with a weight for each class.

    .. math:: R_{t,c} = a_c e_{t,c}

    where :math:`e_{t,c}` are the output spikes, and of values the values over T
    (:func:`~lfp_snn.analysis.explain.outputs.evidence`).

    Args:
        number: the number k of the class asked about; the class that was read if None.
    """

    number: int | None = None

    @abstractmethod
    def weights(self, outputs: Outputs, batch: Batch) -> Tensor:
        """The weights ``a``, ``[B, C]``."""

    @override
    def chosen(self, outputs: Outputs, batch: Batch) -> Tensor:
        read, outs = outputs.prediction.classes, outputs.spikes.shape[-1]
        if self.number is None:
            return read
        if not isinstance(self.number, int) or not 0 <= self.number < outs:
            raise ConfigError(
                f"The class asked about is {self.number!r}; expected its number, 0 to {outs - 1}."
            )
        return torch.full_like(read, self.number)

    @override
    def __call__(self, outputs: Outputs, batch: Batch) -> Tensor:
        return outputs.evidence * self.weights(outputs, batch)


@dataclass(frozen=True)
class OfClass(OfOutputs):
    r"""The target of a class's output: why did it spike?

    .. math:: R_{t,c} = e_{t,c} [c = k]

    The relevance that enters is the number of its spikes; for a class that was silent there is
    nothing to explain. Of values it is the class's score.
    """

    @override
    def weights(self, outputs: Outputs, batch: Batch) -> Tensor:
        return _one_hot(self.chosen(outputs, batch), outputs.spikes)

    @override
    def text(self, classes: Sequence[str], chosen: int, against: int | None) -> str:
        return f"for class {classes[chosen]}"


@dataclass(frozen=True)
class OfLabel(OfClass):
    """The target of the output of each sample's true class."""

    @override
    def chosen(self, outputs: Outputs, batch: Batch) -> Tensor:
        return batch.labels


@dataclass(frozen=True)
class OfShare(OfOutputs):
    r"""The target of a class's share of what the outputs say: why this class and no other?

    .. math:: R_{t,c} = s_{t,c} ([c = k] - p_k), \qquad p_k = n_k / \sum_c n_c

    with :math:`n_c` the number of spikes of an output. To first order a share changes by
    :math:`\sum_c ([c = k] - p_k)\, \Delta n_c / \sum_c n_c`. What enters is zero in sum. Of
    values, with the softmax p of the scores and for the logarithm of :math:`p_k`,

    .. math:: R_{t,c} = e_{t,c} ([c = k] - p_c)
    """

    @override
    def weights(self, outputs: Outputs, batch: Batch) -> Tensor:
        own = _one_hot(self.chosen(outputs, batch), outputs.spikes)
        if outputs.emits == "spikes":
            return own - (own * outputs.shares).sum(1, keepdim=True)
        return own - outputs.shares

    @override
    def text(self, classes: Sequence[str], chosen: int, against: int | None) -> str:
        return f"for the share of class {classes[chosen]}"


@dataclass(frozen=True)
class Contrast(OfOutputs):
    r"""The target of a class's output against another's: why this class and not that one?

    .. math:: R_{t,c} = e_{t,c} ([c = k] - [c = j])

    Args:
        number: the number k of the class; the class that was read if None.
        other: the number j of the other class; the one with the highest score beside k if
            None.
    """

    other: int | None = None

    def __post_init__(self) -> None:
        if self.number is not None and self.number == self.other:
            raise ConfigError("A class cannot be contrasted with itself; name another class.")

    @override
    def against(self, outputs: Outputs, batch: Batch) -> Tensor:
        chosen = self.chosen(outputs, batch)
        if self.other is not None:
            return torch.full_like(chosen, self.other)
        return outputs.scores.scatter(1, chosen[:, None], -torch.inf).argmax(1)

    @override
    def weights(self, outputs: Outputs, batch: Batch) -> Tensor:
        pro, contra = self.chosen(outputs, batch), self.against(outputs, batch)
        return _one_hot(pro, outputs.spikes) - _one_hot(contra, outputs.spikes)

    @override
    def text(self, classes: Sequence[str], chosen: int, against: int | None) -> str:
        other = "" if against is None else f" and not {classes[against]}"
        return f"for class {classes[chosen]}{other}"


@dataclass(frozen=True)
class OfReward(Target):
    """The target of the reward that training would send back: what is to become stronger?

    Args:
        reward: the reward of the run.
    """

    reward: Reward

    @override
    def chosen(self, outputs: Outputs, batch: Batch) -> Tensor:
        return outputs.prediction.classes

    @override
    def __call__(self, outputs: Outputs, batch: Batch) -> Tensor:
        return self.reward(
            outputs.spikes,
            batch.labels,
            lengths=batch.lengths,
            membranes=outputs.membranes,
            targets=batch.targets,
        )

    @override
    def text(self, classes: Sequence[str], chosen: int, against: int | None) -> str:
        return "of the reward"


def _one_hot(classes: Tensor, like: Tensor) -> Tensor:
    """The classes as one-hot vectors ``[B, C]``, in the type of the spikes."""
    return torch.nn.functional.one_hot(classes, like.shape[-1]).to(like)


def class_number(given: str, classes: Sequence[str], option: str) -> int:
    """The number of a class by its name.

    Raises:
        ConfigError: there is no such class.
    """
    if given not in classes:
        known = ", ".join(classes)
        raise ConfigError(f"{option} is {given!r}, which is no class; there are {known}.")
    return list(classes).index(given)
