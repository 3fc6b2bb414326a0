"""The learner of backpropagation through time with a surrogate gradient, as in snntorch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from lfp_snn.engine.options import EngineOptions
from lfp_snn.errors import NetworkError
from lfp_snn.later import torch
from lfp_snn.learners.as_called import unroll_as_called
from lfp_snn.learners.base import LearnerOptions, TrainingBatch
from lfp_snn.learners.by_layer import unroll_by_layer
from lfp_snn.learners.gradient import GradientLearner, SurrogateOptions
from lfp_snn.learners.losses import Loss, LossByOutput, SpikeFunction
from lfp_snn.learners.unrolled import Unrolled, cut_state, other_steps, unroll
from lfp_snn.wording import setting

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["BPTT", "BPTTOptions", "Unroll"]

#: What comes first when a network is unrolled: all steps of a layer, or all layers of a step.
Unroll = Literal["layers", "steps"]

_UNROLLED = {"layers": unroll_by_layer, "steps": unroll}


class BPTTOptions(SurrogateOptions):
    """The options of backpropagation through time: loss, surrogate, and how far back.

    Attributes:
        truncate: the largest number of steps through which a gradient travels back; the loss is
            then taken of each such stretch by itself, and the gradients add up. ``None``: all of T.
        unroll: ``layers``: each layer over all steps, then the next, so that batch normalisations
            train with the statistics of all steps (with ``truncate`` of a stretch), as under LFP
            and in SpikingJelly's multi-step mode; ``steps``: all layers at each step, as in
            snntorch's loop, with the statistics of every step by itself. Without batch
            normalisation the two are equal up to rounding.
    """

    name: Literal["surrogate"] = "surrogate"
    truncate: int | None = Field(default=None, ge=1)
    unroll: Unroll = "layers"


class BPTT(GradientLearner, name="surrogate"):
    """Backpropagation through time with a surrogate gradient.

    Activations other than :class:`lfp_snn.activations.Step` keep their own derivative, so that the
    learner is plain backpropagation for a network of ReLUs.

    Args:
        net: a module whose forward is one time step.
        loss: the loss on the outputs, or what chooses it by what they are.
        spike: the step function with its surrogate derivative.
        truncate: the largest number of steps through which a gradient travels back
            (:class:`BPTTOptions`).
        unroll: the order in which layers and steps are run (:class:`BPTTOptions`).
        engine_options: how the engine, which evaluates the network, runs.

    Source: Neftci, Mostafa, Zenke, *Surrogate Gradient Learning in Spiking Neural Networks*, IEEE
    Signal Processing Magazine 2019; Eshraghian et al., Proceedings of the IEEE 2023 (snntorch).
    """

    Options: ClassVar[type[LearnerOptions]] = BPTTOptions

    def __init__(
        self,
        net: nn.Module,
        loss: Loss | LossByOutput,
        spike: SpikeFunction,
        truncate: int | None = None,
        unroll: Unroll = "layers",
        engine_options: EngineOptions | None = None,
    ) -> None:
        super().__init__(net, spike, engine_options)
        self.loss = self.fitting(loss)
        self.truncate = truncate
        self.unroll = unroll

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> BPTT:
        """Bind loss and surrogate to ``net``."""
        return cls(
            net,
            options.make_loss(),
            options.make_surrogate(),
            options.truncate,
            options.unroll,
            options.engine_options(),
        )

    @override
    def check_steps(self) -> None:
        other = other_steps(self.engine)
        if other is not None and self.truncate is not None:
            raise NetworkError(
                f"{setting('learner.truncate')} is {self.truncate}, but the network cannot be run "
                f"in stretches of time: {other}. Leave it out."
            )

    def learn(self, inputs: Iterable[Tensor], batch: TrainingBatch) -> tuple[Unrolled, Tensor]:
        """Unroll a stretch of time, go back through it, and go on from where it ended."""
        if other_steps(self.engine) is not None:
            out = unroll_as_called(self.engine, batch)
            return out, self._descend(out, batch)
        whole = list(inputs)
        if self.unroll == "layers":
            self.check_layers(whole)
        stretch = self.truncate or len(whole)
        spikes, membranes, total = [], [], torch.zeros((), device=self.device)
        for start in range(0, len(whole), stretch):
            cut_state(self.net)
            rest_of = None if batch.lengths is None else batch.lengths - start
            out = _UNROLLED[self.unroll](
                self.net,
                whole[start : start + stretch],
                rest_of,
                last=self.engine.output_neurons,
            )
            total = total + self._descend(out, batch)
            spikes.append(out.spikes.detach())
            membranes.append(out.membranes.detach())
        return Unrolled(torch.cat(spikes), torch.cat(membranes)), total

    def _descend(self, out: Unrolled, batch: TrainingBatch) -> Tensor:
        """Add the gradients of the loss to ``.grad``; gives its mean over the batch."""
        loss = self.loss(out, batch.labels, batch.targets)
        if loss.requires_grad:
            (loss * len(batch.labels)).backward()  # type: ignore[no-untyped-call]
        return loss.detach()
