"""What the rules share that descend a loss through autograd."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from lfp_snn.engine import TemporalLFP
from lfp_snn.engine.options import EngineOptions
from lfp_snn.errors import ConfigError
from lfp_snn.learners.base import Learner, LearnerOptions, StepResult, TrainingBatch
from lfp_snn.learners.losses import (
    Loss,
    LossName,
    SpikeFunction,
    SurrogateName,
    make_loss,
    make_surrogate,
)
from lfp_snn.learners.unrolled import Unrolled, counted, frames, membranes, rest, set_spike

__all__ = ["GradientLearner", "LossOptions", "SurrogateOptions"]


class LossOptions(LearnerOptions):
    """A loss on the outputs.

    Attributes:
        loss: of ``snntorch.functional``, by name.
        loss_options: handed to it, such as ``{correct_rate: 0.8}``.
        backend: the kernels that evaluate the network, ``auto`` to pick by device and activity.
    """

    loss: LossName = "ce_count_loss"
    loss_options: dict[str, float | bool] = Field(default_factory=dict)

    def make_loss(self) -> Loss:
        """The loss."""
        return make_loss(self.loss, self.loss_options)

    def check(self) -> None:
        """Raise if the loss has no such options."""
        super().check()
        self.make_loss()


class SurrogateOptions(LossOptions):
    """A loss, and a derivative for the step function.

    Attributes:
        surrogate: of ``snntorch.surrogate``, by name.
        slope: shapes the surrogate (its alpha, slope, threshold or variance); ``None`` for
            snntorch's own value.
    """

    surrogate: SurrogateName = "atan"
    slope: float | None = Field(default=None, gt=0)

    def make_surrogate(self) -> SpikeFunction:
        """The spike function."""
        return make_surrogate(self.surrogate, self.slope)

    def check(self) -> None:
        """Raise if the surrogate cannot be shaped."""
        super().check()
        self.make_surrogate()


class GradientLearner(Learner):
    """Steps the snntorch modules under autograd, and descends a loss.

    The spike function is set on the neurons and stays there; the engine, which evaluates the
    network, has its own step. Dropout draws a mask for every step, as the modules do by themselves,
    where the engine keeps one over time.

    Args:
        net: a module whose forward is one time step.
        spike: turns ``membrane - threshold`` into spikes.
        engine_options: how the engine, which evaluates the network, runs.
    """

    def __init__(
        self, net: nn.Module, spike: SpikeFunction, engine_options: EngineOptions | None = None
    ) -> None:
        super().__init__(TemporalLFP.with_options(net, options=engine_options))
        self._membranes: dict[str, Tensor] = {}
        set_spike(net, spike)

    def check_loss(self, loss: Loss) -> None:
        """Refuse a loss on spikes where the outputs never spike.

        Raises:
            ConfigError: names the loss.
        """
        if self.engine.is_readout and loss.looks_at == "spikes":
            raise ConfigError(
                "The output neurons never spike (their threshold is infinite), but the loss looks "
                "at spikes: take ce_max_membrane_loss or mse_membrane_loss."
            )

    def feedback(self, batch: TrainingBatch) -> StepResult:
        """Run the batch, and fill the gradients."""
        for parameter in self.net.parameters():
            parameter.grad = None
        rest(self.net)
        inputs = frames(batch, self.engine.dtype)
        try:
            with torch.enable_grad(), counted(self.net) as counter:
                out, loss = self.learn(inputs, batch)
            self._membranes = membranes(self.net)
        finally:
            rest(self.net)
        prediction = self.read(out.spikes.detach(), out.membranes.detach(), batch.lengths)
        return StepResult(prediction.classes, prediction.ties, float(loss), counter.rates)

    def membranes(self) -> Mapping[str, Tensor]:
        """Membranes ``[B, ...]`` after the last step of the last training batch."""
        return self._membranes

    @abstractmethod
    def learn(self, inputs: Iterable[Tensor], batch: TrainingBatch) -> tuple[Unrolled, Tensor]:
        """Fill ``.grad``, summed over the batch, from neurons at rest.

        Args:
            inputs: ``[B, *feature]`` of each step.
            batch: labels and lengths.

        Returns:
            What the outputs did and the loss, its mean over the batch.
        """
