"""Layer-wise Feedback Propagation: reward decomposed backwards through layers and time."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import nn

from lfp_snn.engine.temporal import Memory
from lfp_snn.learners.base import Learner, LearnerOptions, StepResult, TrainingBatch
from lfp_snn.options import AS_MAPPING, Choice, choice_of, choose
from lfp_snn.rewards import REWARDS, Prediction, Reward
from lfp_snn.rules import RULES, Rule

__all__ = ["LFP", "LFPOptions"]

_RULES = {name: choice_of(name, rule) for name, rule in RULES.items()}
_REWARDS = {name: choice_of(name, reward) for name, reward in REWARDS.items()}


class LFPOptions(LearnerOptions):
    """How feedback is made.

    Attributes:
        rule: how a neuron hands its relevance on; a name of :data:`lfp_snn.rules.RULES`. The
            default is epsilon with eps 0.1, which trains better than the published 1e-6.
        reward: what enters at the output; a name of :data:`lfp_snn.rewards.REWARDS`.
        backend: the kernels behind the engine, ``auto`` to pick by device and activity.
        memory: ``full`` keeps every step for the way back, ``chunked`` repeats chunks of time, for
            long sequences.
        chunk: steps of a chunk; null to choose them by what they take.
    """

    name: Literal["lfp"] = "lfp"
    rule: Annotated[Choice, choose("rule", lambda: _RULES, "epsilon"), AS_MAPPING] = Field(
        default_factory=lambda: _RULES["epsilon"].model_validate({"name": "epsilon", "eps": 0.1})
    )
    reward: Annotated[Choice, choose("reward", lambda: _REWARDS, "rate_coded"), AS_MAPPING] = Field(
        default_factory=lambda: _REWARDS["rate_coded"](name="rate_coded")
    )
    backend: str = "auto"
    memory: Memory = "full"
    chunk: int | None = Field(default=None, ge=1)


class LFP(Learner, name="lfp"):
    """Train with LFP: no surrogate gradient, no autograd graph.

    Args:
        net: a module whose forward is one time step.
        rule: how a neuron hands its relevance on, for instance ``Epsilon(0.1)``.
        reward: the reward at the output spikes, for instance ``RateCoded()``.
        backend: the kernels behind the engine.
        memory: see :class:`~lfp_snn.TemporalLFP`, as chunk.
        chunk: steps of a chunk.

    Raises:
        NetworkError: the network cannot be traced, or a stage has no rule.
    """

    Options: ClassVar[type[LearnerOptions]] = LFPOptions

    def __init__(
        self,
        net: nn.Module,
        rule: Rule,
        reward: Reward,
        backend: str = "auto",
        memory: Memory = "full",
        chunk: int | None = None,
    ) -> None:
        super().__init__(net, rule, backend, memory, chunk)
        self.reward = reward

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> LFP:
        """Build rule and reward as described, and bind them to ``net``."""
        rule, reward = options.rule.make(), options.reward.make()
        return cls(net, rule, reward, options.backend, options.memory, options.chunk)

    def feedback(self, batch: TrainingBatch) -> StepResult:
        """Run the batch, reward its output spikes, send the reward back."""
        spikes = self.run(batch, record=True)
        membranes = self.engine.membranes
        reward = self.reward(spikes, batch.labels, lengths=batch.lengths, membranes=membranes)
        prediction = self.reward.predict(spikes, lengths=batch.lengths, membranes=membranes)
        firing = self.firing
        self.engine.backward(reward)
        size = float(reward.abs().sum()) / len(batch.labels)
        return StepResult(prediction.classes, prediction.ties, size, firing)

    def predict(self, batch: TrainingBatch) -> Prediction:
        """Read the classes as the reward reads them."""
        spikes = self.run(batch)
        return self.reward.predict(spikes, lengths=batch.lengths, membranes=self.engine.membranes)
