"""Stages of spiking neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import snntorch as snn
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn import lif
from lfp_snn.engine.stage import Credits, Feedback, Pass, Rules, Spiking
from lfp_snn.errors import NetworkError, ShapeError

__all__ = ["Leaky", "reduce_to", "refuse_options"]


def refuse_options(name: str, neuron: snn.SpikingNeuron) -> None:
    """Refuse the options of a snntorch neuron for which there is no rule.

    Raises:
        NetworkError: names the neuron and the option.
    """
    kind = type(neuron).__name__
    advice = "build the neuron without it"
    if neuron.inhibition:
        option = "inhibition=True"
    elif neuron.state_quant:
        option = "state_quant"
    elif neuron.graded_spikes_factor.requires_grad or bool(
        (neuron.graded_spikes_factor != 1).any()
    ):
        option = "graded spikes (graded_spikes_factor other than 1)"
    else:
        return
    raise NetworkError(f"Neuron '{name}' ({kind}) uses {option}, which has no rule: {advice}.")


class Leaky(Spiking):
    """``snntorch.Leaky``: the scan over time, forwards and backwards.

    What arrives is the relevance ``R = s * c``, and what leaves is the credit ``n`` of the current
    (see :mod:`lfp_snn.lif`). The module's own membrane is neither read nor written.
    """

    module: snn.Leaky

    def __init__(self, name: str, module: snn.Leaky) -> None:
        super().__init__(name, module)
        refuse_options(name, module)

    def dynamics(self, frame: torch.Size, dtype: torch.dtype) -> lif.Dynamics:
        """The neuron's constants for currents ``[B, ...]`` of that shape and dtype.

        Raises:
            ShapeError: beta or threshold do not fit the shape of the current.
            NetworkError: a threshold is negative.
        """
        neuron = self.module
        self.check_fits("beta", neuron.beta, frame)
        self.check_fits("threshold", neuron.threshold, frame)
        if neuron.threshold.device.type == "cpu" and bool((neuron.threshold < 0).any()):
            raise NetworkError(
                f"Neuron '{self.name}' has the threshold {float(neuron.threshold.min()):g}; "
                "expected 0 or more."
            )
        return lif.Dynamics(
            beta=neuron.beta.detach().clamp(0, 1).to(dtype),
            threshold=neuron.threshold.detach().to(dtype),
            reset=cast(lif.Reset, neuron.reset_mechanism),
            delay=bool(neuron.reset_delay),
        )

    def check_fits(self, what: str, value: Tensor, frame: torch.Size) -> None:
        """Refuse a constant that does not fit the current ``[B, ...]``.

        Raises:
            ShapeError: names the neuron and the constant.
        """
        if not _fits(value.shape, frame):
            raise ShapeError(
                f"Neuron '{self.name}' has {what} of shape {tuple(value.shape)}, which does "
                f"not broadcast to its current of shape {tuple(frame)} (batch first): give "
                "one value, one per neuron, or (C, 1, 1) for maps."
            )

    @override
    def forward(self, run: Pass, *inputs: Tensor) -> Tensor:
        (current,) = inputs
        dynamics = self.dynamics(current.shape[1:], run.dtype)
        state = self.initial(run, current.shape[1:])
        spikes, membranes, final = self.step(run, current, dynamics, state)
        run.final_state[self.name] = final
        run.membranes = membranes
        run.count(self.name, spikes.sum(), spikes[0, 0].numel())
        run.keep(self, (current, spikes, membranes, state, dynamics))
        return spikes.to(run.dtype)

    def step(
        self, run: Pass, current: Tensor, dynamics: lif.Dynamics, state: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Spikes and membranes ``[T, B, ...]``, and the membrane after the last step."""
        return lif.forward(current, dynamics, state, steps=run.steps, lengths=run.lengths)

    def initial(self, run: Pass, frame: torch.Size) -> Tensor | None:
        """The membrane ``[B, ...]`` before the first step."""
        state = run.state.get(self.name)
        if state is not None and state.shape != frame:
            raise ShapeError(
                f"The state of neuron '{self.name}' has the shape {tuple(state.shape)}; its "
                f"current needs {tuple(frame)}."
            )
        return state

    @override
    def spikes(self, run: Pass) -> Tensor:
        spikes: Tensor = run.kept[self][1]
        return spikes.to(run.dtype)

    @override
    def backward(
        self, run: Pass, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Sequence[bool]
    ) -> Credits:
        return self.credit_relevance(run, self.spikes(run) * credit, feedback, rules, wanted)

    @override
    def credit_relevance(
        self, run: Pass, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Sequence[bool]
    ) -> Credits:
        current, _, membranes, state, dynamics = run.kept[self]
        n, run.carried[self.name] = lif.credit(
            relevance,
            membranes,
            current.to(run.dtype),
            dynamics,
            rules[self.name],
            state,
            run.carried.get(self.name),
        )
        return self.learn(run, n, feedback)

    def learn(self, run: Pass, n: Tensor, feedback: Feedback) -> Credits:
        """Add to the feedback of decay and threshold; hands the credit of the current on."""
        _, _, membranes, state, dynamics = run.kept[self]
        beta, threshold = self.module.beta, self.module.threshold
        if feedback.wanted(beta, threshold):
            of_beta, of_threshold = lif.parameter_feedback(n, membranes, dynamics, state)
            # The forward pass clamps beta: outside [0, 1] the membrane does not depend on it.
            inside = (beta >= 0) & (beta <= 1)
            feedback.add(beta, reduce_to(of_beta, beta) * inside)
            feedback.add(threshold, reduce_to(of_threshold, threshold))
        return (n,)

    @override
    def rule(self, rules: Rules) -> str:
        return repr(rules[self.name])

    @override
    def parameters(self) -> dict[str, Tensor]:
        return {"beta": self.module.beta, "threshold": self.module.threshold}

    @override
    def describe(self) -> str:
        reset = self.module.reset_mechanism
        late = "" if reset == "none" or self.module.reset_delay else ", at once"
        return f"Leaky({reset}{late})"


def _fits(shape: torch.Size, frame: torch.Size) -> bool:
    """Does a shape broadcast from the right to a frame, without enlarging it?"""
    pairs = zip(reversed(shape), reversed(frame), strict=False)
    return len(shape) <= len(frame) and all(n in (1, size) for n, size in pairs)


def reduce_to(total: Tensor, parameter: Tensor) -> Tensor:
    """Sum from the shape of one frame to that of a parameter that broadcasts over it."""
    if parameter.dim() > total.dim():
        total = total.view((1,) * (parameter.dim() - total.dim()) + tuple(total.shape))
    return total.sum_to_size(parameter.shape) if parameter.dim() else total.sum()
