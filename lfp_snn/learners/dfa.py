"""Direct feedback alignment: the error reaches every layer through fixed random weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from lfp_snn.engine.options import EngineOptions
from lfp_snn.later import torch
from lfp_snn.learners.base import LearnerOptions, TrainingBatch
from lfp_snn.learners.by_layer import unroll_by_layer
from lfp_snn.learners.gradient import GradientLearner, SurrogateOptions
from lfp_snn.learners.losses import Loss, LossByOutput, SpikeFunction
from lfp_snn.learners.unrolled import Unrolled, hooked
from lfp_snn.lif import running

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle

__all__ = ["DFA", "DFAOptions"]


class DFAOptions(SurrogateOptions):
    """The options of direct feedback alignment: loss, surrogate, random weights.

    Attributes:
        feedback_seed: the seed of the fixed random weights.
        feedback_scale: the standard deviation of the random weights times the root of the number of
            classes, > 0.
    """

    name: Literal["dfa"] = "dfa"
    feedback_seed: int = Field(default=0, ge=0, lt=2**31)
    feedback_scale: float = Field(default=1.0, gt=0)


class DFA(GradientLearner, name="dfa"):
    r"""Direct feedback alignment with a surrogate derivative.

    The derivative of the loss by the output spikes, :math:`e_t`, reaches the spikes of hidden layer
    l through a fixed random matrix, :math:`\partial s^l_t := e_t B_l`, in place of the weights that
    follow. From there to the layer's own synapses it goes as in backpropagation, through the
    surrogate and the layer's own membranes. The last layer learns by its true gradient.

    Args:
        net: a module whose forward is one time step.
        loss: the loss on the outputs, or what chooses it by what they are.
        spike: the step function with its surrogate derivative.
        seed: the seed of the random matrices, which are drawn in the order of the layers.
        scale: the standard deviation of the random weights times the root of the number of classes.
        engine_options: how the engine, which evaluates the network, runs.

    Source: Nokland, *Direct Feedback Alignment Provides Learning in Deep Neural Networks*, NeurIPS
    2016; for spiking networks Samadi, Lillicrap, Tweed, Neural Computation 2017.
    """

    Options: ClassVar[type[LearnerOptions]] = DFAOptions
    neurons_only: ClassVar[bool] = True

    def __init__(
        self,
        net: nn.Module,
        loss: Loss | LossByOutput,
        spike: SpikeFunction,
        seed: int = 0,
        scale: float = 1.0,
        engine_options: EngineOptions | None = None,
    ) -> None:
        super().__init__(net, spike, engine_options)
        self.loss = self.fitting(loss)
        self.seed = seed
        self.scale = scale
        self._weights: dict[str, Tensor] = {}

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> DFA:
        """Bind loss, surrogate and random weights to ``net``."""
        return cls(
            net,
            options.make_loss(),
            options.make_surrogate(),
            options.feedback_seed,
            options.feedback_scale,
            options.engine_options(),
        )

    def learn(self, inputs: Iterable[Tensor], batch: TrainingBatch) -> tuple[Unrolled, Tensor]:
        """Unroll by layer, each cut off from the next, then hand the error to each."""
        last = self.engine.output_neurons
        stages = self.engine.reference.neurons()
        hidden = {each.name: each.module for each in stages if each.module not in (None, last)}
        inputs = list(inputs)
        self.check_layers(inputs)
        recorded: dict[str, list[Tensor]] = {name: [] for name in hidden}
        with hooked(self._cut(neuron, recorded[name]) for name, neuron in hidden.items()):
            out = unroll_by_layer(self.net, inputs, batch.lengths, last=last)
        loss = self.loss(out, batch.labels, batch.targets)
        outputs = out.spikes if self.loss.looks_at == "spikes" else out.membranes
        scaled = loss * len(batch.labels)
        (error,) = torch.autograd.grad(scaled, outputs, retain_graph=True)
        if batch.lengths is not None:
            error = error * running(batch.lengths.to(error.device), len(error), 3)
        scaled.backward()  # type: ignore[no-untyped-call]
        for place, (name, (spikes,)) in enumerate(recorded.items()):
            train = spikes.view(*out.spikes.shape[:2], *spikes.shape[1:])
            if train.requires_grad:  # a frozen layer does not
                handed = error @ self._random(name, place, error, train)
                train.backward(handed.view_as(train))  # type: ignore[no-untyped-call]
        return out, loss.detach()

    @staticmethod
    def _cut(neuron: nn.Module, spikes: list[Tensor]) -> RemovableHandle:
        """Hand on a layer's spikes ``[T * B, ...]`` without their graph, and keep those with it."""

        def cut(_module: nn.Module, _inputs: object, out: Tensor) -> Tensor:
            spikes.append(out)
            return out.detach()

        return neuron.register_forward_hook(cut)

    def _random(self, name: str, place: int, error: Tensor, train: Tensor) -> Tensor:
        """The random matrix ``B_l`` ``[C, units]``, by the seed, the layer's place and its size."""
        if name not in self._weights:
            generator = torch.Generator().manual_seed(self.seed + place)
            classes, units = error.shape[-1], train[0, 0].numel()
            random = torch.randn(classes, units, generator=generator)
            self._weights[name] = (random * self.scale / classes**0.5).to(train)
        return self._weights[name]
