"""Synapses and normalisations that learn from a trace of their input, for streams.

The equations are in :mod:`lfp_snn.engine.traces`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.engine import norms, synapses
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.stage import (
    Credits,
    Feedback,
    Measured,
    Rules,
    Stage,
    Tape,
    Value,
    Wanted,
)

__all__ = ["TracedNorm", "TracedSynapse", "follow"]


def follow(
    run: Tape, name: str, now: Tensor, carry: Tensor | float, kept: Tensor | float = 1.0
) -> Tensor:
    """Advance a trace by one step, ``now + carry * before``; it stands still where a sample does.

    The share ``kept`` of what is returned is left for the step that follows.
    """
    before = run.state.get(name)
    following = now if before is None else now + carry * before
    left = following * kept
    alive = run.running(following.dim() + 1)
    if alive is not None:
        left = torch.where(alive[0], left, 0 if before is None else before)
    run.final_state[name] = left
    return following


class _Traced(Stage):
    r"""A stage that learns from a trace of its input, with one constant :math:`\lambda`.

    Args:
        reference: the reference stage whose place this one takes.
        neurons: the neurons that the stage feeds.
        carry: the constant; None to take it from the decay of the neurons.
        share: the constant relative to that decay.
        place: the position in the program; a module at several positions has a trace for each.
    """

    def __init__(
        self,
        reference: Stage,
        neurons: Sequence[Leaky],
        carry: float | None,
        *,
        share: float,
        place: int,
    ) -> None:
        super().__init__(reference.name, reference.module)
        self.neurons = neurons
        self.carry = carry
        self.share = share
        self.trace = f"{reference.name}, place {place}"

    def factor(self) -> float:
        r"""The constant :math:`\lambda` of the traces."""
        if self.carry is not None or not self.neurons:
            return self.carry or 0.0
        decays = [neurons.module.beta.detach().clamp(0, 1).mean() for neurons in self.neurons]
        return self.share * float(torch.stack(decays).mean())

    def follow(self, run: Tape, x: Tensor) -> tuple[Tensor, Tensor]:
        """The traces of an input ``[B, ...]``, and of an input that is always 1, ``[B]``."""
        carry, ones = self.factor(), torch.ones_like(x.flatten(1)[:, 0])
        return (
            follow(run, f"input of {self.trace}", x, carry),
            follow(run, f"bias of {self.trace}", ones, carry),
        )


class TracedSynapse(_Traced):
    r"""A synapse that learns from a trace of its input.

    .. math::

        \bar x_k = x_k + \lambda \bar x_{k-1} \qquad
        \mathrm{feedback}(w_{ij}) = |w_{ij}| \sum_{k,b} \bar x_{k,i} n_{k,j}
        \qquad c_k = W^\top n_k

    with the credit :math:`n_k` of the current from the relevance of step k alone. The bias is a
    weight whose input is 1.

    Args:
        synapse: the reference stage of the synapse.
        arguments: the arguments of every stage with a trace: neurons, carry, share and place.
        options: the arguments of a stage with a trace that are given by name.
    """

    def __init__(self, synapse: synapses.Synapse, *arguments: Any, **options: Any) -> None:
        super().__init__(synapse, *arguments, **options)
        self.synapse = synapse

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        current = self.synapse.forward(run, x)
        run.keep(self, self.follow(run, x[0]))
        return current

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        weight, bias = self.synapse.weight, self.synapse.bias
        trace, of_one = run.kept[self]
        n = credit[0]
        of_weight, _, of_input = self.synapse.products(
            trace, n, weight, feedback=feedback.wanted(weight), credit=wanted[0] is not None
        )
        feedback.add(weight, of_weight)
        if feedback.wanted(bias):
            share = n * of_one.view(-1, *(1,) * (n.dim() - 1))
            channels = 1 if isinstance(self.synapse, synapses.Convolution) else n.dim() - 1
            feedback.add(bias, share.sum([axis for axis in range(n.dim()) if axis != channels]))
        return (None if of_input is None else of_input[None],)


class TracedNorm(_Traced):
    r"""A normalisation with running statistics, linear in its input, that learns from traces.

    Scale and shift learn from traces of :math:`\hat x` and of 1, as weights and biases do.

    Args:
        norm: the reference stage of the normalisation.
        arguments: the arguments of every stage with a trace: neurons, carry, share and place.
        options: the arguments of a stage with a trace that are given by name.
    """

    normalises = True

    def __init__(self, norm: norms.Normalisation, *arguments: Any, **options: Any) -> None:
        super().__init__(norm, *arguments, **options)
        self.norm = norm

    @property
    @override
    def measured(self) -> Measured | None:
        return self.norm.measured

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Value:
        y = self.norm.forward(run, *inputs)
        x, mean, inverse, _ = run.kept[self.norm]
        run.keep(self, self.follow(run, ((x - mean) * inverse)[0]))
        return y

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        trace, of_one = run.kept[self]
        scale: Any = self.norm.module.weight
        shift: Any = self.norm.module.bias
        if feedback.wanted(scale):
            feedback.add(scale, self.norm.per_entry(credit * trace))
        if feedback.wanted(shift):
            ones = of_one.view(1, -1, *(1,) * (credit.dim() - 2))
            feedback.add(shift, self.norm.per_entry(credit * ones))
        return self.norm.backward(run, credit, Feedback(), rules, wanted)
