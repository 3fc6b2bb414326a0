"""Layer-wise Feedback Propagation: reward decomposed backwards through layers and time."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from lfp_snn.engine.chunked import Memory
from lfp_snn.learners.base import Learner, LearnerOptions, StepResult, TrainingBatch
from lfp_snn.learners.homeostasis import Homeostasis, HomeostasisOptions
from lfp_snn.learners.rule_options import RuleChoice, default_rule
from lfp_snn.learners.update import UpdateOptions
from lfp_snn.options import AS_MAPPING, Choice, choice_of, choose
from lfp_snn.rewards import REWARDS, Prediction, Reward
from lfp_snn.rules import Composite, Rule

__all__ = ["LFP", "LFPOptions", "reward_sections"]

# Sections are made when asked for: a program may add to the rewards.
_reward = cache(choice_of)


def reward_sections(kind: type = Reward) -> dict[str, type[Choice]]:
    """Sections of all rewards of a kind, by the name that a config uses."""
    return {
        name: _reward(name, reward) for name, reward in REWARDS.items() if issubclass(reward, kind)
    }


class LFPOptions(LearnerOptions):
    """How feedback is made.

    Attributes:
        rule: how neurons and synapses hand relevance on: a name of
            :data:`lfp_snn.rules.RULES`, or a composite that gives each layer its own. The default
            is epsilon with eps 0.1, which trains better than the published 1e-6.
        reward: what enters at the output; a name of :data:`lfp_snn.rewards.REWARDS`.
        backend: the kernels behind the engine, ``auto`` to pick by device and activity.
        memory: ``full`` keeps every step for the way back, ``chunked`` repeats chunks of time, for
            long sequences.
        chunk: steps of a chunk; null to choose them by what they take.
        update: what is made of the feedback: its form, normalisation, clipping by layer.
        homeostasis: how silent neurons are woken; ``None``: not at all.
    """

    name: Literal["lfp"] = "lfp"
    rule: RuleChoice = Field(default_factory=default_rule)
    reward: Annotated[Choice, choose("reward", reward_sections, "rate_coded"), AS_MAPPING] = Field(
        default_factory=lambda: reward_sections()["rate_coded"](name="rate_coded")
    )
    backend: str = "auto"
    memory: Memory = "full"
    chunk: int | None = Field(default=None, ge=1)
    update: UpdateOptions = UpdateOptions()
    homeostasis: HomeostasisOptions | None = None


class LFP(Learner, name="lfp"):
    """Train with LFP: no surrogate gradient, no autograd graph.

    Args:
        net: a module whose forward is one time step.
        rule: how neurons and synapses hand relevance on, for instance ``Epsilon(0.1)``.
        reward: the reward at the output spikes, for instance ``RateCoded()``.
        backend: the kernels behind the engine.
        update: what is made of the feedback.
        homeostasis: how silent neurons are woken; none are if ``None``.
        memory: see :class:`~lfp_snn.TemporalLFP`, as chunk.
        chunk: steps of a chunk.

    Raises:
        NetworkError: the network cannot be traced, a stage has no rule, or homeostasis finds no
            bias to move.
        ConfigError: a composite assigns a rule to nothing.
    """

    Options: ClassVar[type[LearnerOptions]] = LFPOptions

    def __init__(
        self,
        net: nn.Module,
        rule: Rule | Composite,
        reward: Reward,
        backend: str = "auto",
        update: UpdateOptions | None = None,
        homeostasis: HomeostasisOptions | None = None,
        *,
        memory: Memory = "full",
        chunk: int | None = None,
    ) -> None:
        self.update = update if update is not None else UpdateOptions()
        super().__init__(net, rule, backend, self.update.rule(), memory=memory, chunk=chunk)
        self.reward = reward
        self.homeostasis = None if homeostasis is None else Homeostasis(self.engine, homeostasis)

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> LFP:
        """Build rule and reward as described, and bind them to ``net``."""
        return cls(
            net,
            options.rule.make(),
            options.reward.make(),
            options.backend,
            options.update,
            options.homeostasis,
            memory=options.memory,
            chunk=options.chunk,
        )

    def feedback(self, batch: TrainingBatch) -> StepResult:
        """Run the batch, reward its output spikes, send the reward back."""
        spikes = self.run(batch, record=True)
        membranes = self.engine.membranes
        reward = self.reward(
            spikes,
            batch.labels,
            lengths=batch.lengths,
            membranes=membranes,
            targets=batch.targets,
        )
        prediction = self.reward.predict(spikes, lengths=batch.lengths, membranes=membranes)
        firing = self.firing
        if self.homeostasis is not None:
            self.homeostasis.watch(self.engine.layer_spikes(), batch.lengths)
        self.engine.backward(reward)
        self.update.apply(self.net)
        size = float(reward.abs().sum()) / len(batch.labels)
        return StepResult(prediction.classes, prediction.ties, size, firing)

    def predict(self, batch: TrainingBatch) -> Prediction:
        """Read the classes as the reward reads them."""
        spikes = self.run(batch)
        return self.reward.predict(spikes, lengths=batch.lengths, membranes=self.engine.membranes)

    def after_step(self) -> None:
        """Wake silent neurons, if that is asked for."""
        if self.homeostasis is not None:
            self.homeostasis.move()

    def state_dict(self) -> dict[str, Tensor]:
        """The running means of homeostasis."""
        return {} if self.homeostasis is None else self.homeostasis.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave."""
        if self.homeostasis is None:
            super().load_state_dict(state)
        else:
            self.homeostasis.load_state_dict(state)
