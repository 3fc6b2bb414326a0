"""The learner of backpropagation through time with a surrogate gradient, as in snntorch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lfp_snn.engine.options import EngineOptions
from lfp_snn.learners.base import LearnerOptions, TrainingBatch
from lfp_snn.learners.gradient import GradientLearner, SurrogateOptions
from lfp_snn.learners.losses import Loss, SpikeFunction
from lfp_snn.learners.unrolled import Unrolled, cut_state, unroll

__all__ = ["BPTT", "BPTTOptions"]


class BPTTOptions(SurrogateOptions):
    """The options of backpropagation through time: loss, surrogate, and how far back.

    Attributes:
        truncate: the largest number of steps through which a gradient travels back; the loss is
            then taken of each such stretch by itself, and the gradients add up. ``None``: all of T.
    """

    name: Literal["surrogate"] = "surrogate"
    truncate: int | None = Field(default=None, ge=1)


class BPTT(GradientLearner, name="surrogate"):
    """Backpropagation through time with a surrogate gradient.

    Activations other than :class:`lfp_snn.activations.Step` keep their own derivative, so that the
    learner is plain backpropagation for a network of ReLUs.

    Args:
        net: a module whose forward is one time step.
        loss: the loss on the outputs.
        spike: the step function with its surrogate derivative.
        truncate: the largest number of steps through which a gradient travels back
            (:class:`BPTTOptions`).
        engine_options: how the engine, which evaluates the network, runs.

    Source: Neftci, Mostafa, Zenke, *Surrogate Gradient Learning in Spiking Neural Networks*, IEEE
    Signal Processing Magazine 2019; Eshraghian et al., Proceedings of the IEEE 2023 (snntorch).
    """

    Options: ClassVar[type[LearnerOptions]] = BPTTOptions

    def __init__(
        self,
        net: nn.Module,
        loss: Loss,
        spike: SpikeFunction,
        truncate: int | None = None,
        engine_options: EngineOptions | None = None,
    ) -> None:
        super().__init__(net, spike, engine_options)
        self.check_loss(loss)
        self.loss = loss
        self.truncate = truncate

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> BPTT:
        """Bind loss and surrogate to ``net``."""
        return cls(
            net,
            options.make_loss(),
            options.make_surrogate(),
            options.truncate,
            options.engine_options(),
        )

    def learn(self, inputs: Iterable[Tensor], batch: TrainingBatch) -> tuple[Unrolled, Tensor]:
        """Unroll a stretch of time, go back through it, and go on from where it ended."""
        whole = list(inputs)
        stretch = self.truncate or len(whole)
        spikes, membranes, total = [], [], torch.zeros((), device=self.device)
        for start in range(0, len(whole), stretch):
            cut_state(self.net)
            rest_of = None if batch.lengths is None else batch.lengths - start
            out = unroll(
                self.net,
                whole[start : start + stretch],
                rest_of,
                ends_in_neurons=self.engine.ends_in_neurons,
            )
            loss = self.loss(out, batch.labels)
            if loss.requires_grad:
                (loss * len(batch.labels)).backward()  # type: ignore[no-untyped-call]
            spikes.append(out.spikes.detach())
            membranes.append(out.membranes.detach())
            total = total + loss.detach()
        return Unrolled(torch.cat(spikes), torch.cat(membranes)), total
