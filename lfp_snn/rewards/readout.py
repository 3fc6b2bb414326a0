"""The reward of a readout: output neurons that integrate and never spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.errors import ShapeError
from lfp_snn.rewards.base import LooksAt, Reward, Seen, require_positive

__all__ = ["MembraneCoded", "mean_membranes", "require_membranes"]


@dataclass(frozen=True)
class MembraneCoded(Reward):
    r"""The error of a softmax over mean output membranes.

    With the output membranes :math:`w`, their mean :math:`m_c = \sum_t w_{t,c} / T` and
    :math:`p = \operatorname{softmax}(a m)`,

    .. math:: R_{t,c} = ([c = y] - p_c) / T

    A membrane is there at every step, so that every step is rewarded or punished, whether the
    neuron spiked or not: at the last layer a reward acts on the membrane. The class is read from
    the mean membrane. Meant for a readout, output neurons that integrate and never spike; where
    they do, their resets are part of what is read.

    Args:
        a: the weight of a unit of membrane, > 0.

    Raises:
        ConfigError: ``a`` is not positive.

    Source: this project's; SoftmaxRate with membranes in the place of spike counts.
    """

    a: float = 1.0
    looks_at: ClassVar[LooksAt] = "membranes"

    def __post_init__(self) -> None:
        require_positive("MembraneCoded.a", self.a)

    @override
    def reward(self, seen: Seen) -> Tensor:
        p = torch.softmax(self.a * self.scores(seen.spikes, seen.steps, seen.membranes), -1)
        return ((seen.truth.to(p) - p) / seen.steps).expand_as(seen.spikes)

    @override
    def scores(self, spikes: Tensor, steps: Tensor, membranes: Tensor | None = None) -> Tensor:
        return mean_membranes(membranes, spikes, steps)


def require_membranes(membranes: Tensor | None, spikes: Tensor) -> Tensor:
    """The output membranes, which are not optional here.

    Raises:
        ShapeError: the membranes are missing, or have another shape than the spikes.
    """
    if membranes is None or membranes.shape != spikes.shape:
        found = "none" if membranes is None else str(tuple(membranes.shape))
        raise ShapeError(
            f"This reward needs the output membranes, shape {tuple(spikes.shape)}, found {found}: "
            "hand over membranes=lfp.membranes."
        )
    return membranes


def mean_membranes(membranes: Tensor | None, spikes: Tensor, steps: Tensor) -> Tensor:
    """Means ``[B, C]`` of the membranes ``[T, B, C]`` over the ``steps`` ``[B, 1]`` of each sample.

    Raises:
        ShapeError: the membranes are missing, or have another shape than the spikes.
    """
    alive = Seen(spikes, None, steps, membranes, None).alive
    return (require_membranes(membranes, spikes) * alive).sum(0) / steps
