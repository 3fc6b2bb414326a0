r"""A learner that notes its rewards and how its updates lie to those of another learner.

The update that LFP asks for is its feedback, :math:`-g` with :math:`g` what it leaves in ``.grad``.
Of each synaptic weight, as one long vector, its direction is compared with the gradient
:math:`h` that another learner finds for the same batch at the same weights,

.. math:: \cos(g, h) = \frac{g \cdot h}{\lVert g \rVert \, \lVert h \rVert}

before clipping and before the optimizer. At 1 both updates go the same way; at 0 they have nothing
to do with each other, as random directions in n dimensions, whose cosine is about :math:`1 / \sqrt
n`; below 0 they work against each other. What LFP seeks is reward and not a lower loss: the
published reward asks for more spikes of the true class and hardly minds those of others while they
are few, where a cross-entropy minds them at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.engine.copying import copy_of
from lfp_snn.learners import LEARNERS, Learner, LearnerOptions, StepResult, TrainingBatch

__all__ = ["Probed", "cosine"]


def cosine(one: Tensor, other: Tensor) -> float | None:
    """The cosine of the angle between two tensors, as vectors; ``None`` where one is zero."""
    one, other = one.flatten().double(), other.flatten().double()
    lengths = float(one.norm() * other.norm())
    return float(one @ other) / lengths if lengths else None


class Probed(Learner):
    """A learner that learns as another one does, and notes what it learns from.

    Args:
        learner: the learner that learns; it is left as it is.
        against: the learner whose updates it is compared with, on a copy of the network.
        every: the steps from one comparison to the next; the first step has one.
    """

    def __init__(self, learner: Learner, against: LearnerOptions, every: int) -> None:
        # Not Learner.__init__: network and engine are those of the learner.
        self.net, self.engine, self.learner, self.every = (
            learner.net,
            learner.engine,
            learner,
            every,
        )
        other = copy_of(learner.net)
        self._other = LEARNERS[against.name].from_options(other, against)
        #: Of each step: mean over the samples of their summed absolute reward.
        self.rewards: list[float] = []
        #: Steps (from 0) at which updates were compared.
        self.probed: list[int] = []
        #: At each, the cosine of every synaptic weight, from the input to the output.
        self.cosines: list[list[float | None]] = []

    @classmethod
    def from_options(cls, net: torch.nn.Module, options: Any) -> Learner:
        """Refuse: a probe is made around a learner and has no options."""
        raise NotImplementedError

    @property
    def layers(self) -> list[str]:
        """The names of the synaptic weights, from the input to the output."""
        return [name for name, each in self.net.named_parameters() if each.dim() > 1]

    @override
    def feedback(self, batch: TrainingBatch) -> StepResult:
        result = self.learner.feedback(batch)
        step = len(self.rewards)
        self.rewards.append(float(result.reward))
        if step % self.every == 0:
            self.probed.append(step)
            self.cosines.append(self._compare(batch))
        return result

    def _compare(self, batch: TrainingBatch) -> list[float | None]:
        other = self._other
        with torch.no_grad():
            for theirs, ours in zip(other.net.parameters(), self.net.parameters(), strict=True):
                theirs.copy_(ours)
        other.net.train(self.net.training)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):  # what it draws shall not change the training
            other.feedback(batch)
        pairs = (
            (self.net.get_parameter(name).grad, other.net.get_parameter(name).grad)
            for name in self.layers
        )
        return [None if g is None or h is None else cosine(g, h) for g, h in pairs]

    @override
    def scores(self, batch: TrainingBatch) -> Tensor:
        return self.learner.scores(batch)

    @override
    def after_step(self) -> None:
        self.learner.after_step()

    @override
    def state_dict(self) -> dict[str, Tensor]:
        return self.learner.state_dict()

    @override
    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.learner.load_state_dict(state)

    @property
    @override
    def populations(self) -> tuple[str, ...]:
        return self.learner.populations
