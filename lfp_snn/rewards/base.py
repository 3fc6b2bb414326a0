"""The base classes of rewards, and how a class is read from scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

from typing_extensions import override

from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.later import torch
from lfp_snn.lif import running
from lfp_snn.rewards.given import (
    Labels,
    integers,
    own_steps,
    require_open_flag,
    require_record,
    true_classes,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LooksAt", "Output", "Prediction", "Reward", "RewardState", "ties"]

#: What a network ends in, as :attr:`lfp_snn.TemporalLFP.emits` says.
Output = Literal["spikes", "membranes", "values"]
#: What of the output a reward looks at; ``any`` if its user decides.
LooksAt = Literal["spikes", "membranes", "values", "any"]


#: By which share of itself a sum may differ from an equal one.
ROUNDING = 1e-6


class Prediction(NamedTuple):
    """The classes, int64 ``[B]``, and whether the best score was shared, bool ``[B]``."""

    classes: Tensor
    ties: Tensor


class RewardState(NamedTuple):
    """The state of a reward in a stream: the evidence ``[B, C]`` and the number of steps so far.

    The number of steps is one number, or ``[B, 1]`` where samples began at different times.
    """

    evidence: Tensor
    steps: int | Tensor


def ties(scores: Tensor) -> Prediction:
    """Read classes from scores ``[B, C]``: the highest wins, the lowest index among equals.

    Scores are equal if they differ by a millionth at most, as rounding of sums may make them:
    counts of votes are no whole numbers.
    """
    best = scores.max(-1, keepdim=True).values
    winners = torch.isclose(scores, best.expand_as(scores), rtol=ROUNDING, atol=0)
    return Prediction(winners.to(torch.uint8).argmax(-1), winners.sum(-1) > 1)


class Reward(ABC):
    """The base of all rewards: the reward of a sequence and the prediction.

    To make one, subclass it and implement :meth:`reward`; :meth:`scores` too, if the class is not
    the output with the most spikes. ``REWARDS["mine"] = Mine`` (a dataclass of its options) then
    lets settings name it.

    Attributes:
        regresses: whether the targets can be numbers to learn, where no class is known.
        looks_at: the part of the output that the reward looks at. Neurons have spikes and
            membranes, a readout, whose neurons never spike, membranes alone, and a network that
            ends in no neurons values alone.
    """

    looks_at: ClassVar[LooksAt] = "spikes"
    regresses: ClassVar[bool] = False

    @property
    def is_credit(self) -> bool:
        """Whether the reward is credit of the output at every step, silent or not, not relevance.

        Relevance, as published, has its place at the spikes: what a spike did is good or bad.
        Credit says what a spike would be worth, at every step; a rule that knows silence
        (:class:`lfp_snn.rules.Rescale`) makes credit of the membrane of it. By hand
        ``lfp.backward(reward(spikes, labels))`` decides by the rule at the output; a learner hands
        this word on, ``as_credit=reward.is_credit``.
        """
        return False

    def suited(self, *, takes_credit: bool) -> Self:
        """A reward like this one, with open options decided by the rule at the output.

        Args:
            takes_credit: what :meth:`lfp_snn.TemporalLFP.takes_credit` says of the rules.
        """
        return self

    def at_output(self, output: Output, *, takes_credit: bool) -> Reward:
        """The reward that a learner gives in the place of this one, with all that was open decided.

        Args:
            output: what the network ends in.
            takes_credit: what :meth:`lfp_snn.TemporalLFP.takes_credit` says of the rules.
        """
        return self.suited(takes_credit=takes_credit)

    def __call__(
        self,
        spikes: Tensor,
        labels: Labels | None = None,
        *,
        lengths: Labels | None = None,
        membranes: Tensor | None = None,
        targets: Tensor | None = None,
    ) -> Tensor:
        """The reward of a whole sequence.

        Args:
            spikes: the output spikes ``[T, B, C]``, 0 or 1, floating dtype; values, for rewards
                that look at them.
            labels: the true classes, integers ``[B]``, for rewards that look at them: a tensor, a
                list or an array.
            lengths: the steps of each sample, int ``[B]``; T if ``None``.
            membranes: the output membranes ``[T, B, C]``, for rewards that look at them.
            targets: what the output should be, or what it earned, for rewards that look at it;
                each reward says in which shape.

        Returns:
            The reward ``[T, B, C]`` in the dtype of the spikes, zero after a sample's end.

        Raises:
            ShapeError: shapes do not fit, a label is no class, something is missing, or spikes and
                labels have changed places.
        """
        require_record(spikes, labels)
        own = own_steps(spikes, lengths)
        truth = None if labels is None else integers("labels", labels)
        seen = Seen(spikes, truth, own, membranes, targets)
        reward = self.reward(seen)
        if lengths is None:
            return reward
        ends = integers("lengths", lengths).to(spikes.device)
        return reward * running(ends, spikes.shape[0], 3)

    @abstractmethod
    def reward(self, seen: Seen) -> Tensor:
        """Compute the reward ``[T, B, C]``; what lies after a sample's end does not matter."""

    def scores(self, spikes: Tensor, steps: Tensor, membranes: Tensor | None = None) -> Tensor:
        """The scores ``[B, C]`` from which the class is read; the highest wins.

        Args:
            spikes: the output spikes ``[T, B, C]``.
            steps: the number of steps of each sample, ``[B, 1]``.
            membranes: the output membranes ``[T, B, C]``, for rewards that look at them.
        """
        return spikes.sum(0)

    def predict(
        self,
        spikes: Tensor,
        *,
        lengths: Labels | None = None,
        membranes: Tensor | None = None,
    ) -> Prediction:
        """The classes and ties from output spikes ``[T, B, C]``; arguments are as in a call."""
        require_record(spikes)
        return ties(self.scores(spikes, own_steps(spikes, lengths), membranes))


