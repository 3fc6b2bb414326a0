r"""Rewards that are a function of spike counts.

As published they punish a wrong class at its spikes, :math:`-s_{t,c}\, e_c`: relevance, which what
was silent has none of. With ``at_silence`` the factor :math:`s_{t,c}` is left out, and the reward
is *credit*: at every step, what a spike would be worth there, :math:`1 - p_y` or :math:`-p_c`. That
is what :class:`lfp_snn.rules.Rescale` counts an output against its reference by. Both forms go with
every rule: a rule that knows relevance alone takes the credit as relevance, at silent steps too,
and Rescale counts a relevance as Epsilon does.

**Votes.** Where the output is a mean of spikes, as of the voters of each class, and credit goes on
to their membranes (:meth:`lfp_snn.TemporalLFP.takes_credit`), :math:`s_t` is the share of voters
that spike and :math:`k_c` the count of a voter on average: no whole number, but between 0 and T as
the count of one neuron is, so that :math:`H` and all else means the same. A sum of votes counts
beyond T, for which :class:`SoftmaxRate` and :class:`BoundedSoftmax` have their ``a``.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.rewards.base import ROUNDING, CreditReward, RewardState, Seen, StepwiseReward, smoothed
from lfp_snn.rewards.given import require_number, require_positive, require_share

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "TET",
    "BoundedSoftmax",
    "CountReward",
    "CountTarget",
    "Misclassification",
    "RateCoded",
    "Sigmoid",
    "SoftmaxRate",
]


@dataclass(frozen=True, kw_only=True)
class CountReward(CreditReward, StepwiseReward):
    """The base of rewards by an error of the counts ``[B, C]`` over the steps ``[B, 1]``.

    A class whose count should rise is rewarded at every step, also where it is silent; one whose
    count should fall is punished at its spikes.

    Args:
        at_silence: whether to punish a wrong class at every step, without the factor ``s``, as
            credit (:class:`~lfp_snn.rewards.base.CreditReward`).
    """

    @override
    def reward(self, seen: Seen) -> Tensor:
        return self._now(seen.spikes, seen.spikes.sum(0), seen.steps, seen.truth)

    @override
    def _gather(self, spikes: Tensor, before: RewardState) -> Tensor:
        return before.evidence + spikes

    @override
    def _now(self, spikes: Tensor, evidence: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        error = self._error(evidence, steps, truth)
        places = torch.ones_like(spikes) if self.at_silence else spikes
        return torch.where(error > 0, error, places * error) / steps

    def hushes(self, steps: int, classes: int) -> bool:
        r"""Whether outputs that are all silent are asked, on the whole, to stay so.

        At no spike the credit is then below zero in sum over the classes: the wrong ones are
        pushed down by more than the true one is pushed up, and a network that falls silent stays
        silent. Of :class:`RateCoded` that is so, for an even T, where :math:`C\,\sigma(-T/2) > 1`,
        which ten classes reach with four steps; of a softmax and of target counts never, and of
        :class:`Misclassification` from three classes on.

        Args:
            steps: the number of steps T.
            classes: the number of classes C.
        """
        if not self.at_silence:
            return False
        truth = torch.zeros(1, classes, dtype=torch.bool)
        truth[:, 0] = True
        error = self._error(torch.zeros(1, classes), torch.full((1, 1), float(steps)), truth)
        return float(error.sum()) < -ROUNDING

    @abstractmethod
    def _error(self, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        """How far each count ``[B, C]`` should be pushed up."""


@dataclass(frozen=True)
class RateCoded(CountReward):
    r"""The published rate-coded reward.

    With :math:`k_c` the spike count of class c over T steps, :math:`H = \lfloor T/2 \rfloor` and
    the logistic function :math:`\sigma`,

    .. math::

        R_{t,y} = \bigl(1 - \sigma(k_y - H)\bigr) / T \qquad
        R_{t,c} = -s_{t,c} \bigl(1 - \sigma((T - k_c) - H)\bigr) / T

    The true class y is rewarded at every step, also where it is silent; the others are punished
    at their spikes. The prediction is the class with the most spikes.

    Args:
        at_silence: whether to leave out the factor ``s``, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Source: Weber et al., TMLR 2025, section on spiking networks.
    """

    @override
    def _error(self, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        half = torch.div(steps, 2, rounding_mode="floor")
        short, beyond = torch.sigmoid(counts - half), torch.sigmoid(steps - counts - half)
        return torch.where(truth, 1 - short, beyond - 1)


@dataclass(frozen=True)
class SoftmaxRate(CountReward):
    r"""The error of a softmax over spike counts.

    With :math:`p = \operatorname{softmax}(a k)` over the counts,

    .. math:: R_{t,y} = (1 - p_y) / T \qquad R_{t,c} = -s_{t,c}\, p_c / T

    With smoothed labels, :math:`q_c = (1 - \alpha)[c = y] + \alpha / C` where :math:`\alpha` is
    ``smoothing``, the error is :math:`e = q - p`: a class with :math:`e_c > 0` is rewarded by
    :math:`e_c / T` at every step, and one with :math:`e_c < 0` punished by
    :math:`s_{t,c}\, e_c / T`, which is the above where nothing is smoothed. A true class that is
    too sure is punished, and a wrong one that is too silent rewarded.

    Args:
        a: the weight of one spike, > 0.
        smoothing: the share of the label that all classes divide among them, in
            [0, 1).
        at_silence: whether to leave out the factor ``s``, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Raises:
        ConfigError: an option is out of range.

    Source: this project's; label smoothing after Szegedy et al., CVPR 2016.
    """

    a: float = 1.0
    smoothing: float = 0.0

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(f"{type(self).__name__}.a", self.a)
        require_share(f"{type(self).__name__}.smoothing", self.smoothing)

    @override
    def _error(self, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        return smoothed(truth, self.smoothing, counts) - torch.softmax(self.a * counts, -1)


@dataclass(frozen=True)
class TET(SoftmaxRate):
    r"""The error of a softmax at every step, of what the output says by then.

    Temporal efficient training takes the loss of the output :math:`o_t` of every step, and their
    mean, so that none can make up for another. The reward that stands for its cross-entropy is,
    with :math:`p_t = \operatorname{softmax}(a\, o_t)` and :math:`q` as in :class:`SoftmaxRate`,

    .. math::

        e_t = q - p_t \qquad
        R_{t,c} = e_{t,c} / T \;\text{ if } e_{t,c} > 0, \qquad
        s_{t,c}\, e_{t,c} / T \;\text{ else}

    which is minus the derivative of :math:`\frac{1}{T} \sum_t -q \cdot \log p_t` by
    :math:`a\, o_t`, at spikes alone where it punishes. The output of a step is the count of the
    spikes so far, :math:`o_t = \sum_{t' \le t} s_{t'}`, from which a class would be read if the
    sequence ended there, or the spikes of the step, :math:`o_t = s_t`, as the source has it for
    membranes. The class is read from the counts of all steps.

    Args:
        a: the weight of one spike, > 0.
        smoothing: the share of the label that all classes divide among them, in
            [0, 1).
        so_far: whether the output of a step is all spikes so far, and not those of the step. Of one
            step a class that spikes alone has the probability :math:`e^a / (e^a + C - 1)`: take a
            larger ``a`` then.
        at_silence: whether to leave out the factor ``s``, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Raises:
        ConfigError: an option is out of range.

    Source: Deng, Li, Zhang, Gu, *Temporal Efficient Training of Spiking Neural Network via Gradient
    Re-weighting*, ICLR 2022; the reward is this project's. Their second term, which holds
    membranes near a value, is not part of it.
    """

    so_far: bool = True

    @override
    def reward(self, seen: Seen) -> Tensor:
        return self._now(seen.spikes, seen.spikes.cumsum(0), seen.steps, seen.truth)

    @override
    def _now(self, spikes: Tensor, evidence: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        return super()._now(spikes, evidence if self.so_far else spikes, steps, truth)


@dataclass(frozen=True)
class BoundedSoftmax(CountReward):
    r"""The error of a softmax over spike counts that is content with enough.

    With :math:`p = \operatorname{softmax}(a k)` over the counts, and

    .. math::

        \hat p_c = \begin{cases} 1 & p_c > u \\ 0 & p_c < l \\ p_c & \text{else} \end{cases}
        \qquad R_{t,y} = (1 - \hat p_y) / T \qquad R_{t,c} = -s_{t,c}\, \hat p_c / T

    A sample that is read with confidence is no longer pushed, which leaves the weights to those
    that are not. With l = 0 and u = 1 this is :class:`SoftmaxRate`.

    Args:
        a: the weight of one spike, > 0.
        lower: the bound l, in [0, upper): probabilities below it count as 0.
        upper: the bound u, in (lower, 1]: probabilities above it count as 1.
        at_silence: whether to leave out the factor ``s``, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Raises:
        ConfigError: an option is out of range.

    Source: the bounds are those of ``BoundedSoftmaxReward`` in the published code of Weber et al.,
    TMLR 2025, whose reward at logits o is :math:`o_c ([c = y] - \hat p_c)`. Here counts take the
    place of the logits and spikes that of the factor, as in the published reward for spikes. The
    published bounds are 0 and 1; the defaults here are a choice and not tuned.
    """

    a: float = 1.0
    lower: float = 0.05
    upper: float = 0.95

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("BoundedSoftmax.a", self.a)
        require_number("BoundedSoftmax.lower", self.lower)
        require_number("BoundedSoftmax.upper", self.upper)
        if not 0 <= self.lower < self.upper <= 1:
            raise ConfigError(
                f"BoundedSoftmax.lower is {self.lower} and upper {self.upper}; expected "
                "0 <= lower < upper <= 1."
            )

    @override
    def _error(self, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        p = torch.softmax(self.a * counts, -1)
        p = torch.where(p > self.upper, 1.0, torch.where(p < self.lower, 0.0, p))
        return truth.to(p) - p


@dataclass(frozen=True)
class Sigmoid(CountReward):
    r"""The error of a logistic function of each class's own rate.

    With :math:`p_c = \sigma\bigl(a (k_c - \vartheta T)\bigr)` and :math:`\vartheta` the middle,

    .. math:: R_{t,y} = (1 - p_y) / T \qquad R_{t,c} = -s_{t,c}\, p_c / T

    Classes do not compete: each is asked whether it fires more often than the middle. With a = 1,
    the middle at one half and an even T this is :class:`RateCoded`.

    Args:
        a: the weight of one spike, > 0.
        middle: the rate in spikes per step that is neither yes nor no, in (0, 1).
        at_silence: whether to leave out the factor ``s``, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Raises:
        ConfigError: an option is out of range.

    Source: ``SigmoidLossReward`` in the published code of Weber et al., TMLR 2025, which is
    :math:`o_c ([c = y] - \sigma(o_c))` at logits o; counts about the middle take their place.
    """

    a: float = 1.0
    middle: float = 0.5

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("Sigmoid.a", self.a)
        require_number("Sigmoid.middle", self.middle)
        if not 0 < self.middle < 1:
            raise ConfigError(
                f"Sigmoid.middle is {self.middle}; expected a rate between 0 and 1 (spikes per "
                "step)."
            )

    @override
    def _error(self, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        p = torch.sigmoid(self.a * (counts - self.middle * steps))
        return truth.to(p) - p


@dataclass(frozen=True)
class CountTarget(CountReward):
    r"""Regression of each spike count to a target rate, high for the true class, low for others.

    With :math:`r_y` = ``high`` for the true class and :math:`r_c` = ``low`` for the others,

    .. math::

        e_c = r_c - k_c / T \qquad
        R_{t,c} = e_c / T \;\text{ if } e_c > 0, \qquad s_{t,c}\, e_c / T \;\text{ else}

    over each sample's own steps. As credit (``at_silence``) it is minus the derivative of
    snntorch's ``mse_count_loss(correct_rate=high, incorrect_rate=low)`` by a spike, but for a
    positive factor, where all samples have the T steps of the batch and the rates times T are whole
    numbers, to which snntorch cuts them. Outputs that are all silent are never asked to stay so.

    Args:
        high: the target rate of the true class, spikes per step, at most 1.
        low: the target rate of the other classes, from 0 to below ``high``.
        at_silence: whether to leave out the factor ``s``, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Raises:
        ConfigError: an option is out of range.

    Source: this project's, made from the loss ``mse_count_loss`` of snntorch 1.0.
    """

    high: float = 1.0
    low: float = 0.0

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        require_number("CountTarget.high", self.high)
        require_number("CountTarget.low", self.low)
        if not 0 <= self.low < self.high <= 1:
            raise ConfigError(
                f"CountTarget.high is {self.high} and low {self.low}; expected rates, "
                "0 <= low < high <= 1 (spikes per step)."
            )

    @override
    def _error(self, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        wanted = torch.full_like(counts, self.low).masked_fill(truth, self.high)
        return wanted - counts / steps


@dataclass(frozen=True)
class Misclassification(CountReward):
    r"""Reward only where the true class does not win alone, of one size.

    .. math::

        R_{t,c} = -s_{t,c}\, [k_c \ge k_y] / T \qquad
        R_{t,y} = \bigl[\max_{c \ne y} k_c \ge k_y\bigr] / T

    A class that spikes as often as the true one is in its way as well: ties are read by index,
    which is no knowledge. A sample read rightly and alone gets nothing.

    Args:
        at_silence: whether to leave out the factor ``s``, for credit at every step in the place of
            relevance. With None it is as published, unless a learner finds at the output a rule
            that takes credit.

    Source: ``MisclassificationReward`` in the published code of Weber et al., TMLR 2025,
    :math:`-\operatorname{sign}(o_c) [o_c > o_y]` at logits o. Punishment alone would silence a
    spiking network, so the true class is rewarded while it is beaten.
    """

    @override
    def _error(self, counts: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        own = torch.where(truth, counts, 0).sum(-1, keepdim=True)
        beats = (~truth & (counts >= own * (1 - ROUNDING))).to(counts.dtype)
        return torch.where(truth, beats.any(-1, keepdim=True).to(counts.dtype), -beats)
