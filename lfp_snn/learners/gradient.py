"""The base of rules that descend a loss through autograd."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field
from typing_extensions import override

from lfp_snn import engine
from lfp_snn.engine.options import EngineOptions
from lfp_snn.errors import OtherOutputError
from lfp_snn.later import later, torch
from lfp_snn.learners.base import Learner, LearnerOptions, StepResult, TrainingBatch
from lfp_snn.learners.by_layer import check_by_layer
from lfp_snn.learners.ending import TaskShape
from lfp_snn.learners.losses import (
    Loss,
    LossByOutput,
    LossName,
    SpikeFunction,
    SurrogateName,
    check_loss,
    check_surrogate,
    loss_by_output,
    make_loss,
    make_surrogate,
)
from lfp_snn.learners.unrolled import (
    Unrolled,
    counted,
    frames,
    membranes,
    refuse_other_steps,
    rest,
    set_spike,
    spiking,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lfp_snn.engine import TemporalLFP, identity
else:
    identity = later("lfp_snn.engine.identity")

__all__ = ["GradientLearner", "LossOptions", "SurrogateOptions"]


class LossOptions(LearnerOptions):
    """The options of a rule with a loss on the outputs.

    Attributes:
        loss: the name of a loss of ``snntorch.functional``; ``tet_loss`` and ``tet_membrane_loss``
            are the mean of every step's loss, of its spikes so far or its membranes
            (:func:`lfp_snn.learners.losses.tet`); ``ce_mean_membrane_loss`` is the cross-entropy of
            the mean membranes or values, ``mse_target_loss`` the squared difference to targets. The
            default, auto, goes by what the network ends in: ce_count_loss for spikes,
            ce_mean_membrane_loss for the membranes of a readout and for values; mse_target_loss for
            these where samples have targets.
        loss_options: the options of that loss, such as ``{correct_rate: 0.8}``.
        smoothing: the share of each label that all classes divide among them, in [0, 1), for
            cross-entropies.
        backend: the kernels that evaluate the network, ``auto`` to pick by device and activity.
    """

    loss: Literal[LossName, "auto"] = "auto"
    loss_options: dict[str, float | bool] = Field(default_factory=dict)
    smoothing: float = Field(default=0.0, ge=0, lt=1)

    def make_loss(self) -> Loss | LossByOutput:
        """Make the loss, or what chooses it when the network is there."""
        if self.loss == "auto":
            return LossByOutput(self.loss_options, self.smoothing)
        return make_loss(self.loss, self.loss_options, self.smoothing)

    def check(self) -> None:
        """Raise ConfigError if the loss has no such options, or no labels to smooth."""
        super().check()
        check_loss(self.loss, self.loss_options, self.smoothing)

    @override
    def settled(self, engine: TemporalLFP, task: TaskShape | None = None) -> Self:
        if self.loss != "auto":
            return self
        aims = task is not None and task.targets and engine.emits != "spikes"
        chosen = "mse_target_loss" if aims else loss_by_output(engine.emits, votes=engine.votes)
        return self.model_copy(update={"loss": chosen})


class SurrogateOptions(LossOptions):
    """The options of a rule with a loss and a derivative for the step function.

    Attributes:
        surrogate: the name of a surrogate of ``snntorch.surrogate``.
        slope: the parameter of the surrogate (its alpha, slope, threshold or variance); ``None``
            for snntorch's own value.
    """

    surrogate: SurrogateName = "atan"
    slope: float | None = Field(default=None, gt=0)

    def make_surrogate(self) -> SpikeFunction:
        """Make the spike function."""
        return make_surrogate(self.surrogate, self.slope)

    def check(self) -> None:
        """Raise ConfigError if the surrogate has no such parameter."""
        super().check()
        check_surrogate(self.surrogate, self.slope)


class GradientLearner(Learner):
    """The base of learners that step the snntorch modules under autograd, and descend a loss.

    The spike function is set on the neurons and stays there; the engine, which evaluates the
    network, has its own step. Dropout draws a mask for every step, as the modules do by themselves,
    where the engine keeps one over time.

    Args:
        net: a module whose forward is one time step.
        spike: the function that turns ``membrane - threshold`` into spikes.
        engine_options: how the engine, which evaluates the network, runs.
    """

    def __init__(
        self, net: nn.Module, spike: SpikeFunction, engine_options: EngineOptions | None = None
    ) -> None:
        super().__init__(engine.TemporalLFP.with_options(net, options=engine_options))
        self._runs_by_layer = identity.is_plain(net)
        set_spike(net, spike)

    def fitting(self, loss: Loss | LossByOutput) -> Loss:
        """The loss that fits what the network ends in.

        Args:
            loss: a loss, or what chooses one.

        Raises:
            OtherOutputError: the outputs never spike, and the loss looks at spikes.
        """
        if isinstance(loss, LossByOutput):
            return loss.at_output(self.engine.emits, votes=self.engine.votes)
        if self.engine.is_readout and loss.looks_at == "spikes":
            raise OtherOutputError(
                "The output neurons never spike (they are a readout), but the loss looks "
                "at spikes: leave the loss out, which then goes by that, or take "
                "ce_mean_membrane_loss, ce_max_membrane_loss, tet_membrane_loss or "
                "mse_membrane_loss."
            )
        return loss

    @property
    def regresses(self) -> bool:
        """Whether the loss can learn targets that are numbers."""
        loss = getattr(self, "loss", None)
        return isinstance(loss, Loss) and loss.of_targets

    def feedback(self, batch: TrainingBatch) -> StepResult:
        """Run the batch, and fill the gradients."""
        self.engine.trace(batch.x, batch.steps)
        self.check_steps()
        for parameter in self.net.parameters():
            parameter.grad = None
        rest(self.net)
        inputs = frames(batch, self.engine.dtype)
        try:
            with torch.enable_grad(), counted(self.net) as counter:
                out, loss = self.learn(inputs, batch)
            final = membranes(self.net)
        finally:
            rest(self.net)
        prediction = self.read(out.spikes.detach(), out.membranes.detach(), batch.lengths)
        return StepResult(prediction.classes, prediction.ties, float(loss), counter.rates, final)

    def check_layers(self, inputs: Sequence[Tensor]) -> None:
        """Hold a network with code of a user, once, by layer against step by step.

        Raises:
            NetworkError: it computes something else when all steps are run in one call.
        """
        if not self._runs_by_layer:
            check_by_layer(self.net, inputs, last=self.engine.output_neurons)
            self._runs_by_layer = True

    def check_steps(self) -> None:
        """Refuse a network that goes over time in a way in which the rule cannot run it.

        Raises:
            NetworkError: it cannot be called once at every step.
        """
        refuse_other_steps(self.engine, f"The learner {self.name}")

    @property
    def populations(self) -> tuple[str, ...]:
        """The neurons that can spike, which alone are counted while modules are stepped."""
        return tuple(spiking(self.net))

    @abstractmethod
    def learn(self, inputs: Iterable[Tensor], batch: TrainingBatch) -> tuple[Unrolled, Tensor]:
        """Fill ``.grad``, summed over the batch, from neurons at rest.

        Args:
            inputs: the input ``[B, *feature]`` of each step.
            batch: the batch with labels and lengths.

        Returns:
            What the outputs did, and the mean of the loss over the batch.
        """
