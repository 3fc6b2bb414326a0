"""The learner of LFP while a sequence runs: each step is rewarded, traces stand for the past."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field
from typing_extensions import override

from lfp_snn.engine.options import EngineOptions
from lfp_snn.errors import ConfigError
from lfp_snn.learners.base import LearnerOptions, StepResult, TrainingBatch
from lfp_snn.learners.ending import TaskShape
from lfp_snn.learners.lfp import LFP
from lfp_snn.learners.reward_options import AutoReward, choose_reward, settled
from lfp_snn.learners.rule_options import RuleChoice, default_rule
from lfp_snn.learners.update import UpdateOptions
from lfp_snn.options import AS_MAPPING, Choice
from lfp_snn.rewards import StepwiseReward
from lfp_snn.rewards.base import require_reward
from lfp_snn.rules import Composite, Rule
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lfp_snn.engine import TemporalLFP
    from lfp_snn.engine.online import OnlineSession

__all__ = ["OnlineLFP", "OnlineLFPOptions"]


class OnlineLFPOptions(LearnerOptions):
    """The options of online LFP: how feedback is made.

    Attributes:
        rule: how neurons and synapses hand relevance on; epsilon, norm, pass or rescale.
        reward: what enters at the output; one of :data:`lfp_snn.rewards.REWARDS` that depends only
            on the steps so far. The default, auto, is rate_coded (count_target where
            steps are few), for outputs that spike.
        carry: the constant of the traces, in [0, 1); null: three quarters of the neurons' decay.
        backend: the kernels that evaluate the network; learning runs on the reference kernels.
        update: what is made of the feedback: its form, normalisation, clipping by layer.
    """

    name: Literal["online_lfp"] = "online_lfp"
    rule: RuleChoice = Field(default_factory=default_rule)
    reward: Annotated[Choice, choose_reward(StepwiseReward), AS_MAPPING] = AutoReward()
    carry: float | None = Field(default=None, ge=0, lt=1)
    update: UpdateOptions = UpdateOptions()

    @override
    def settled(self, engine: TemporalLFP, task: TaskShape | None = None) -> Self:
        return self.model_copy(update={"reward": settled(self.reward, engine, task)})


class OnlineLFP(LFP, name="online_lfp"):
    """Train with LFP in memory that does not grow with T.

    Each step of a batch is rewarded by what was seen up to it, a share of 1 / T each, and adds its
    feedback; the optimizer steps once per batch, as for every learner. The last layer gets the
    feedback of LFP with the same rewards, the layers before it an approximation: see
    :mod:`lfp_snn.engine.traces`.

    Args:
        net: a module whose forward is one time step.
        rule: how neurons and synapses hand relevance on, for instance ``Epsilon(0.1)``.
        reward: the reward that judges each step; ``RateCoded()`` if None.
        carry: the constant of the traces.
        engine_options: how the engine runs: kernels and memory, where the network is
            evaluated; learning runs on the reference kernels.
        update: what is made of the feedback.

    Raises:
        NetworkError: the network cannot be traced, or there are no traces for a neuron or rule, or
            for a normalisation that takes its statistics from what it normalises.
        ConfigError: a composite assigns a rule to nothing.
    """

    Options: ClassVar[type[LearnerOptions]] = OnlineLFPOptions

    def __init__(
        self,
        net: nn.Module,
        rule: Rule | Composite,
        reward: StepwiseReward | None = None,
        carry: float | None = None,
        engine_options: EngineOptions | None = None,
        update: UpdateOptions | None = None,
    ) -> None:
        super().__init__(net, rule, reward, engine_options, update)
        if self.engine.emits != "spikes" and not isinstance(self.reward, StepwiseReward):
            raise ConfigError(
                f"The network ends in {self.engine.emits}, for which there is no reward while a "
                "sequence runs: end it in neurons that spike, or take the learner lfp."
            )
        require_reward(self.reward, StepwiseReward)
        self.stepwise: Any = self.reward
        self.carry = carry
        self._begin().refuse_statistics()  # and at once all else that it cannot train

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> OnlineLFP:
        """Build rule and reward as described, and bind them to ``net``."""
        return cls(
            net,
            options.rule.make(),
            options.reward.make(),
            options.carry,
            options.engine_options(),
            options.update,
        )

    def _begin(self) -> OnlineSession:
        return self.engine.online(self.stepwise, carry=self.carry)

    def feedback(self, batch: TrainingBatch) -> StepResult:
        """Run the batch step by step; reward each step and learn from it before the next."""
        session = self._begin()
        own = _steps(batch) if batch.lengths is None else batch.lengths.to(self.device)[:, None]
        total = 0.0
        for t, frame in enumerate(_frames(batch)):
            session.step(frame, running=None if batch.lengths is None else batch.lengths > t)
            reward = session.judge(batch.labels) / own
            session.learn(reward)
            total += float((reward.abs() * (t < own)).sum())
        session.collect()
        self.update.apply(self.net)
        classes, shared = session.predict()
        size, rates = total / len(batch.labels), session.firing_rates
        return StepResult(classes, shared, size, rates, session.membranes)


def _steps(batch: TrainingBatch) -> int:
    """The number of steps T of a batch."""
    return batch.x.shape[0] if batch.steps is None else batch.steps


def _frames(batch: TrainingBatch) -> Iterator[Spikes | Tensor]:
    """The input of each step, taken out of the batch when it is its turn."""
    for t in range(_steps(batch)):
        if isinstance(batch.x, Spikes):
            yield batch.x.window(t, t + 1)[0]
        else:
            yield batch.x if batch.steps is not None else batch.x[t]
