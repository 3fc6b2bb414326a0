"""The reward of a readout: output neurons that integrate and never spike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from typing_extensions import override

from lfp_snn.errors import ShapeError
from lfp_snn.later import torch
from lfp_snn.rewards.base import LooksAt, Reward, Seen, smoothed
from lfp_snn.rewards.given import require_positive, require_share

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "MembraneCoded",
    "TETReadout",
    "mean_membranes",
    "read_membranes",
    "require_membranes",
]


@dataclass(frozen=True)
class MembraneCoded(Reward):
    r"""The error of a softmax over mean output membranes.

    With the output membranes :math:`w`, their mean :math:`m_c = \sum_t w_{t,c} / T` and
    :math:`p = \operatorname{softmax}(a m)`,

    .. math:: R_{t,c} = (q_c - p_c) / T \qquad q_c = (1 - \alpha)[c = y] + \alpha / C

    where :math:`\alpha` is ``smoothing``. A membrane is there at every step, so that every step is
    rewarded or punished, whether the neuron spiked or not: at the last layer a reward acts on the
    membrane. The class is read from the mean membrane. Meant for a readout, output neurons that
    integrate and never spike; where they do, their resets are part of what is read.

    Args:
        a: the weight of a unit of membrane, > 0.
        smoothing: the share of the label that all classes divide among them, in
            [0, 1).

    Raises:
        ConfigError: an option is out of range.

    Source: this project's; SoftmaxRate with membranes in the place of spike counts.
    """

    a: float = 1.0
    smoothing: float = 0.0
    looks_at: ClassVar[LooksAt] = "membranes"

    def __post_init__(self) -> None:
        require_positive(f"{type(self).__name__}.a", self.a)
        require_share(f"{type(self).__name__}.smoothing", self.smoothing)

    @override
    def reward(self, seen: Seen) -> Tensor:
        p = torch.softmax(self.a * self._evidence(seen), -1)
        error = smoothed(seen.truth, self.smoothing, p) - p
        return (error / seen.steps).expand_as(seen.spikes)

    def _evidence(self, seen: Seen) -> Tensor:
        """What the softmax is over, ``[B, C]`` or ``[T, B, C]``."""
        return self.scores(seen.spikes, seen.steps, seen.membranes)

    @override
    def scores(self, spikes: Tensor, steps: Tensor, membranes: Tensor | None = None) -> Tensor:
        return mean_membranes(membranes, spikes, steps)


@dataclass(frozen=True)
class TETReadout(MembraneCoded):
    r"""The error of a softmax over the output membranes of each step by itself, at that step.

    With :math:`p_t = \operatorname{softmax}(a w_t)` over the membranes :math:`w_t`, and q as in
    :class:`MembraneCoded`,

    .. math:: R_{t,c} = (q_c - p_{t,c}) / T

    which is minus the derivative of temporal efficient training's cross-entropy
    :math:`\frac{1}{T} \sum_t -q \cdot \log p_t` by :math:`a w_t`. The class is read from the mean
    membrane.

    Args:
        a: the weight of a unit of membrane, > 0.
        smoothing: the share of the label that all classes divide among them, in
            [0, 1).

    Raises:
        ConfigError: an option is out of range.

    Source: Deng, Li, Zhang, Gu, *Temporal Efficient Training of Spiking Neural Network via Gradient
    Re-weighting*, ICLR 2022; the reward is this project's. Their second term, which holds
    membranes near a value, is not part of it.
    """

    @override
    def _evidence(self, seen: Seen) -> Tensor:
        return require_membranes(seen.membranes, seen.spikes)


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


def read_membranes(
    membranes: Tensor | None,
    spikes: Tensor,
    steps: Tensor,
    how: Literal["mean", "last", "max"] = "mean",
) -> Tensor:
    """What is read of the membranes ``[T, B, C]`` over the ``steps`` ``[B, 1]`` of each sample.

    Args:
        membranes: the output membranes.
        spikes: a tensor of their shape.
        steps: the number of steps of each sample.
        how: the mean, the membranes of the last step, or the highest.
    """
    if how == "mean":
        return mean_membranes(membranes, spikes, steps)
    known = require_membranes(membranes, spikes)
    if how == "max":
        alive = Seen(spikes, None, steps, membranes, None).alive
        return known.masked_fill(~alive, -torch.inf).amax(0)
    last = (steps.long() - 1).expand_as(known[0])
    return known.gather(0, last[None])[0]
