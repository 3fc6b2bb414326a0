r"""Rewards at the output spikes, and how a prediction is read from them.

A reward turns the output ``[T, B, C]`` and the labels ``[B]`` into the relevance that enters the
network, one value per class, step and sample. A positive value asks for more of what made the
membrane, a negative one for less. It may look at the membranes too, and can be evaluated step by
step while a sequence still runs (:meth:`Reward.step`): then each step is rewarded as the last
step of what has been seen so far.

Samples that end early (``lengths``) get no reward after their end, and count over their own T.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.lif import running

__all__ = [
    "REWARDS",
    "FirstSpike",
    "Prediction",
    "RateCoded",
    "Reward",
    "RewardState",
    "SoftmaxRate",
    "ties",
]


class Prediction(NamedTuple):
    """Classes int64 ``[B]``, and bool ``[B]``: was the best score shared (lowest index won)?"""

    classes: Tensor
    ties: Tensor


class RewardState(NamedTuple):
    """What a reward remembers of a stream: the evidence ``[B, C]`` and the steps seen."""

    evidence: Tensor
    steps: int


def ties(scores: Tensor) -> Prediction:
    """Read classes from scores ``[B, C]``: the highest wins, the lowest index among equals."""
    best = scores.max(-1, keepdim=True).values
    winners = scores == best
    return Prediction(winners.to(torch.uint8).argmax(-1), winners.sum(-1) > 1)


class Reward(ABC):
    """What every reward offers: the reward, its stepwise form, and the prediction."""

    def __call__(
        self,
        spikes: Tensor,
        labels: Tensor,
        *,
        lengths: Tensor | None = None,
        membranes: Tensor | None = None,
    ) -> Tensor:
        """Reward of a whole sequence.

        Args:
            spikes: output spikes ``[T, B, C]``, 0 or 1, floating dtype.
            labels: int64 ``[B]``, the true classes.
            lengths: int ``[B]``, steps of each sample; T if ``None``.
            membranes: output membranes ``[T, B, C]``, for rewards that look at them.

        Returns:
            ``[T, B, C]`` in the dtype of the spikes.

        Raises:
            ShapeError: shapes do not fit, or a label is no class.
        """
        truth = _truth(spikes.shape, labels, spikes.device)
        steps = spikes.shape[0]
        own = _own_steps(spikes, lengths)
        reward = self._reward(spikes, truth, own)
        if lengths is None:
            return reward
        return reward * running(lengths.to(spikes.device), steps, 3)

    @abstractmethod
    def _reward(self, spikes: Tensor, truth: Tensor, steps: Tensor) -> Tensor:
        """``[T, B, C]`` from spikes, bool ``[B, C]`` and each sample's steps ``[B, 1]``."""

    @abstractmethod
    def step(
        self,
        spikes: Tensor,
        labels: Tensor,
        state: RewardState | None = None,
        membranes: Tensor | None = None,
    ) -> tuple[Tensor, RewardState]:
        """Reward of one more step ``[B, C]`` of a stream, were it the last one.

        Equal to the last row of the reward of all that has been seen so far. Start with
        ``state=None`` and hand the returned state on.
        """

    @abstractmethod
    def scores(self, spikes: Tensor, steps: Tensor) -> Tensor:
        """Evidence ``[B, C]`` from which the class is read; the highest wins."""

    def predict(
        self,
        spikes: Tensor,
        *,
        lengths: Tensor | None = None,
        membranes: Tensor | None = None,
    ) -> Prediction:
        """Classes and ties from output spikes ``[T, B, C]``; arguments as in a call."""
        return ties(self.scores(spikes, _own_steps(spikes, lengths)))


