"""Rewards that come from outside: a number for each sample, or a user's own function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from typing_extensions import override

from lfp_snn.errors import ConfigError, NotFiniteError, ShapeError
from lfp_snn.later import torch
from lfp_snn.rewards.base import LooksAt, Reward, Seen, ties
from lfp_snn.rewards.given import require_finite

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Function", "RewardFunction", "Scalar"]

#: ``function(spikes, labels, lengths, membranes)``: the reward ``[T, B, C]``.
RewardFunction: TypeAlias = "Callable[[Tensor, Tensor | None, Tensor, Tensor | None], Tensor]"


@dataclass(frozen=True)
class Scalar(Reward):
    r"""One number for each sample, such as +1 (good) or -1 (bad), as a person would give it.

    The number :math:`r` says how good the outcome was and not what would have been right, so it is
    given to the output that acted: :math:`\hat y`, the class that is read, shares it among its
    :math:`k_{\hat y}` spikes,

    .. math:: R_{t,\hat y} = r\, s_{t,\hat y} / k_{\hat y}, \qquad R_{t,c} = 0 \text{ otherwise}

    A sample's reward sums to its number. Where no output spiked nobody acted, and nothing is
    rewarded: begin with a calibrated network.

    The numbers are ``targets`` ``[B]`` if they are given, in any range; otherwise the labels tell:
    ``right`` where the class is read correctly and ``wrong`` where not, without a word about which
    it should have been.

    Args:
        right: the number of a sample whose class is read correctly.
        wrong: the number of a sample whose class is not.

    Raises:
        ConfigError: an option is no finite number.

    Source: reinforcement by a scalar, in the place of the reward of Weber et al., TMLR 2025; the
    way it is shared is this project's.
    """

    right: float = 1.0
    wrong: float = -0.3

    def __post_init__(self) -> None:
        require_finite("Scalar.right", self.right)
        require_finite("Scalar.wrong", self.wrong)

    @override
    def reward(self, seen: Seen) -> Tensor:
        counts = seen.spikes.sum(0)
        acted = ties(counts).classes
        numbers = self._numbers(seen, acted).to(counts)
        share = numbers[:, None] / counts.clamp(min=1)
        chosen = torch.zeros_like(counts).scatter_(-1, acted[:, None], 1)
        return seen.spikes * chosen * share

    def _numbers(self, seen: Seen, acted: Tensor) -> Tensor:
        batch = seen.spikes.shape[1]
        if seen.targets is None:
            correct = seen.truth.gather(-1, acted[:, None])[:, 0]
            return self.wrong + (self.right - self.wrong) * correct.to(seen.spikes.dtype)
        if seen.targets.shape not in ((batch,), (batch, 1)):
            raise ShapeError(
                f"The targets have the shape {tuple(seen.targets.shape)}; expected ({batch},), one "
                "number per sample."
            )
        return seen.targets.view(batch)


@dataclass(frozen=True)
class Function(Reward):
    """A user's function as a reward.

    The reward is for Python only: no config can name a function, since loading a config never runs
    code that it names.

    Args:
        function: a function called as ``function(spikes, labels, lengths, membranes)`` with spikes
            and membranes ``[T, B, C]`` (membranes ``None`` where there are none), labels int64
            ``[B]`` (or ``None``) and lengths int64 ``[B]``; it returns the reward, a tensor ``[T,
            B, C]``. What it returns after a sample's end is not used.

    Raises:
        ConfigError: it cannot be called.
        ShapeError: what the function returned is no finite tensor of that shape.

    Example::

        def last_step(spikes, labels, lengths, membranes):
            target = torch.nn.functional.one_hot(labels, spikes.shape[-1])
            reward = torch.zeros_like(spikes)
            reward[-1] = target - spikes[-1]
            return reward

        learner = LFP(net, Epsilon(0.1), Function(last_step))
    """

    looks_at: ClassVar[LooksAt] = "any"
    function: RewardFunction

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ConfigError(
                f"Function.function is {str(self.function)[:80]}; expected a function of "
                "(spikes, labels, lengths, membranes) that returns the reward."
            )

    @override
    def reward(self, seen: Seen) -> Tensor:
        lengths = seen.steps[:, 0].long()
        reward = self.function(seen.spikes, seen.labels, lengths, seen.membranes)
        name = getattr(self.function, "__name__", type(self.function).__name__)
        expected = tuple(seen.spikes.shape)
        if not isinstance(reward, torch.Tensor) or reward.shape != expected:
            found = (
                tuple(reward.shape) if isinstance(reward, torch.Tensor) else type(reward).__name__
            )
            raise ShapeError(
                f"The reward function {name} returned {found}; expected a tensor of shape "
                f"{expected}, one number per step, sample and output."
            )
        if reward.device.type == "cpu" and not bool((reward.isfinite() | ~seen.alive).all()):
            raise NotFiniteError(f"The reward function {name} returned NaN or infinite values.")
        return torch.where(seen.alive, reward, 0).to(seen.spikes)
