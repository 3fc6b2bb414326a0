r"""Leaky integrate-and-fire neurons: their dynamics and their credit scan.

Pure functions on tensors, time-major ``[T, B, ...]``, without autograd. This is the reference:
every faster backend is held against it.

Notation, at one time step: :math:`I_t` the synaptic current, :math:`w_t` the membrane that
snntorch stores (:math:`w_{-1} = 0`), :math:`s_t` the spike, :math:`r_t = [w_{t-1} > \theta]` the
pending reset. Comparisons are strict. Every variant of ``snntorch.Leaky`` splits what makes the
membrane into a kept part :math:`v_t` and what arrived, :math:`p_t = \beta v_t + I_t`:

================== ======================== ========================= ============================
reset, delay       kept part                compared with threshold   stored membrane
================== ======================== ========================= ============================
subtract, delayed  :math:`v = w_{t-1}`      :math:`u = p - \theta r`  :math:`w = u`
zero, delayed      :math:`(1-r) w_{t-1}`    :math:`u = p`             :math:`w = u`
none               :math:`v = w_{t-1}`      :math:`u = p`             :math:`w = u`
subtract, at once  :math:`v = w_{t-1}`      :math:`u = p - \theta r`  :math:`u - \theta (s - r)`
zero, at once      :math:`v = w_{t-1}`      :math:`u = p`             :math:`(1 - s) u`
================== ======================== ========================= ============================

and :math:`s = [u > \theta]`. An undelayed subtraction with :math:`r = 1` and :math:`s = 0` gives
the threshold back, as snntorch does.

Backwards, with the relevance :math:`R_t` that arrives at the spike and :math:`M_T = 0`, a rule
(see :mod:`lfp_snn.rules`) splits what stands at the membrane between what was kept and what
arrived, by a credit for each:

.. math::

    n^v_t,\, n_t = \mathrm{split}(R_t + M_{t+1};\; v_t,\, \beta v_t,\, I_t) \qquad
    M_t = n^v_t \beta v_t

:math:`n_t` is the *credit* of the current: what a synapse multiplies with its input to learn, and
with its weight to pass credit on.

:class:`lfp_snn.rules.Rescale` takes credit at the spike and makes credit of the membrane of it,
also where the neuron was silent; :func:`rescale` is its scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lfp_snn.later import torch
from lfp_snn.rules import CreditRule, Rule

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Dynamics",
    "Reset",
    "at_membrane",
    "carry_factors",
    "compared",
    "credit",
    "forward",
    "parameter_feedback",
    "rescale",
    "running",
]

Reset = Literal["subtract", "zero", "none"]


@dataclass(frozen=True)
class Dynamics:
    """The constants of a population of LIF neurons, and their time step.

    Args:
        beta: the decay per step, in [0, 1]; broadcasts from the right over ``[B, ...]``.
        threshold: the threshold, >= 0; broadcasts from the right over ``[B, ...]``.
        reset: what a spike does to the membrane.
        delay: whether the reset takes effect one step after the spike (snntorch's default).
    """

    beta: Tensor
    threshold: Tensor
    reset: Reset = "subtract"
    delay: bool = True

    def kept(self, previous: Tensor) -> Tensor:
        """The kept part ``v_t`` of the earlier membrane."""
        if self.reset == "zero" and self.delay:
            return torch.where(previous > self.threshold, 0, previous)
        return previous

    @property
    def at_once(self) -> bool:
        """Whether a reset acts in the step of its spike, so that ``w`` is not ``u``."""
        return self.reset != "none" and not self.delay

    def decayed(self, kept: Tensor) -> Tensor:
        """The remainder of the kept part after one step, ``beta * v_t``."""
        return self.beta * kept

    def compared(self, current: Tensor, previous: Tensor) -> Tensor:
        """The membrane ``u_t`` that is compared with the threshold."""
        integrated = self.decayed(self.kept(previous)) + current
        if self.reset != "subtract":
            return integrated
        return integrated - (previous > self.threshold).to(current.dtype) * self.threshold

    def step(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: ``I_t, w_{t-1} -> s_t, w_t``, spikes in the dtype of the current."""
        membrane = self.compared(current, previous)
        spike = (membrane > self.threshold).to(current.dtype)
        if not self.at_once:
            return spike, membrane
        if self.reset == "zero":
            return spike, (1 - spike) * membrane
        pending = (previous > self.threshold).to(current.dtype)
        return spike, membrane - (spike - pending) * self.threshold

    def follows(self, previous: Tensor) -> Tensor:
        """The derivative ``beta dv_t / dw_{t-1}`` of what is left, with resets held fixed."""
        whole = self.beta.expand_as(previous)
        if self.reset == "zero" and self.delay:
            return torch.where(previous > self.threshold, 0, whole)
        return whole

    def stays(self, compared: Tensor) -> Tensor | float:
        """Derivative ``dw_t / du_t``, resets fixed: 0 where a spike zeroes the membrane, else 1."""
        if self.reset == "zero" and not self.delay:
            return (compared <= self.threshold).to(compared.dtype)
        return 1.0


def running(lengths: Tensor, steps: int, dims: int) -> Tensor:
    """Whether a sample still runs at a step, bool ``[T, B, 1, ...]`` of ``dims`` dimensions."""
    t = torch.arange(steps, device=lengths.device)[:, None]
    mask = t < lengths
    return mask.reshape(*mask.shape, *(1,) * (dims - 2))


def forward(
    currents: Tensor,
    dynamics: Dynamics,
    state: Tensor | None = None,
    *,
    steps: int | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a population over time.

    Args:
        currents: the synaptic currents ``[T, B, ...]``, or ``[1, B, ...]`` for a current that is
            constant over ``steps``.
        dynamics: the constants of the population.
        state: the membrane before the first step, ``[B, ...]``; zero if ``None``.
        steps: T, needed only for a constant current.
        lengths: the steps of each sample, int ``[B]``; from step ``lengths[b]`` on sample b takes
            no current and emits no spike, and its membrane stands still.

    Returns:
        Spikes ``[T, B, ...]`` (0 or 1 in the dtype of the currents), membranes ``w``
        ``[T, B, ...]`` as snntorch stores them, and the state after the last step ``[B, ...]``.
    """
    steps = steps or currents.shape[0]
    currents = currents.expand(steps, *currents.shape[1:])
    spikes = torch.empty_like(currents, memory_format=torch.contiguous_format)
    membranes = torch.empty_like(spikes)
    membrane = torch.zeros_like(currents[0]) if state is None else state
    alive = None if lengths is None else running(lengths, steps, currents.dim())
    for t in range(steps):
        spike, following = dynamics.step(currents[t], membrane)
        if alive is not None:
            spike = spike * alive[t]
            following = torch.where(alive[t], following, membrane)
        spikes[t], membranes[t] = spike, following
        membrane = following
    return spikes, membranes, membrane


def credit(
    relevance: Tensor,
    membranes: Tensor,
    currents: Tensor,
    dynamics: Dynamics,
    rule: Rule,
    state: Tensor | None = None,
    carried: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The credit of the currents, by one scan backwards through time.

    Args:
        relevance: the relevance ``R`` ``[T, B, ...]`` at the spikes; zero after a sample's end.
        membranes: the membranes ``w`` that :func:`forward` gave.
        currents: the currents ``I`` as given to :func:`forward` (``[1, B, ...]`` if constant).
        dynamics: the constants of the population.
        rule: the rule that splits the relevance of the membrane.
        state: the membrane before the first step, as given to :func:`forward`.
        carried: ``M`` ``[B, ...]`` from the chunk of time that follows; zero if ``None``.

    Returns:
        The credit ``n`` ``[T, B, ...]``, and ``M`` ``[B, ...]`` for the chunk of time before.
    """
    steps = membranes.shape[0]
    currents = currents.expand_as(membranes)
    first = torch.zeros_like(membranes[0]) if state is None else state
    handed = torch.zeros_like(membranes[0]) if carried is None else carried
    n = torch.empty_like(membranes)
    for t in reversed(range(steps)):
        v = dynamics.kept(membranes[t - 1] if t else first)
        decayed = dynamics.beta * v
        of_kept, n[t] = rule.split(relevance[t] + handed, v, decayed, currents[t])
        handed = of_kept * decayed
    return n, handed


def compared(
    membranes: Tensor, currents: Tensor, dynamics: Dynamics, state: Tensor | None = None
) -> Tensor:
    """The membranes ``u`` ``[T, B, ...]`` that were compared with the threshold.

    Arguments are as of :func:`credit`. After a sample's end the values have no meaning.
    """
    if not dynamics.at_once:
        return membranes
    return dynamics.compared(currents, _before(membranes, state))


def at_membrane(
    credit: Tensor | None,
    relevance: Tensor | None,
    membranes: Tensor,
    currents: Tensor,
    dynamics: Dynamics,
    rule: CreditRule,
    state: Tensor | None = None,
    *,
    gated: bool = True,
) -> tuple[Tensor, Tensor]:
    """The credit of the membrane under a rule that takes credit: ``a c``, and ``a c + R / D``.

    Args:
        credit: the credit ``c`` ``[T, B, ...]`` of the spikes, or None.
        relevance: the relevance ``R`` ``[T, B, ...]`` that came beside it, or None.
        membranes: the membranes ``w`` that :func:`forward` gave.
        currents: the currents as given to :func:`forward`.
        dynamics: the constants of the population.
        rule: the rule that says what a unit of credit is at the membrane.
        state: the membrane before the first step, as given to :func:`forward`.
        gated: whether the rule's gate applies; at the output it does not.
    """
    direct = torch.zeros_like(membranes)
    if credit is not None:
        u = compared(membranes, currents, dynamics, state)
        direct = rule.slope(u, dynamics.threshold, gated=gated) * credit
    if relevance is None:
        return direct, direct
    v = dynamics.kept(_before(membranes, state))
    return direct, direct + rule.split(relevance, v, dynamics.beta * v, currents)[1]


def rescale(
    arrived: Tensor,
    membranes: Tensor,
    currents: Tensor,
    dynamics: Dynamics,
    rule: CreditRule,
    state: Tensor | None = None,
    carried: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""The credit of the currents under :class:`lfp_snn.rules.Rescale`, by one scan backwards.

    .. math:: n_t = a_t c_t + R_t / D_t + k_t n_{t+1}

    Args:
        arrived: the credit ``a c + R / D`` ``[T, B, ...]`` that :func:`at_membrane` gave; zero
            after a sample's end.
        membranes: the membranes ``w`` that :func:`forward` gave.
        currents: the currents as given to :func:`forward`.
        dynamics: the constants of the population.
        rule: the rule that says what a membrane hands to the one before.
        state: the membrane before the first step, as given to :func:`forward`.
        carried: the numerator of ``k_t n_{t+1}`` ``[B, ...]`` from the chunk of time that follows:
            ``M``, or ``n`` times the decay; zero if ``None``.

    Returns:
        The credit ``n`` ``[T, B, ...]``, and that numerator for the chunk of time before.
    """
    takes, hands = carry_factors(membranes, currents, dynamics, rule, state)
    n = arrived.clone()
    handed = torch.zeros_like(membranes[0]) if carried is None else carried
    for t in reversed(range(len(membranes))):
        n[t] += takes[t] * handed
        handed = hands[t] * n[t]
    return n, handed


def carry_factors(
    membranes: Tensor,
    currents: Tensor,
    dynamics: Dynamics,
    rule: CreditRule,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Factors of a membrane: what it takes of what the step after it hands on, what it hands on.

    Arguments are as of :func:`rescale`; both are ``[T, B, ...]``, for each unit of credit.
    """
    previous = _before(membranes, state)
    v = dynamics.kept(previous)
    decayed = dynamics.beta * v
    takes = rule.take(v, decayed, currents)
    if dynamics.at_once:
        takes = takes * dynamics.stays(dynamics.compared(currents, previous))
    hands = rule.hand(decayed, dynamics.follows(previous))
    return torch.as_tensor(takes).expand_as(membranes), hands


def _before(membranes: Tensor, state: Tensor | None) -> Tensor:
    """The membrane ``w_{t-1}`` before every step, ``[T, B, ...]``."""
    first = torch.zeros_like(membranes[:1]) if state is None else state[None]
    return torch.cat([first, membranes[:-1]])


def parameter_feedback(
    n: Tensor,
    membranes: Tensor,
    dynamics: Dynamics,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""The sums for the feedback of beta and threshold, inputs and earlier states held fixed.

    .. math::

        \sum_{t,b} n_t\, \partial u_t / \partial \beta = \sum_{t,b} n_t v_t \qquad
        \sum_{t,b} n_t\, \partial u_t / \partial \theta = -\sum_{t,b} n_t r_t

    The second is zero unless the reset subtracts. The caller reduces both from the shape of one
    frame ``[...]`` to that of its parameter and multiplies with the parameter's size.
    """
    previous = _before(membranes, state)
    of_beta = (n * dynamics.kept(previous)).sum((0, 1))
    if dynamics.reset != "subtract":
        return of_beta, torch.zeros_like(of_beta)
    return of_beta, -(n * (previous > dynamics.threshold)).sum((0, 1))
