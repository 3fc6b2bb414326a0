"""Neurons of snntorch other than Leaky in plain numbers: one sample, one unit, one step at a time.

Written from the equations in the documentation of snntorch's modules and, for the way back, from
docs/method.md; a synapse, all to all, feeds one population. Relevance is split as LFP-epsilon does.
"""

from __future__ import annotations

from cmath import log
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass
class Population:
    """A population of neurons with its synapse.

    Args:
        kind: class of snntorch.
        weight: ``[units, inputs]``.
        bias: ``[units]``.
        recurrent: ``[units, units]``, zero without a recurrent synapse.
        recurrent_bias: ``[units]``.
        theta: threshold of each unit.
        beta: decay of its membrane (of its inhibitory current: Alpha).
        alpha: decay of its synaptic (excitatory) current.
        gain: what a unit of current adds to what arrives.
        reset: subtract, zero or none.
        delay: whether the reset waits for the next step.
        eps: of the rule.
    """

    kind: str
    weight: Array
    bias: Array
    recurrent: Array
    recurrent_bias: Array
    theta: Array
    beta: Array
    alpha: Array
    gain: float
    reset: str
    delay: bool
    eps: float
    sums: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        units, inputs = self.weight.shape
        self.units, self.inputs = units, inputs
        self.sums = {name: np.zeros(units) for name in ("alpha", "beta", "threshold", "bias")}
        self.sums |= {"weight": np.zeros((units, inputs)), "recurrent": np.zeros((units, units))}
        self.sums["recurrent_bias"] = np.zeros(units)

    def run(self, x: Array) -> Array:
        """Spikes ``[T, units]`` of one sample ``[T, inputs]``."""
        steps, units = len(x), self.units
        self.x = x
        self.came = np.zeros((steps, units))
        self.spk = np.zeros((steps + 1, units))
        self.first = np.zeros((steps + 1, units))  # synaptic or excitatory current
        self.second = np.zeros((steps + 1, units))  # inhibitory current, by its size
        self.mem = np.zeros((steps + 1, units))
        self.pending = np.zeros((steps, units))
        for t in range(steps):
            for j in range(units):
                total = self.bias[j] + sum(self.weight[j, i] * x[t, i] for i in range(self.inputs))
                total += self.recurrent_bias[j]
                total += sum(self.recurrent[j, k] * self.spk[t, k] for k in range(units))
                self.came[t, j] = self.gain * total
                self.pending[t, j] = self.mem[t, j] > self.theta[j]
                (self._alpha_step if self.kind == "Alpha" else self._step)(t, j)
        return self.spk[1:]

    def _step(self, t: int, j: int) -> None:
        r, theta = self.pending[t, j], self.theta[j]
        arrived = self.came[t, j]
        if self.kind in ("Synaptic", "RSynaptic"):
            arrived += self.alpha[j] * self.first[t, j]
            self.first[t + 1, j] = arrived
        u = self.beta[j] * self.mem[t, j] + arrived
        if self.reset == "subtract":
            u -= theta * r
        elif self.reset == "zero":
            u -= u * r
        s = float(u > theta)
        if not self.delay and self.reset == "subtract":
            u -= (s - r) * theta
        elif not self.delay and self.reset == "zero":
            u -= (s - r) * u
        self.spk[t + 1, j], self.mem[t + 1, j] = s, u

    def _alpha_step(self, t: int, j: int) -> None:
        r, theta, tau = self.pending[t, j], self.theta[j], self.tau(self.beta[j], j).real
        exc = self.alpha[j] * self.first[t, j] + self.came[t, j]
        inh = self.beta[j] * -self.second[t, j] - self.came[t, j]
        mem = tau * (exc + inh)
        if self.reset == "subtract":
            mem += r * -self.second[t, j]
            exc, inh = exc - r * theta, inh - r * inh
        elif self.reset == "zero":
            mem, exc, inh = mem - r * mem, exc - r * exc, inh - r * inh
        self.first[t + 1, j], self.second[t + 1, j], self.mem[t + 1, j] = exc, -inh, mem
        self.spk[t + 1, j] = float(mem > theta)

    def tau(self, beta: Any, j: int) -> Any:
        return log(self.alpha[j]) / (log(beta) - log(self.alpha[j])) + 1

    def send_back(self, reward: Array) -> Array:
        """Adds the feedback of the sample to ``sums``; returns the relevance of its input."""
        steps, units = len(self.x), self.units
        n = np.zeros((steps + 1, units))
        self.of_mem, self.of_first, self.of_second = (np.zeros(units) for _ in range(3))
        relevance = np.zeros_like(self.x)
        for t in reversed(range(steps)):
            for j in range(units):
                back = sum(self.recurrent[k, j] * n[t + 1, k] for k in range(units))
                q = reward[t, j] + self.spk[t + 1, j] * back
                n[t, j] = (self._alpha_back if self.kind == "Alpha" else self._back)(t, j, q)
                of_current = self.gain * n[t, j]
                self.sums["bias"][j] += of_current
                self.sums["recurrent_bias"][j] += of_current
                for i in range(self.inputs):
                    self.sums["weight"][j, i] += of_current * self.x[t, i]
                    relevance[t, i] += self.x[t, i] * self.weight[j, i] * of_current
                for k in range(units):
                    self.sums["recurrent"][j, k] += of_current * self.spk[t, k]
        return relevance

    def _back(self, t: int, j: int, q: float) -> Any:
        r = self.pending[t, j]
        on = 0.0 if self.reset == "zero" and r else 1.0
        synaptic = self.kind in ("Synaptic", "RSynaptic")
        came = self.first[t + 1, j] if synaptic else self.came[t, j]
        kept = on * self.mem[t, j]
        m = (q + self.of_mem[j]) / self._size(kept, self.beta[j] * kept + on * came)
        self.of_mem[j] = self.beta[j] * kept * m
        m *= on
        self.sums["beta"][j] += m * kept
        if self.reset == "subtract":
            self.sums["threshold"][j] -= m * r
        if not synaptic:
            return m
        old = self.first[t, j]
        n = (came * m + self.of_first[j]) / self._size(old, came)
        self.of_first[j] = self.alpha[j] * old * n
        self.sums["alpha"][j] += n * old
        return n

    def _alpha_back(self, t: int, j: int, q: float) -> Any:
        r = self.pending[t, j]
        on = 0.0 if self.reset == "zero" and r else 1.0
        tau, exc, inh = self.tau(self.beta[j], j).real, self.first[t, j], self.second[t, j]
        raised = self.alpha[j] * exc + self.came[t, j]
        lowered = self.beta[j] * inh + self.came[t, j]
        m = on * q / self._size(0.0, on * tau * (raised - lowered))
        of_exc = (tau * raised * m + self.of_first[j]) / self._size(exc, raised)
        of_inh = (-tau * lowered * m + self.of_second[j]) / self._size(inh, lowered)
        if self.reset == "subtract":
            self.sums["threshold"][j] -= r * self.of_first[j] / self._size(exc, raised)
        self.of_first[j] = self.alpha[j] * exc * of_exc
        self.of_second[j] = self.beta[j] * inh * of_inh
        slope = self.tau(self.beta[j] + 1e-30j, j).imag / 1e-30  # dtau / dbeta, to the last digit
        self.sums["beta"][j] += of_inh * inh + m * (raised - lowered) * slope
        return of_exc + of_inh

    def _size(self, kept: Any, made: Any) -> Any:
        """``|v| + |p - v| + eps``."""
        return abs(kept) + abs(made - kept) + self.eps


