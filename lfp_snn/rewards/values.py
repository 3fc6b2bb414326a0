r"""Rewards at outputs that are values and not spikes, as in a network that ends in a synapse.

The reward enters as the relevance of the value :math:`o`, and the credit of the value is
:math:`n = R / (o + \varepsilon\, \mathrm{sgn}(o))`. So that a value is pushed up by an error
:math:`e`, its reward is :math:`R = o\,e`: a value that should rise and is negative gets a negative
reward. All of these are so many errors.

Over several steps the evidence is the mean value :math:`\bar o = \sum_t o_t / T`, and every step
takes the error of that, :math:`R_t = o_t\, e(\bar o) / T`.

A value that is zero has no relevance, which matters where it is a mean of spikes, all of them
silent. With ``at_silence`` the factor :math:`o_t` is left out, and the reward is *credit*,
:math:`e(\bar o) / T`, which goes on to what made the value.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.rewards.base import CreditReward, LooksAt, Seen, smoothed
from lfp_snn.rewards.given import require_number, require_share

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MisclassifiedValues", "SigmoidValues", "SoftmaxValues"]


@dataclass(frozen=True, kw_only=True)
class _ValueReward(CreditReward):
    """The base of rewards ``R_t = o_t e / T`` with an error of the mean value, or credit ``e / T``.

    Args:
        at_silence: whether to leave out the factor ``o``
            (:class:`~lfp_snn.rewards.base.CreditReward`).
    """

    looks_at: ClassVar[LooksAt] = "values"

    @abstractmethod
    def error(self, mean: Tensor, truth: Tensor) -> Tensor:
        """The error: how far each mean value ``[B, C]`` should be pushed up."""

    @override
    def reward(self, seen: Seen) -> Tensor:
        values, mean = seen.spikes, self.scores(seen.spikes, seen.steps)
        places = torch.ones_like(values) if self.at_silence else values
        return places * self.error(mean, seen.truth) / seen.steps

    @override
    def scores(self, spikes: Tensor, steps: Tensor, membranes: Tensor | None = None) -> Tensor:
        alive = Seen(spikes, None, steps, None, None).alive
        return (spikes * alive).sum(0) / steps


@dataclass(frozen=True)
class SoftmaxValues(_ValueReward):
    r"""The error of a softmax over values (logits), where the output is no spikes.

    .. math:: e_c = q_c - \hat p_c \qquad \hat p_c = \begin{cases}
        1 & p_c > u \\ 0 & p_c < l \\ p_c & \text{else} \end{cases} \qquad
        p = \operatorname{softmax}(\bar o) \qquad q_c = (1 - \alpha)[c = y] + \alpha / C

    where :math:`\alpha` is ``smoothing``. With l = 0 and u = 1 the error is minus the gradient of
    the cross-entropy. Other bounds leave samples alone that are read with confidence; smoothed
    labels would push just those back, so that the two do not go together.

    Args:
        lower: the bound l, in [0, upper).
        upper: the bound u, in (lower, 1].
        smoothing: the share of the label that all classes divide among them, in
            [0, 1).
        at_silence: whether to leave out the factor ``o``, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Raises:
        ConfigError: an option is out of range.

    Source: ``SoftmaxLossReward`` and ``BoundedSoftmaxReward`` in the published code of Weber et
    al., TMLR 2025.
    """

    lower: float = 0.0
    upper: float = 1.0
    smoothing: float = 0.0

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        require_share("SoftmaxValues.smoothing", self.smoothing)
        require_number("SoftmaxValues.lower", self.lower)
        require_number("SoftmaxValues.upper", self.upper)
        if not 0 <= self.lower < self.upper <= 1:
            raise ConfigError(
                f"SoftmaxValues.lower is {self.lower} and upper {self.upper}; expected "
                "0 <= lower < upper <= 1."
            )
        if self.smoothing and (self.lower, self.upper) != (0, 1):
            raise ConfigError(
                f"SoftmaxValues.smoothing is {self.smoothing} and the bounds are {self.lower} and "
                f"{self.upper}: smoothed labels push back those that bounds leave alone; set one."
            )

    @override
    def error(self, mean: Tensor, truth: Tensor) -> Tensor:
        p = torch.softmax(mean, -1)
        p = torch.where(p > self.upper, 1.0, torch.where(p < self.lower, 0.0, p))
        return smoothed(truth, self.smoothing, p) - p


@dataclass(frozen=True)
class SigmoidValues(_ValueReward):
    r"""The error of a logistic function of each value by itself, where the output is no spikes.

    .. math:: e_c = [c = y] - \sigma(\bar o_c)

    Args:
        at_silence: whether to leave out the factor ``o``, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Source: ``SigmoidLossReward`` in the published code of Weber et al., TMLR 2025.
    """

    @override
    def error(self, mean: Tensor, truth: Tensor) -> Tensor:
        return truth.to(mean) - torch.sigmoid(mean)


@dataclass(frozen=True)
class MisclassifiedValues(_ValueReward):
    r"""Punishment, of one size, of values above that of the true class; the output is no spikes.

    .. math:: R_{t,c} = -\operatorname{sgn}(\bar o_c)\, [\bar o_c > \bar o_y] / T

    This is the one reward of values that does not grow with the value it is given to. The true
    class itself is never rewarded.

    Args:
        at_silence: whether to leave out the sign, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Source: ``MisclassificationReward`` in the published code of Weber et al., TMLR 2025.
    """

    @override
    def error(self, mean: Tensor, truth: Tensor) -> Tensor:
        own = torch.where(truth, mean, 0).sum(-1, keepdim=True)
        return -(mean > own).to(mean)

    @override
    def reward(self, seen: Seen) -> Tensor:
        mean = self.scores(seen.spikes, seen.steps)
        sign = torch.ones_like(mean) if self.at_silence else mean.sign()
        signed = sign * self.error(mean, seen.truth) / seen.steps
        return signed.expand_as(seen.spikes)
