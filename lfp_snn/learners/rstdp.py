"""The learner of reward-modulated spike-timing-dependent plasticity with eligibility traces."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from lfp_snn import engine
from lfp_snn.errors import NetworkError
from lfp_snn.later import later, nn, torch
from lfp_snn.learners.base import Learner, LearnerOptions, StepResult, TrainingBatch
from lfp_snn.learners.losses import step
from lfp_snn.learners.unrolled import (
    frames,
    hooked,
    membranes,
    refuse_other_steps,
    rest,
    set_spike,
    unroll,
)
from lfp_snn.lif import running
from lfp_snn.rewards import ties

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.hooks import RemovableHandle

    from lfp_snn.engine import computed
else:
    computed = later("lfp_snn.engine.computed")

__all__ = ["RSTDP", "RSTDPOptions"]


class RSTDPOptions(LearnerOptions):
    """The options of R-STDP: the time windows, and which outputs are rewarded.

    The defaults did best on the validation part of DVS-digits among six settings (77 %, one layer,
    six epochs, learning rate 1e-3).

    Attributes:
        tau_plus: the steps in which the trace of an input spike decays by e; > 0.
        tau_minus: the steps in which the trace of a spike of the neuron itself decays by e; > 0.
        tau_e: the steps in which the eligibility of a synapse decays by e; > 0.
        a_plus: the weight of an input spike before a spike of the neuron, >= 0.
        a_minus: the weight of an input spike after a spike of the neuron, <= 0.
        layers: which layers learn: ``all``, or the ``last`` alone: the others stay random, as in
            reservoirs. A scalar reward says little to a hidden layer.
        modulation: how the reward is given: ``class`` to reward each output by its own error,
            ``global`` for one scalar.
        backend: the kernels that evaluate the network.
    """

    name: Literal["rstdp"] = "rstdp"
    tau_plus: float = Field(default=5.0, gt=0)
    tau_minus: float = Field(default=10.0, gt=0)
    tau_e: float = Field(default=25.0, gt=0)
    a_plus: float = Field(default=1.0, ge=0)
    a_minus: float = Field(default=-0.2, le=0)
    layers: Literal["all", "last"] = "all"
    modulation: Literal["class", "global"] = "class"


class RSTDP(Learner, name="rstdp"):
    r"""R-STDP with eligibility traces (MSTDPET).

    With the spikes :math:`f_j` of the input (counts and graded values as they are) and :math:`f_i`
    of the neuron of a synapse, reward r, and decays :math:`e^{-1/\tau}` written :math:`d`:

    .. math::

        P^+_j(t) &= d_+ P^+_j(t-1) + A_+ f_j(t) \qquad P^-_i(t) = d_- P^-_i(t-1) + A_- f_i(t) \\
        \zeta_{ij}(t) &= P^+_j(t) f_i(t) + P^-_i(t) f_j(t) \\
        z_{ij}(t+1) &= d_e z_{ij}(t) + \zeta_{ij}(t) / \tau_e \\
        \Delta w_{ij} &= \sum_t r(t+1)\, z_{ij}(t+1)

    No z is ever stored: with :math:`g(t) = r(t+1) + d_e\, g(t+1)` the sum is
    :math:`\sum_t g(t) \zeta_{ij}(t) / \tau_e`, two products of what the neurons did. The learning
    rate is the optimizer's. Biases have no spikes before them and stay as they are.

    **Reward.** p is the softmax of the output spike counts, y the class. ``global``: every synapse
    gets :math:`1 - p_y` if the class was read right and :math:`-(1 - p_y)` if not, at each step.
    ``class``: hidden layers get that, and the synapses of output c get :math:`[c = y] - p_c`.

    Args:
        net: a module whose forward is one time step; every synapse feeds its neuron directly.
        options: the options, :class:`RSTDPOptions`.

    Raises:
        NetworkError: the outputs never spike; or pooling or reshaping lies between a synapse and
            its neuron (told by :meth:`feedback`).

    Source: Florian, *Reinforcement Learning Through Modulation of Spike-Timing-Dependent Synaptic
    Plasticity*, Neural Computation 2007, section 3.2 (MSTDPET).
    """

    Options: ClassVar[type[LearnerOptions]] = RSTDPOptions
    neurons_only: ClassVar[bool] = True

    def __init__(self, net: nn.Module, options: RSTDPOptions | None = None) -> None:
        self.options = options or RSTDPOptions()
        computed.refuse_computed_weights(net, every=True)
        super().__init__(
            engine.TemporalLFP.with_options(net, options=self.options.engine_options())
        )
        if self.engine.is_readout:
            raise NetworkError(
                "R-STDP pairs the spikes before and behind a synapse, but the network ends in "
                "a readout, which never spikes: end it in neurons with a threshold within reach "
                "and a reset."
            )
        set_spike(net, step)

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> RSTDP:
        """Bind the windows to ``net``."""
        return cls(net, options)

    def feedback(self, batch: TrainingBatch) -> StepResult:
        """Run the batch, reward its outputs, and pair what each synapse saw."""
        with torch.no_grad():
            return self._paired(batch)

    def _paired(self, batch: TrainingBatch) -> StepResult:
        refuse_other_steps(self.engine, f"The learner {self.name}")
        for parameter in self.net.parameters():
            parameter.grad = None
        seen, spikes, rates, final = self._watch(batch)
        prediction = ties(spikes.sum(0))
        by_class, overall = self._rewards(spikes, prediction.classes, batch)
        layers = self.engine.layers
        for layer in layers if self.options.layers == "all" else layers[-1:]:
            last = layer is layers[-1] and self.options.modulation == "class"
            post = seen[layer.name]
            reward = by_class if last else overall.view(*overall.shape, *(1,) * (post.dim() - 2))
            gated = _backwards(reward, math.exp(-1 / self.options.tau_e)) / self.options.tau_e
            for name, synapse in layer.synapses:
                self._pair(name, synapse, seen[name], post, gated)
        size = float(overall.abs().mean())
        return StepResult(prediction.classes, prediction.ties, size, rates, final)

    def _rewards(self, spikes: Tensor, read: Tensor, batch: TrainingBatch) -> tuple[Tensor, Tensor]:
        """The reward of each output ``[T, B, C]``, and the global reward ``[T, B]``."""
        p = torch.softmax(spikes.sum(0), -1)
        truth = nn.functional.one_hot(batch.labels, p.shape[-1]).to(p)
        missing = 1 - (p * truth).sum(-1)
        overall = torch.where(read == batch.labels, missing, -missing)
        steps = spikes.shape[0]
        each, whole = (truth - p).expand_as(spikes), overall.expand(steps, -1)
        if batch.lengths is None:
            return each, whole
        alive = running(batch.lengths.to(p.device), steps, 2)
        return each * alive[..., None], whole * alive

    def _watch(
        self, batch: TrainingBatch
    ) -> tuple[dict[str, Tensor], Tensor, dict[str, float], dict[str, Tensor]]:
        """Step the network through a batch.

        Returns:
            The inputs of every synapse and spikes of every neuron ``[T, B, ...]``; spikes of the
            outputs; firing rates; membranes at the end.
        """
        recorded: dict[str, list[Tensor]] = {}
        rest(self.net)
        try:
            with hooked(self._recording(recorded)):
                out = unroll(self.net, frames(batch, self.engine.dtype), batch.lengths)
            final = membranes(self.net)
        finally:
            rest(self.net)
        seen = {name: torch.stack(values) for name, values in recorded.items()}
        rates = {layer.name: float(seen[layer.name].mean()) for layer in self.engine.layers}
        return seen, out.spikes, rates, final

    def _recording(self, recorded: dict[str, list[Tensor]]) -> Iterator[RemovableHandle]:
        """Hooks that keep what goes into every synapse and what every neuron sends."""
        for layer in self.engine.layers:
            for name, synapse in layer.synapses:
                inputs = recorded.setdefault(name, [])
                yield synapse.register_forward_pre_hook(lambda _m, x, to=inputs: to.append(x[0]))
            outputs = recorded.setdefault(layer.name, [])
            yield layer.neuron.register_forward_hook(
                lambda _m, _x, out, to=outputs: to.append(out[0] if isinstance(out, tuple) else out)
            )

    def _pair(
        self, name: str, synapse: nn.Module, pre: Tensor, post: Tensor, gated: Tensor
    ) -> None:
        """Fill ``.grad`` of a synapse: minus the sum over t and batch of ``gated * zeta``."""
        options = self.options
        weight = synapse.weight
        assert isinstance(weight, nn.Parameter)
        if not weight.requires_grad:
            return
        plus = options.a_plus * _trace(pre, math.exp(-1 / options.tau_plus))
        minus = options.a_minus * _trace(post, math.exp(-1 / options.tau_minus))
        before = _product(name, synapse, weight, plus, gated * post)
        after = _product(name, synapse, weight, pre, gated * minus)
        weight.grad = -(before + after)


def _trace(spikes: Tensor, decay: float) -> Tensor:
    """The trace ``P_t = decay P_{t-1} + spikes_t``."""
    trace = torch.empty_like(spikes)
    last = torch.zeros_like(spikes[0])
    for t, now in enumerate(spikes):
        last = decay * last + now
        trace[t] = last
    return trace


def _backwards(reward: Tensor, decay: float) -> Tensor:
    """The worth of an event at t until the end, ``g_t = r_t + decay g_{t+1}``."""
    return _trace(reward.flip(0), decay).flip(0)


def _product(name: str, synapse: nn.Module, weight: nn.Parameter, x: Tensor, out: Tensor) -> Tensor:
    """The sums ``sum_{t,b} out_{t,i} x_{t,j}`` of all pairs that a weight joins."""
    with torch.enable_grad():
        current = synapse(x.flatten(0, 1))
        if current.shape != out.flatten(0, 1).shape:
            raise NetworkError(
                f"R-STDP pairs the inputs of a synapse with the spikes of its neuron, but "
                f"{name!r} gives {tuple(current.shape[1:])} and its neurons are "
                f"{tuple(out.shape[2:])}: put pooling and reshaping behind the neuron."
            )
        (product,) = torch.autograd.grad(current, weight, out.flatten(0, 1))
    return product
