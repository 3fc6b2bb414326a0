r"""Neurons with a synaptic current of their own, ``snntorch.Synaptic``.

Two states: the synaptic current :math:`y`, which decays by alpha, and the membrane :math:`w`, which
decays by beta and resets as in :mod:`lfp_snn.lif`:

.. math::

    y_t = \alpha y_{t-1} + I_t \qquad u_t = \beta v_t + y_t - \theta r_t

A delayed reset to zero takes what arrives at that step too, :math:`u_t = (1 - r_t)(\beta w_{t-1} +
y_t)`, and leaves y as it is.

Backwards, relevance is split twice by the rule, at the membrane between :math:`\beta v_t` and
:math:`y_t`, and at the synaptic current between what was kept of it and what arrived:

.. math::

    R_t + M_{t+1} \to M_t,\ y_t n^y_t \qquad y_t n^y_t + Y_{t+1} \to Y_t,\ I_t n_t

:math:`n_t` is the credit of the current. A parameter learns as everywhere,
:math:`\mathrm{feedback}(\alpha) = |\alpha| \sum n_t y_{t-1}`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import snntorch as snn
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.engine.neurons import Leaky, reduce_to
from lfp_snn.engine.recurrent import running
from lfp_snn.engine.stage import Credits, Feedback, Pass, Rules
from lfp_snn.errors import ShapeError

__all__ = ["Synaptic"]


class Synaptic(Leaky):
    """``snntorch.Synaptic``: two scans over time in one. Its state ``[2, B, ...]`` is y and w."""

    module: snn.Synaptic

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)

    @override
    def initial(self, run: Pass, frame: torch.Size) -> Tensor | None:
        state = run.state.get(self.name)
        if state is not None and state.shape != (2, *frame):
            raise ShapeError(
                f"The state of neuron '{self.name}' has the shape {tuple(state.shape)}; its "
                f"synaptic current and membrane need {(2, *frame)}."
            )
        return state

    def alpha(self, frame: torch.Size, dtype: torch.dtype) -> Tensor:
        """The decay of the synaptic current, in [0, 1].

        Raises:
            ShapeError: it does not fit the shape of the current.
        """
        self.check_fits("alpha", self.module.alpha, frame)
        alpha: Tensor = self.module.alpha.detach().clamp(0, 1).to(dtype)
        return alpha

    @override
    def forward(self, run: Pass, *inputs: Tensor) -> Tensor:
        (current,) = inputs
        frame = current.shape[1:]
        dynamics, alpha = self.dynamics(frame, current.dtype), self.alpha(frame, current.dtype)
        state = self.initial(run, frame)
        current = current.expand(run.steps, *frame)
        first = current.new_zeros((2, *frame)) if state is None else state
        y, w = first[0], first[1]
        spikes, membranes, synaptic = (torch.empty_like(current.contiguous()) for _ in range(3))
        alive = run.running(current.dim())
        for t in range(run.steps):
            next_y = alpha * y + current[t]
            spike, next_w = dynamics.step(running(dynamics, w) * next_y, w)
            if alive is not None:
                spike = spike * alive[t]
                next_y = torch.where(alive[t], next_y, y)
                next_w = torch.where(alive[t], next_w, w)
            spikes[t], membranes[t], synaptic[t] = spike, next_w, next_y
            y, w = next_y, next_w
        run.final_state[self.name] = torch.stack([y, w])
        run.membranes = membranes
        run.count(self.name, spikes.sum(), spikes[0, 0].numel())
        run.keep(self, (current, spikes, membranes, synaptic, first, dynamics, alpha))
        return spikes

    @override
    def credit_relevance(
        self, run: Pass, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Sequence[bool]
    ) -> Credits:
        current, _, membranes, synaptic, first, dynamics, alpha = run.kept[self]
        rule = rules[self.name]
        n, of_membrane = torch.empty_like(membranes), torch.empty_like(membranes)
        # What the steps that follow this chunk of time hand back, at membrane and current.
        handed, carried = run.carried.get(self.name, torch.zeros_like(first))
        for t in reversed(range(len(membranes))):
            y, w = (synaptic[t - 1], membranes[t - 1]) if t else (first[0], first[1])
            kept, on = dynamics.kept(w), running(dynamics, w)
            decayed = dynamics.beta * kept
            of_kept, of_arrived = rule.split(relevance[t] + handed, kept, decayed, on * synaptic[t])
            handed = decayed * of_kept
            of_membrane[t] = on * of_arrived
            total = synaptic[t] * of_membrane[t] + carried
            of_old, n[t] = rule.split(total, y, alpha * y, current[t])
            carried = alpha * y * of_old
        run.carried[self.name] = torch.stack([handed, carried])
        self._learn(n, of_membrane, membranes, synaptic, first, feedback)
        return (n,)

    def _learn(
        self,
        n: Tensor,
        of_membrane: Tensor,
        membranes: Tensor,
        synaptic: Tensor,
        first: Tensor,
        feedback: Feedback,
    ) -> None:
        """Feedback of alpha, beta and threshold."""
        neuron = self.module
        dynamics = self.dynamics(membranes.shape[1:], membranes.dtype)
        y = torch.cat([first[:1], synaptic[:-1]])
        w = torch.cat([first[1:], membranes[:-1]])
        for decay, sums in (
            (neuron.alpha, (n * y).sum((0, 1))),
            (neuron.beta, (of_membrane * dynamics.kept(w)).sum((0, 1))),
        ):
            feedback.add(decay, reduce_to(sums, decay) * ((decay >= 0) & (decay <= 1)))
        subtracted = (w > dynamics.threshold) & (dynamics.reset == "subtract")
        total = -(of_membrane * subtracted).sum((0, 1))
        feedback.add(neuron.threshold, reduce_to(total, neuron.threshold))

    @override
    def parameters(self) -> dict[str, Tensor]:
        return {"alpha": self.module.alpha, **super().parameters()}

    @override
    def describe(self) -> str:
        return super().describe().replace("Leaky", "Synaptic")