class _CountReward(Reward):
    """A reward that is a function of spike counts, steps and the spikes themselves."""

    @abstractmethod
    def _at(self, spikes: Tensor, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        """Reward of spikes ``[..., B, C]`` given counts ``[B, C]`` over ``steps`` ``[B, 1]``."""

    def _reward(self, spikes: Tensor, truth: Tensor, steps: Tensor) -> Tensor:
        return self._at(spikes, spikes.sum(0), steps, truth)

    def step(
        self,
        spikes: Tensor,
        labels: Tensor,
        state: RewardState | None = None,
        membranes: Tensor | None = None,
    ) -> tuple[Tensor, RewardState]:
        truth = _truth(spikes.shape, labels, spikes.device)
        counts = spikes if state is None else state.evidence + spikes
        seen = 1 if state is None else state.steps + 1
        steps = torch.full_like(counts[:, :1], seen)
        return self._at(spikes, counts, steps, truth), RewardState(counts, seen)

    def scores(self, spikes: Tensor, steps: Tensor) -> Tensor:
        return spikes.sum(0)


@dataclass(frozen=True)
class RateCoded(_CountReward):
    r"""The published rate-coded reward.

    With :math:`k_c` the spike count of class c over T steps, :math:`H = \lfloor T/2 \rfloor` and
    the logistic function :math:`\sigma`,

    .. math::

        R_{t,y} = \bigl(1 - \sigma(k_y - H)\bigr) / T \qquad
        R_{t,c} = -s_{t,c} \bigl(1 - \sigma((T - k_c) - H)\bigr) / T

    The true class y is rewarded at every step, also where it is silent; the others are punished
    at their spikes. The prediction is the class with the most spikes.

    Source: Weber et al., TMLR 2025, section on spiking networks.
    """

    def _at(self, spikes: Tensor, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        half = torch.div(steps, 2, rounding_mode="floor")
        wanted = 1 - torch.sigmoid(counts - half)
        unwanted = 1 - torch.sigmoid(steps - counts - half)
        return torch.where(truth, wanted, -spikes * unwanted) / steps


@dataclass(frozen=True)
class SoftmaxRate(_CountReward):
    r"""The error of a softmax over spike counts.

    With :math:`p = \operatorname{softmax}(a k)` over the counts,

    .. math:: R_{t,y} = (1 - p_y) / T \qquad R_{t,c} = -s_{t,c}\, p_c / T

    Args:
        a: > 0, how much one spike counts.

    Raises:
        ConfigError: ``a`` is not positive.
    """

    a: float = 1.0

    def __post_init__(self) -> None:
        _positive("SoftmaxRate.a", self.a)

    def _at(self, spikes: Tensor, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        p = torch.softmax(self.a * counts, -1)
        return torch.where(truth, 1 - p, -spikes * p) / steps


@dataclass(frozen=True)
class FirstSpike(Reward):
    r"""A latency-coded reward: the true class shall spike first.

    With :math:`f_c` the step of the first spike of class c (T if it is silent) and
    :math:`p = \operatorname{softmax}(a (T - f) / T)`,

    .. math::

        R_{t,y} = \frac{1 - p_y}{\min(f_y + 1, T)} [t \le f_y] \qquad
        R_{t,c} = -p_c [t = f_c]

    The true class is rewarded at every step up to its first spike, which pulls the spike forward
    (and wakes a silent output); each other class is punished at its first spike. The sums over
    time are :math:`1 - p_y` and :math:`-p_c`, so that the reward of a sample adds up to zero once
    every class has spiked. The prediction is the class that spikes first.

    Args:
        a: > 0, sharpness; a whole sequence of latency counts as ``a``. 15 did best on the
            validation part of DVS-digits among 2, 5 and 15.

    Raises:
        ConfigError: ``a`` is not positive.
    """

    a: float = 15.0

    def __post_init__(self) -> None:
        _positive("FirstSpike.a", self.a)

    def _at(self, t: Tensor, first: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        p = torch.softmax(self.a * (steps - first) / steps, -1)
        share = (1 - p) / torch.minimum(first + 1, steps)
        return torch.where(truth, share * (t <= first), -p * (t == first))

    def _reward(self, spikes: Tensor, truth: Tensor, steps: Tensor) -> Tensor:
        t = torch.arange(spikes.shape[0], device=spikes.device, dtype=spikes.dtype)
        return self._at(t[:, None, None], _first_spike(spikes, steps), steps, truth)

    @override
    def step(
        self,
        spikes: Tensor,
        labels: Tensor,
        state: RewardState | None = None,
        membranes: Tensor | None = None,
    ) -> tuple[Tensor, RewardState]:
        truth = _truth(spikes.shape, labels, spikes.device)
        t = 0 if state is None else state.steps
        # Silent so far is kept as infinity: "T" grows while the stream runs.
        earlier = torch.full_like(spikes, torch.inf) if state is None else state.evidence
        first = torch.where(spikes > 0, earlier.clamp(max=t), earlier)
        steps = torch.full_like(spikes[:, :1], t + 1)
        now = torch.full_like(steps, t)
        reward = self._at(now, torch.minimum(first, steps), steps, truth)
        return reward, RewardState(first, t + 1)

    @override
    def scores(self, spikes: Tensor, steps: Tensor) -> Tensor:
        return -_first_spike(spikes, steps)


def _first_spike(spikes: Tensor, steps: Tensor) -> Tensor:
    """Step of the first spike ``[B, C]``, ``steps`` where there is none."""
    active = spikes > 0
    first = active.to(torch.uint8).argmax(0).to(spikes.dtype)
    return torch.where(active.any(0), first, steps)


def _own_steps(spikes: Tensor, lengths: Tensor | None) -> Tensor:
    """Each sample's number of steps ``[B, 1]`` in the dtype of the spikes."""
    steps, batch = spikes.shape[:2]
    if lengths is None:
        return torch.full((batch, 1), steps, dtype=spikes.dtype, device=spikes.device)
    if lengths.shape != (batch,):
        raise ShapeError(
            f"lengths has the shape {tuple(lengths.shape)}; expected ({batch},), one per sample."
        )
    return lengths.to(spikes)[:, None]


def _truth(shape: torch.Size, labels: Tensor, device: torch.device) -> Tensor:
    """Bool ``[B, C]``, true at each sample's class."""
    batch, classes = shape[-2:]
    if labels.shape != (batch,) or labels.is_floating_point():
        raise ShapeError(
            f"labels have the shape {tuple(labels.shape)} and type {labels.dtype}; expected "
            f"integers of shape ({batch},) for outputs of shape {tuple(shape)}."
        )
    labels = labels.to(device)
    truth = labels[:, None] == torch.arange(classes, device=device)
    if device.type == "cpu" and not bool(truth.any(-1).all()):
        raise ShapeError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, but the network has "
            f"{classes} outputs: give it one output per class."
        )
    return truth


def _positive(name: str, value: float) -> None:
    if not 0 < value < float("inf"):
        raise ConfigError(f"{name} is {value}; expected a positive finite number.")


#: Rewards by the name that a config uses.
REWARDS: dict[str, type[Reward]] = {
    "rate_coded": RateCoded,
    "softmax_rate": SoftmaxRate,
    "first_spike": FirstSpike,
}