@dataclass(frozen=True, kw_only=True)
class CreditReward(Reward):
    """The base of rewards that can be given at silence too, as credit in the place of relevance.

    Args:
        at_silence: whether the reward is credit at every step: what one more spike, or a higher
            value, would be worth there. With None it is as published, unless a learner finds at the
            output a rule that takes credit (:meth:`lfp_snn.TemporalLFP.takes_credit`).
    """

    at_silence: bool | None = None

    def __post_init__(self) -> None:
        require_open_flag(f"{type(self).__name__}.at_silence", self.at_silence)

    @property
    @override
    def is_credit(self) -> bool:
        return bool(self.at_silence)

    @override
    def suited(self, *, takes_credit: bool) -> Self:
        return replace(self, at_silence=takes_credit) if self.at_silence is None else self


class StepwiseReward(Reward):
    """The base of rewards that can be evaluated while a sequence still runs."""

    #: Evidence before the first step.
    fresh: ClassVar[float] = 0.0
    #: Is the evidence a sum over the steps, of which older ones may fade?
    additive: ClassVar[bool] = True

    def step(
        self, spikes: Tensor, labels: Labels, state: RewardState | None = None
    ) -> tuple[Tensor, RewardState]:
        """The reward of one more step ``[B, C]`` of a stream, as if it were the last one.

        It equals the last row of the reward of all steps so far. Start with ``state=None`` and hand
        the returned state on.
        """
        seen = self.observe(spikes, state)
        return self.now(spikes, labels, seen), seen

    def observe(self, spikes: Tensor, state: RewardState | None = None) -> RewardState:
        """The state after one more step ``[B, C]``, for which no labels are needed."""
        if state is None:
            state = RewardState(torch.full_like(spikes, self.fresh), 0)
        return RewardState(self._gather(spikes, state), state.steps + 1)

    def now(self, spikes: Tensor, labels: Labels, seen: RewardState) -> Tensor:
        """Reward of the step ``[B, C]`` that was observed last, as if the stream ended there."""
        truth = true_classes(spikes.shape, labels, spikes.device)
        steps = torch.ones_like(spikes[:, :1]) * seen.steps
        return self._now(spikes, seen.evidence, steps, truth)

    def standing(self, seen: RewardState) -> Tensor:
        """The scores ``[B, C]`` of a stream so far, from which the class is read."""
        return seen.evidence

    @abstractmethod
    def _gather(self, spikes: Tensor, before: RewardState) -> Tensor:
        """The evidence ``[B, C]`` after one more step."""

    @abstractmethod
    def _now(self, spikes: Tensor, evidence: Tensor, steps: Tensor, truth: Tensor) -> Tensor:
        """Reward of the last step, from evidence that includes it, after ``steps`` ``[B, 1]``."""


class Seen(NamedTuple):
    """The values that a reward may look at (:meth:`Reward.__call__`), with ``steps`` ``[B, 1]``."""

    spikes: Tensor
    labels: Tensor | None
    steps: Tensor
    membranes: Tensor | None
    targets: Tensor | None

    @property
    def truth(self) -> Tensor:
        """Bool ``[B, C]``, true at each sample's class."""
        return true_classes(self.spikes.shape, self.labels, self.spikes.device)

    @property
    def alive(self) -> Tensor:
        """Bool ``[T, B, 1]``, true until each sample's end."""
        return running(self.steps[:, 0], self.spikes.shape[0], 3)

    def output_target(self) -> Tensor | None:
        """The targets, if there are any, as one number per output and step ``[T, B, C]``.

        Targets ``[B, C]`` hold at every step.

        Raises:
            ShapeError: the targets do not have the shape of the output.
        """
        if self.targets is not None and self.targets.shape == self.spikes.shape[1:]:
            return self.targets.to(self.spikes).expand_as(self.spikes)
        if self.targets is not None and self.targets.shape != self.spikes.shape:
            raise ShapeError(
                f"The targets have the shape {tuple(self.targets.shape)}; expected that of the "
                f"output, {tuple(self.spikes.shape)} (steps, samples, outputs), or without steps."
            )
        return None if self.targets is None else self.targets.to(self.spikes)


def require_reward(given: object, kind: type[Any] = Reward) -> None:
    """Refuse what is no reward of a kind.

    Args:
        given: what was given as the reward.
        kind: the base class of such rewards.

    Raises:
        ConfigError: it is something else, such as the class of a reward.
    """
    if not isinstance(given, kind):
        raise ConfigError(
            f"The reward is {given!r}; expected a {kind.__name__}, such as "
            "lfp_snn.rewards.RateCoded()."
        )


def smoothed(truth: Tensor, share: float, like: Tensor) -> Tensor:
    """Labels ``[B, C]`` of which every class has an equal share, in the dtype of ``like``.

    ``q_c = (1 - share) [c = y] + share / C`` (Szegedy et al., CVPR 2016).

    Args:
        truth: a bool tensor ``[B, C]``, true at each sample's class.
        share: the share that all classes divide among them.
        like: a tensor of the dtype of the result.
    """
    return truth.to(like) * (1 - share) + share / truth.shape[-1]
