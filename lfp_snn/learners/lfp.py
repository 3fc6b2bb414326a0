"""The learner of Layer-wise Feedback Propagation: reward decomposed through layers and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field
from typing_extensions import override

from lfp_snn import engine
from lfp_snn.engine.exchange import Exchange
from lfp_snn.engine.options import EngineOptions, Memory, Precision, Statistics
from lfp_snn.errors import NotFiniteError
from lfp_snn.learners.base import Learner, LearnerOptions, StepResult, TrainingBatch
from lfp_snn.learners.ending import ByOutput, TaskShape
from lfp_snn.learners.homeostasis import Homeostasis, HomeostasisOptions
from lfp_snn.learners.reward_options import (
    AutoReward,
    choose_reward,
    refuse_other_output,
    settled,
)
from lfp_snn.learners.rule_options import RuleChoice, default_rule
from lfp_snn.learners.update import UpdateOptions
from lfp_snn.options import AS_MAPPING, Choice
from lfp_snn.rewards import Reward
from lfp_snn.rewards.base import require_reward
from lfp_snn.rewards.given import own_steps
from lfp_snn.rules import Composite, Rule

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lfp_snn.engine import TemporalLFP

__all__ = ["LFP", "LFPOptions"]


class LFPOptions(LearnerOptions):
    """The options of LFP: how feedback is made.

    Attributes:
        rule: how neurons and synapses hand relevance on, by name (``lfp-snn ls rules``), or a
            composite that gives each layer its own. The default is rescale, which is this
            project's; the published rule is ``{name: epsilon, eps: 1e-6}``.
        reward: what enters at the output, by name; ``lfp-snn ls rewards`` lists them. The default,
            auto, goes by what the network ends in: rate_coded for spikes (count_target where steps
            are few, softmax_rate of alpha neurons), membrane_coded for the membranes of a readout,
            softmax_values for values.
        backend: the kernels behind the engine, ``auto`` to pick by device and activity.
        memory: what is kept for the way back: ``full`` keeps every step, ``chunked`` repeats chunks
            of time, for long sequences.
        chunk: the steps of a chunk; null to choose them by the memory that they take.
        precision: the numbers in which products are computed: ``exact``, ``tf32``, ``bf16`` or
            ``fp16`` (:mod:`lfp_snn.backends.precision`).
        statistics: how credit goes through normalisations: ``fixed`` as published, with their
            statistics held fixed, or ``through`` them too, as autograd has it; null for through
            them under a rule that takes credit, such as rescale, and fixed under all others.
        update: what is made of the feedback: its form, normalisation, clipping by layer.
        homeostasis: how silent neurons are woken, such as ``{adapt: bias, target: 0.02}``;
            ``None``: not at all.
    """

    name: Literal["lfp"] = "lfp"
    rule: RuleChoice = Field(default_factory=default_rule)
    reward: Annotated[Choice, choose_reward(), AS_MAPPING] = AutoReward()
    memory: Memory = "full"
    chunk: int | None = Field(default=None, ge=1)
    precision: Precision = "tf32"
    statistics: Statistics | None = None
    update: UpdateOptions = UpdateOptions()
    homeostasis: HomeostasisOptions | None = None

    @override
    def engine_options(self) -> EngineOptions:
        return EngineOptions(
            self.backend,
            self.memory,
            self.chunk,
            precision=self.precision,
            statistics=self.statistics,
        )

    @override
    def settled(self, engine: TemporalLFP, task: TaskShape | None = None) -> Self:
        return self.model_copy(update={"reward": settled(self.reward, engine, task)})


class LFP(Learner, name="lfp"):
    """Train with LFP: no surrogate gradient, no autograd graph.

    Args:
        net: a module whose forward is one time step.
        rule: how neurons and synapses hand relevance on, for instance ``Epsilon(0.1)``.
        reward: the reward at the output, for instance ``RateCoded()``; None for the one that goes
            with what the network ends in.
        engine_options: how the engine runs: kernels and memory.
        update: what is made of the feedback.
        homeostasis: how silent neurons are woken; none are if ``None``.

    Raises:
        NetworkError: the network cannot be traced, a stage has no rule, or homeostasis finds no
            bias to move.
        ConfigError: a composite assigns a rule to nothing, or the reward looks at spikes and the
            output has none, or the other way round.
    """

    Options: ClassVar[type[LearnerOptions]] = LFPOptions

    def __init__(
        self,
        net: nn.Module,
        rule: Rule | Composite,
        reward: Reward | None = None,
        engine_options: EngineOptions | None = None,
        update: UpdateOptions | None = None,
        homeostasis: HomeostasisOptions | None = None,
    ) -> None:
        given = ByOutput() if reward is None else reward
        require_reward(given)
        self.update = update if update is not None else UpdateOptions()
        super().__init__(
            engine.TemporalLFP.with_options(net, rule, engine_options, self.update.rule())
        )
        emits, takes_credit = self.engine.emits, self.engine.takes_credit(self.engine.rules)
        if isinstance(given, ByOutput):
            late = self.engine.answers_late
            given = given.chosen(emits, takes_credit=takes_credit, answers_late=late)
        self.reward = given.at_output(emits, takes_credit=takes_credit)
        refuse_other_output(self.reward, self.engine)
        self.homeostasis = None if homeostasis is None else Homeostasis(self.engine, homeostasis)

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> LFP:
        """Build rule and reward as described, and bind them to ``net``."""
        return cls(
            net,
            options.rule.make(),
            options.reward.make(),
            options.engine_options(),
            options.update,
            options.homeostasis,
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
        prediction = self.read(spikes, membranes, batch.lengths)
        firing, final = self.engine.firing, self.engine.state
        if self.homeostasis is not None:
            self.homeostasis.watch(self.engine.layer_spikes(), batch.lengths)
        self.engine.backward(reward, as_credit=self.reward.is_credit)
        self.update.apply(self.net)
        size = reward.abs().sum() / len(batch.labels)
        return StepResult(prediction.classes, prediction.ties, size, firing, final)

    def share(self, exchange: Exchange) -> None:
        """Learn together with other processes; statistics of the batch are those of all of it."""
        self.exchange = exchange

    def shared_feedback(self, batch: TrainingBatch) -> StepResult | None:
        """Fill the feedback of a batch that processes share; sums leave while credit flows on.

        Forms, normalisation and clipping see the feedback of the whole batch. Arguments and errors
        are as of :meth:`Learner.shared_feedback`.
        """
        self.engine.exchange = self.exchange
        try:
            if len(batch.labels):
                return self.feedback(batch)
            self.engine.sit_out()
            self.update.apply(self.net)
            return None
        except NotFiniteError:
            self.engine.sit_out()  # the others wait for this process's part of the sums
            raise
        finally:
            self.engine.exchange = None

    @override
    def scored(self, spikes: Tensor, membranes: Tensor, lengths: Tensor | None) -> Tensor:
        """The scores by which the reward reads a class."""
        own = self.reward.looks_at != "membranes" or self.engine.reading != "mean"
        if self.engine.is_readout and own:
            return super().scored(spikes, membranes, lengths)
        return self.reward.scores(spikes, own_steps(spikes, lengths), membranes)

    @property
    def regresses(self) -> bool:
        """Whether the reward can learn targets that are numbers."""
        return self.reward.regresses

    def after_step(self) -> None:
        """Wake silent neurons, if that is asked for."""
        if self.homeostasis is not None:
            self.homeostasis.move(self.exchange)

    def state_dict(self) -> dict[str, Tensor]:
        """The running means of homeostasis."""
        return {} if self.homeostasis is None else self.homeostasis.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave."""
        if self.homeostasis is None:
            super().load_state_dict(state)
        else:
            self.homeostasis.load_state_dict(state)