@dataclass
class Rescaled(Population):
    """The same neurons under the Rescale rule, at the output (no gate), from docs/method.md.

    ``m`` is the credit of the membrane, ``n`` that of each current before it; later steps have been
    filled in when a step is reached.

    Args:
        carry: reference or decay.
    """

    carry: str = "reference"

    def send_credit(self, credit: Array, relevance: Array) -> Array:
        """Adds the feedback of the sample to ``sums``; returns the relevance of its input."""
        steps, units = len(self.x), self.units
        self.m, self.n_first, self.n_second = (np.zeros((steps + 1, units)) for _ in range(3))
        n = np.zeros((steps + 1, units))
        found = np.zeros_like(self.x)
        for t in reversed(range(steps)):
            for j in range(units):
                c = credit[t, j] + sum(self.recurrent[k, j] * n[t + 1, k] for k in range(units))
                back = self._rescale_alpha if self.kind == "Alpha" else self._rescale
                n[t, j] = back(t, j, c, relevance[t, j])
                of_current = self.gain * n[t, j]
                self.sums["bias"][j] += of_current
                self.sums["recurrent_bias"][j] += of_current
                for i in range(self.inputs):
                    self.sums["weight"][j, i] += of_current * self.x[t, i]
                    found[t, i] += self.x[t, i] * self.weight[j, i] * of_current
                for k in range(units):
                    self.sums["recurrent"][j, k] += of_current * self.spk[t, k]
        return found

    def _carried(self, credit: Any, decay: Any, kept: Any, before: Any, made: Any) -> Any:
        """``k n`` of a state from its credit a step later, where ``kept`` of it was kept."""
        if self.carry == "reference":
            return credit * decay * kept / self._size(before, made)
        return credit * decay

    def _slope(self, u: Any, j: int) -> Any:
        return 1 / (abs(u - self.theta[j]) + self.theta[j] + self.eps)

    def _taken(self, t: int, j: int) -> bool:
        """Does a reset take the membrane at that step? After the last there is none."""
        return t < len(self.x) and self.reset == "zero" and bool(self.pending[t, j])

    def _rescale(self, t: int, j: int, c: Any, relevance: Any) -> Any:
        r, beta = self.pending[t, j], self.beta[j]
        on = 0.0 if self._taken(t, j) else 1.0
        synaptic = self.kind in ("Synaptic", "RSynaptic")
        came = self.first[t + 1, j] if synaptic else self.came[t, j]
        kept = on * self.mem[t, j]
        made = beta * kept + on * came
        u = made - self.theta[j] * r if self.reset == "subtract" else made
        direct = self._slope(u, j) * c
        later = 0.0 if self._taken(t + 1, j) else self.m[t + 1, j]
        if self.reset == "zero" and not self.delay and u > self.theta[j]:
            later = 0.0
        carried = self._carried(later, beta, self.mem[t + 1, j], kept, made)
        self.m[t, j] = direct + relevance / self._size(kept, made) + carried
        of_came = on * self.m[t, j]
        self.sums["beta"][j] += of_came * kept
        self.sums["threshold"][j] -= direct + (of_came * r if self.reset == "subtract" else 0.0)
        if not synaptic:
            return of_came
        before, now = self.first[t, j], self.first[t + 1, j]
        carried = self._carried(self.n_first[t + 1, j], self.alpha[j], now, before, now)
        self.n_first[t, j] = of_came + carried
        self.sums["alpha"][j] += self.n_first[t, j] * before
        return self.n_first[t, j]

    def _rescale_alpha(self, t: int, j: int, c: Any, relevance: Any) -> Any:
        r, exc, inh = self.pending[t, j], self.first[t, j], self.second[t, j]
        on = 0.0 if self._taken(t, j) else 1.0
        tau, alpha, beta = self.tau(self.beta[j], j).real, self.alpha[j], self.beta[j]
        raised, lowered = alpha * exc + self.came[t, j], beta * inh + self.came[t, j]
        direct = self._slope(self.mem[t + 1, j], j) * c
        m = direct + relevance / self._size(0.0, on * tau * (raised - lowered))
        of_exc = self._carried(self.n_first[t + 1, j], alpha, self.first[t + 1, j], exc, raised)
        of_inh = self._carried(self.n_second[t + 1, j], beta, self.second[t + 1, j], inh, lowered)
        if self.carry == "decay" and self.reset == "subtract" and t + 1 < len(self.x):
            of_inh -= self.pending[t + 1, j] * self.m[t + 1, j]
        self.m[t, j] = m
        self.n_first[t, j] = on * (tau * m + of_exc)
        keeps = 1.0 if self.reset == "none" else 1 - r
        self.n_second[t, j] = -on * tau * m + keeps * of_inh
        slope = self.tau(self.beta[j] + 1e-30j, j).imag / 1e-30
        self.sums["beta"][j] += self.n_second[t, j] * inh + on * m * (raised - lowered) * slope
        self.sums["threshold"][j] -= direct + (r * of_exc if self.reset == "subtract" else 0.0)
        return self.n_first[t, j] + self.n_second[t, j]
