r"""Recurrent leaky neurons, ``snntorch.RLeaky``.

The spikes of the step before are a further input of the same population, through the neuron's own
synapse (all to all, a convolution, or one to one):

.. math::

    I_t = \text{current}_t + W s_{t-1} + b \qquad u_t = \beta v_t + I_t - \theta r_t

Everything else is as in :mod:`lfp_snn.lif`, but for a delayed reset to zero, which in snntorch's
RLeaky takes what arrives at that step too: :math:`u_t = (1 - r_t)(\beta w_{t-1} + I_t)`.

Backwards, a spike receives credit from what comes after in the network and from the step after:

.. math::

    R_t = s_t\, (c_t + W^\top n_{t+1}) \qquad \mathrm{feedback}(W) = |W| \sum_{t,b} n_t s_{t-1}

so that the scan goes step by step, and the current can't be summed over time beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight
from typing_extensions import override

from lfp_snn.engine.neurons import Leaky, reduce_to
from lfp_snn.engine.stage import Credits, Feedback, Pass, Rules
from lfp_snn.errors import NetworkError
from lfp_snn.lif import Dynamics
from lfp_snn.rules import PLAIN

__all__ = ["RLeaky", "running"]


class RLeaky(Leaky):
    """``snntorch.RLeaky``: scans over time that carry spikes as well as membranes."""

    module: snn.RLeaky

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)
        if not isinstance(module.recurrent, nn.Linear | nn.Conv2d) and module.all_to_all:
            raise NetworkError(
                f"Neuron '{name}' (RLeaky) has recurrent connections through "
                f"{type(module.recurrent).__name__}; expected Linear or Conv2d, or one to one."
            )

    @override
    def forward(self, run: Pass, *inputs: Tensor) -> Tensor:
        (current,) = inputs
        dynamics = self.dynamics(current.shape[1:], current.dtype)
        state = self.initial(run, current.shape[1:])
        if state is not None and not dynamics.delay:
            raise NetworkError(
                f"Neuron '{self.name}' (RLeaky) resets at once, so that its membrane does not tell "
                "its last spikes: a stream cannot be gone on with."
            )
        current = current.expand(run.steps, *current.shape[1:])
        membrane = torch.zeros_like(current[0]) if state is None else state
        spike = (membrane > dynamics.threshold).to(current.dtype)
        spikes, membranes, arrived = (torch.empty_like(current.contiguous()) for _ in range(3))
        alive = run.running(current.dim())
        for t in range(run.steps):
            arrived[t] = current[t] + self._recur(spike)
            spike, following = _step(dynamics, arrived[t], membrane)
            if alive is not None:
                spike = spike * alive[t]
                following = torch.where(alive[t], following, membrane)
            spikes[t], membranes[t] = spike, following
            membrane = following
        run.final_state[self.name] = membrane
        run.membranes = membranes
        run.count(self.name, spikes.sum(), spikes[0, 0].numel())
        run.keep(self, (arrived, spikes, membranes, state, dynamics))
        return spikes

    @override
    def credit_relevance(
        self, run: Pass, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Sequence[bool]
    ) -> Credits:
        arrived, spikes, membranes, state, dynamics = run.kept[self]
        rule = rules[self.name]
        if rule.variants != PLAIN:
            raise NetworkError(
                f"Neuron '{self.name}' (RLeaky) has a recurrent synapse, for which there is no "
                f"{type(rule).__name__}: give it epsilon, norm or pass, as a composite can."
            )
        first = torch.zeros_like(membranes[0]) if state is None else state
        n = torch.empty_like(membranes)
        # What the steps that follow this chunk of time hand back: M, and the recurrent credit.
        handed, later = run.carried.get(self.name, torch.zeros_like(torch.stack([first, first])))
        for t in reversed(range(len(membranes))):
            previous = membranes[t - 1] if t else first
            kept, on = dynamics.kept(previous), running(dynamics, previous)
            decayed = dynamics.beta * kept
            total = relevance[t] + spikes[t] * later + handed
            of_kept, of_arrived = rule.split(total, kept, decayed, on * arrived[t])
            n[t] = on * of_arrived
            handed = decayed * of_kept
            later = self._back(n[t])
        run.carried[self.name] = torch.stack([handed, later])
        self._learn(n, spikes, membranes, first, dynamics, feedback)
        return (n,)

    def _learn(
        self,
        n: Tensor,
        spikes: Tensor,
        membranes: Tensor,
        first: Tensor,
        dynamics: Dynamics,
        feedback: Feedback,
    ) -> None:
        """Feedback of beta, threshold and the recurrent synapse."""
        before = torch.cat([first[None], membranes[:-1]])
        spoke = torch.cat([(first > dynamics.threshold).to(n.dtype)[None], spikes[:-1]])
        beta, threshold = self.module.beta, self.module.threshold
        inside = (beta >= 0) & (beta <= 1)
        feedback.add(beta, reduce_to((n * dynamics.kept(before)).sum((0, 1)), beta) * inside)
        subtracted = (before > dynamics.threshold) & (dynamics.reset == "subtract")
        feedback.add(threshold, reduce_to(-(n * subtracted).sum((0, 1)), threshold))
        synapse: Any = self.module.recurrent
        if isinstance(synapse, nn.Linear):
            feedback.add(synapse.weight, n.flatten(0, -2).T @ spoke.flatten(0, -2))
            feedback.add(synapse.bias, n.flatten(0, -2).sum(0))
        elif isinstance(synapse, nn.Conv2d):
            steps, credit = spoke.flatten(0, 1), n.flatten(0, 1)
            shape, padding = synapse.weight.shape, _padding(synapse)
            of_weight = conv2d_weight(steps, shape, credit, padding=padding)
            feedback.add(synapse.weight, of_weight)
            feedback.add(synapse.bias, n.sum((0, 1, 3, 4)))
        else:
            feedback.add(synapse.V, reduce_to((n * spoke).sum((0, 1)), synapse.V))

    def _recur(self, spike: Tensor) -> Tensor:
        synapse: Any = self.module.recurrent
        current: Tensor = synapse(spike)
        return current.detach()

    def _back(self, n: Tensor) -> Tensor:
        """Credit of the spikes a step before."""
        synapse: Any = self.module.recurrent
        if isinstance(synapse, nn.Linear):
            return n @ synapse.weight.detach()
        if isinstance(synapse, nn.Conv2d):
            return F.conv_transpose2d(n, synapse.weight.detach(), padding=_padding(synapse))
        back: Tensor = n * synapse.V.detach()
        return back

    @override
    def parameters(self) -> dict[str, Tensor]:
        synapse: Any = self.module.recurrent
        own = {"V": synapse.V} if hasattr(synapse, "V") else {"recurrent": synapse.weight}
        return {**super().parameters(), **own}

    @override
    def describe(self) -> str:
        return f"R{super().describe()}"


def running(dynamics: Dynamics, previous: Tensor) -> Tensor | float:
    """0 where a delayed reset to zero takes all that arrives, else 1."""
    if dynamics.reset != "zero":
        return 1.0
    return (previous <= dynamics.threshold).to(previous.dtype)


def _step(dynamics: Dynamics, arrived: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
    """``I_t, w_{t-1} -> s_t, w_t``."""
    return dynamics.step(running(dynamics, previous) * arrived, previous)


def _padding(synapse: nn.Conv2d) -> tuple[int, int]:
    assert not isinstance(synapse.padding, str)  # snntorch gives numbers
    down, across = synapse.padding
    return down, across
