"""Rewards for regression, which pull the output towards a target of its own shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.rewards.base import LooksAt, Reward, Seen
from lfp_snn.rewards.given import own_steps, require_number, require_positive, require_whole
from lfp_snn.rewards.readout import mean_membranes, require_membranes

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MembraneTarget", "VanRossum"]


@dataclass(frozen=True)
class MembraneTarget(Reward):
    r"""Regression of the output membranes to a target.

    With the output membranes :math:`w` and their target :math:`w^*`,

    .. math:: R_{t,c} = \operatorname{clip}\bigl((w^*_{t,c} - w_{t,c}) / g, -1, 1\bigr) / T

    A membrane that lies too low is rewarded and one that lies too high is punished, at every step:
    at the last layer a reward acts on the membrane whether it spikes or not. Bounded by 1 / T.

    The target is ``targets`` if they are given, ``[T, B, C]``, or ``[B, C]`` for all steps;
    otherwise the labels make one: ``high`` for the true class and ``low`` for the others. The class
    is read from the mean membrane. Spikes of the output neurons reset their membranes, so that a
    target near or above the threshold cannot be held: give them a threshold out of reach, or none
    to reset.

    Args:
        scale: the difference g that is rewarded in full, > 0.
        high: the target membrane of the true class.
        low: the target membrane of the other classes.

    Raises:
        ConfigError: an option is out of range.

    Source: this project's.
    """

    scale: float = 1.0
    high: float = 0.8
    low: float = 0.0
    looks_at: ClassVar[LooksAt] = "membranes"
    regresses: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_positive("MembraneTarget.scale", self.scale)
        require_number("MembraneTarget.high", self.high)
        require_number("MembraneTarget.low", self.low)
        if not self.high > self.low:
            raise ConfigError(
                f"MembraneTarget.high is {self.high} and low {self.low}; expected high > low."
            )

    @override
    def reward(self, seen: Seen) -> Tensor:
        membranes = require_membranes(seen.membranes, seen.spikes)
        target = seen.output_target()
        if target is None:
            target = self.low + (self.high - self.low) * seen.truth.to(membranes)
        return ((target - membranes) / self.scale).clamp(-1, 1) / seen.steps

    @override
    def scores(self, spikes: Tensor, steps: Tensor, membranes: Tensor | None = None) -> Tensor:
        return mean_membranes(membranes, spikes, steps)


@dataclass(frozen=True)
class VanRossum(Reward):
    r"""Regression of the output spikes to target spike trains.

    Trains are compared as van Rossum does, each spike replaced by a decaying exponential:

    .. math::

        f_t = \sum_{u \le t} s_u\, e^{-(t-u)/\tau} \qquad
        D^2 = \frac{1}{\tau} \sum_t (f_t - f^*_t)^2 \qquad d_t = f^*_t - f_t

    A distance has no sign, and its gradient would need one of the spike. The reward is the signed
    difference of the filtered trains itself,

    .. math:: R_t = \begin{cases} d_t / T & d_t > 0 \\ s_t\, d_t / T & d_t \le 0 \end{cases}

    Where spikes are missing (:math:`d_t > 0`) every step is rewarded, also the silent ones, until
    the lack has decayed or been made up for: this pulls spikes forward and wakes a silent output.
    Where there are too many, the spikes are punished and the silent steps are not: they did nothing
    that could be left out. The reward of a sample is zero only if its train is the target, since
    the first step at which they differ is always rewarded or punished.
    :math:`|R_t| \le 1 / (T (1 - e^{-1/\tau}))`.

    The target is ``targets`` ``[T, B, C]``, 0 or 1, if they are given; otherwise the labels make
    one: the true class spikes at every ``period``-th step, the others are silent. The class with
    the most spikes is read.

    Args:
        tau: the decay time in steps, > 0. If it is short, spikes must coincide; if it is long,
            their number counts.
        period: the steps between target spikes of the true class, >= 1.

    Raises:
        ConfigError: an option is out of range.

    Source: van Rossum, *A Novel Spike Distance*, Neural Computation 2001, for the distance, here
    in discrete time; the reward is this project's.
    """

    tau: float = 3.0
    period: int = 3

    def __post_init__(self) -> None:
        require_positive("VanRossum.tau", self.tau)
        require_whole("VanRossum.period", self.period, 1)

    @override
    def reward(self, seen: Seen) -> Tensor:
        target = seen.output_target()
        if target is None:
            t = torch.arange(1, len(seen.spikes) + 1, device=seen.spikes.device)
            beats = (t % self.period == 0)[:, None, None]
            target = (beats & seen.truth).to(seen.spikes.dtype)
        d = self._difference(seen.spikes, target)
        return torch.where(d > 0, d, seen.spikes * d) / seen.steps

    def distance(self, spikes: Tensor, targets: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The squared distance :math:`D^2` of each train to its target.

        Args:
            spikes: the spike trains ``[T, B, C]``.
            targets: the target spike trains ``[T, B, C]``.
            lengths: the steps of each sample, int ``[B]``; T if ``None``.

        Returns:
            The squared distances ``[B, C]``.
        """
        seen = Seen(spikes, None, own_steps(spikes, lengths), None, targets)
        target = seen.output_target()
        assert target is not None
        d = self._difference(spikes, target) * seen.alive
        return d.square().sum(0) / self.tau

    def _difference(self, spikes: Tensor, target: Tensor) -> Tensor:
        """The difference ``d = f* - f`` of the filtered trains at every step."""
        decay = math.exp(-1 / self.tau)
        d = target - spikes
        for t in range(1, len(d)):
            d[t] += decay * d[t - 1]
        return d
