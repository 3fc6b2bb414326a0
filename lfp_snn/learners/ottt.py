"""Online training through time: gradients in space only, traces of the inputs in time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from lfp_snn.engine.options import EngineOptions
from lfp_snn.later import nn, torch
from lfp_snn.learners.base import LearnerOptions, TrainingBatch
from lfp_snn.learners.gradient import GradientLearner
from lfp_snn.learners.losses import SpikeFunction, SurrogateName, check_surrogate, make_surrogate
from lfp_snn.learners.unrolled import Unrolled, cut_state, hooked, unroll

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.hooks import RemovableHandle

__all__ = ["OTTT", "OTTTOptions"]


class OTTTOptions(LearnerOptions):
    """The options of online training through time: the loss of a step, surrogate and trace.

    Attributes:
        evidence: what the cross-entropy of a step looks at: the ``spikes`` of that step, as
            published, or the ``counts`` of all spikes so far. For a readout, whose neurons never
            spike, it is the membranes of that step.
        surrogate: the name of a surrogate of ``snntorch.surrogate``.
        slope: the parameter of the surrogate; ``None`` for snntorch's own value.
        trace: the decay of the traces per step, in [0, 1); ``None``: the decay of the neurons that
            a synapse feeds (its mean, where each has its own).
        backend: the kernels that evaluate the network.
    """

    name: Literal["ottt"] = "ottt"
    evidence: Literal["spikes", "counts"] = "counts"
    surrogate: SurrogateName = "atan"
    slope: float | None = Field(default=None, gt=0)
    trace: float | None = Field(default=None, ge=0, lt=1)

    def check(self) -> None:
        """Raise ConfigError if the surrogate has no such parameter."""
        super().check()
        check_surrogate(self.surrogate, self.slope)


class OTTT(GradientLearner, name="ottt"):
    r"""Online training through time.

    At each step t a loss :math:`L_t` is sent back through the layers of that step alone,
    :math:`\delta_t = \partial L_t / \partial I_t` with surrogate derivatives and membranes of
    earlier steps held fixed, and meets a trace of each synapse's input:

    .. math:: \hat a_t = \lambda \hat a_{t-1} + x_t \qquad
              \partial W = \sum_t \delta_t \hat a_t^\top

    Memory does not grow with T. :math:`L_t` is the cross-entropy over T of the spikes of step t, or
    of the counts up to t. A bias, and any parameter beyond the synapses, takes the gradient of the
    step.

    Args:
        net: a module whose forward is one time step.
        spike: the step function with its surrogate derivative.
        evidence: ``spikes`` or ``counts``, what the loss looks at.
        trace: :math:`\lambda`; ``None`` for the neurons' own decay.
        engine_options: how the engine, which evaluates the network, runs.

    Source: Xiao, Meng, Zhang, He, Lin, *Online Training Through Time for Spiking Neural Networks*,
    NeurIPS 2022.
    """

    Options: ClassVar[type[LearnerOptions]] = OTTTOptions
    neurons_only: ClassVar[bool] = True

    def __init__(
        self,
        net: nn.Module,
        spike: SpikeFunction,
        evidence: str = "counts",
        trace: float | None = None,
        engine_options: EngineOptions | None = None,
    ) -> None:
        super().__init__(net, spike, engine_options)
        self.evidence = evidence
        self._decays: dict[nn.Module, float] = {}
        for layer in self.engine.layers:
            own = float(torch.as_tensor(layer.neuron.beta).detach().clamp(0, 1).mean())
            for _, synapse in layer.synapses:
                self._decays[synapse] = own if trace is None else trace

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> OTTT:
        """Bind surrogate and trace to ``net``."""
        spike = make_surrogate(options.surrogate, options.slope)
        return cls(net, spike, options.evidence, options.trace, options.engine_options())

    def learn(self, inputs: Iterable[Tensor], batch: TrainingBatch) -> tuple[Unrolled, Tensor]:
        """Learn one step after the other; nothing of a step is kept but traces and counts."""
        whole = list(inputs)
        counts: Tensor | None = None
        parts, membranes, total = [], [], torch.zeros((), device=self.device)
        taps = _Taps(self._decays)
        with hooked(taps.hooks()):
            for t, frame in enumerate(whole):
                cut_state(self.net)
                rest_of = None if batch.lengths is None else batch.lengths - t
                out = unroll(self.net, [frame], rest_of, last=self.engine.output_neurons)
                spikes = out.spikes[0]
                counts = spikes if counts is None else counts + spikes
                seen = counts if self.evidence == "counts" else spikes
                seen = out.membranes[0] if self.engine.is_readout else seen
                loss = self._loss(seen, batch, t, len(whole))
                self._add(taps.collect(loss))
                counts = counts.detach()
                parts.append(spikes.detach())
                membranes.append(out.membranes[0].detach())
                total = total + loss.detach() / len(batch.labels)
        return Unrolled(torch.stack(parts), torch.stack(membranes)), total

    @staticmethod
    def _loss(seen: Tensor, batch: TrainingBatch, t: int, steps: int) -> Tensor:
        """The cross-entropy of step t over a sample's steps, summed over samples that still run."""
        losses = nn.functional.cross_entropy(seen, batch.labels, reduction="none")
        if batch.lengths is None:
            return losses.sum() / steps
        lengths = batch.lengths.to(losses.device)
        return (losses * (t < lengths) / lengths).sum()

    def _add(self, gradients: dict[nn.Parameter, Tensor]) -> None:
        for parameter, gradient in gradients.items():
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


class _Taps:
    """Hooks that see what goes into and out of every synapse, and keep the traces."""

    def __init__(self, decays: dict[nn.Module, float]) -> None:
        self._decays = decays
        self._calls: list[tuple[nn.Module, Tensor, Tensor]] = []  # of this step, in order
        self._traces: list[Tensor] = []

    def hooks(self) -> Iterator[RemovableHandle]:
        """A hook at every synapse."""
        return (each.register_forward_hook(self._note) for each in self._decays)

    def _note(self, synapse: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        self._calls.append((synapse, inputs[0].detach(), out))

    def collect(self, loss: Tensor) -> dict[nn.Parameter, Tensor]:
        """Gradients of a step: what reached each synapse's output times the trace of its input."""
        calls, self._calls = self._calls, []
        # What lies behind frozen synapses alone has no graph.
        reached = [k for k, (_, _, out) in enumerate(calls) if out.requires_grad]
        outs = [calls[k][2] for k in reached]
        found = torch.autograd.grad(loss, outs, allow_unused=True) if outs else ()
        deltas = dict(zip(reached, found, strict=True))
        gradients: dict[nn.Parameter, Tensor] = {}
        for place, (synapse, x, _) in enumerate(calls):
            delta = deltas.get(place)
            trace = self._follow(place, self._decays[synapse], x)
            learning = [p for p in synapse.parameters() if p.requires_grad]
            if delta is None or not learning:
                continue
            now = synapse(trace)
            self._calls.clear()  # that was no step of the network
            for parameter, each in zip(
                learning, torch.autograd.grad(now, learning, delta), strict=True
            ):
                gradients[parameter] = gradients.get(parameter, 0) + each
        return gradients

    def _follow(self, place: int, decay: float, x: Tensor) -> Tensor:
        """The trace of the input of the synapse that is called at this place."""
        if place == len(self._traces):
            self._traces.append(x)
        else:
            self._traces[place] = decay * self._traces[place] + x
        return self._traces[place]
