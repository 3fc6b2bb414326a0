r"""Neurons with more than a leaky membrane: one time step, and the way back through that step.

Pure functions on tensors ``[B, ...]``, in the notation of :mod:`lfp_snn.lif`. A *cell* holds the
constants of a population and knows how its states follow from what arrived, :math:`I_t`, and how
relevance is split at each of them between what was kept and what arrived. The rule of the neuron
splits everywhere (:meth:`lfp_snn.rules.Rule.split`), so that relevance is part times credit.

A delayed reset to zero takes, in all of these, what arrives at that step too: with
:math:`o_t = 1 - r_t` there, and :math:`o_t = 1` under every other reset,

.. math:: u_t = o_t (\beta w_{t-1} + I_t)

so that where :math:`o_t = 0` nothing made the membrane, and no credit passes.

Under :class:`lfp_snn.rules.Rescale` (:meth:`Cell.rescale`) credit takes the place of relevance
within a step: the membrane has the credit :math:`m_t = a_t c_t + R_t / D_t + k_t m_{t+1}` with the
:math:`u_t` that was compared, every state that enters it linearly has that times its factor, and
only what crosses from step to step is carried as the rule says, state by state: with ``v`` the
state before, ``p`` the state, and the decay of that state in the place of beta.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.lif import Dynamics
from lfp_snn.rules import CreditRule, Rule

__all__ = ["AlphaCell", "Arriving", "Cell", "Handed", "Membrane", "SynapticCell"]


class Arriving(NamedTuple):
    """The credit that arrives at a population on the way back, the relevance beside it, or both.

    Attributes:
        credit: the credit ``c`` at the spikes and where they are missing, or None.
        relevance: the relevance ``R``, or None.
        at_output: whether this is the output of the network, and what arrives the reward. A rule
            that takes credit has no gate there.
    """

    credit: Tensor | None = None
    relevance: Tensor | None = None
    at_output: bool = False


class Handed(NamedTuple):
    """The credit and relevance that one step hands back on the way back through time.

    Attributes:
        arrived: the credit ``n`` ``[B, ...]`` of what arrived.
        states: the relevance of the states before, ``[S, B, ...]``, or what a carry makes of it.
        credits: the credit at each place where a parameter enters, for :meth:`Cell.sums`.
    """

    arrived: Tensor
    states: Tensor
    credits: Tensor


@dataclass(frozen=True)
class Cell(ABC):
    """The constants of a population whose state is ``[S, B, ...]``, the membrane last.

    Args:
        dynamics: the constants of the membrane.
    """

    dynamics: Dynamics
    #: S.
    states: ClassVar[int]

    @abstractmethod
    def step(self, arrived: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Run one time step: current ``I_t``, states before -> spikes ``s_t``, states after."""

    @abstractmethod
    def credit(
        self, rule: Rule, relevance: Tensor, handed: Tensor, arrived: Tensor, before: Tensor
    ) -> Handed:
        """The way back through one step.

        Args:
            rule: the rule that splits relevance.
            relevance: the relevance ``R_t`` ``[B, ...]`` that arrives at the spikes.
            handed: the relevance of the states after, from the step that follows.
            arrived: the current ``I_t`` ``[B, ...]``.
            before: the states before, ``[S, B, ...]``.
        """

    @abstractmethod
    def rescale(
        self, rule: CreditRule, arriving: Arriving, handed: Tensor, arrived: Tensor, before: Tensor
    ) -> tuple[Handed, Tensor]:
        """The way back through one step under a rule that credits silent neurons.

        Args:
            rule: the rule that says what credit at the spike is at the membrane, and what is
                carried.
            arriving: the credit ``c_t`` and the relevance ``R_t`` ``[B, ...]`` at the spikes.
            handed: what the step that follows hands to the states after, by the carry of the rule.
            arrived: the current ``I_t`` ``[B, ...]``.
            before: the states before, ``[S, B, ...]``.

        Returns:
            What the step hands back, and ``a c``, what credit says of the distance to the
            threshold.
        """

    @abstractmethod
    def sums(self, credits: Tensor, arrived: Tensor, before: Tensor) -> Mapping[str, Tensor]:
        """The products ``n_t du_t/dp`` ``[T, B, ...]`` for each parameter by name.

        Args:
            credits: the credits that :meth:`credit` gave, ``[K, T, B, ...]``.
            arrived: the currents ``[T, B, ...]``.
            before: the states before each step, ``[S, T, B, ...]``.
        """

    def open(self, w: Tensor) -> Tensor | float:
        """The factor ``o_t``: 0 where a reset takes all that arrives, else 1."""
        if self.dynamics.reset != "zero":
            return 1.0
        return (w <= self.dynamics.threshold).to(w.dtype)

    def subtracted(self, w: Tensor) -> Tensor:
        """The pending reset ``r_t`` where the reset subtracts the threshold, else 0."""
        return (w > self.dynamics.threshold) & (self.dynamics.reset == "subtract")

    def at_membrane(
        self, rule: Rule, relevance: Tensor, w: Tensor, arrived: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Credit of what arrived at a leaky membrane, and the relevance of the membrane before."""
        kept, o = self.dynamics.kept(w), self.open(w)
        decayed = self.dynamics.decayed(kept)
        of_kept, of_arrived = rule.split(relevance, kept, decayed, o * arrived)
        return o * of_arrived, decayed * of_kept

    def direct(self, rule: CreditRule, arriving: Arriving, compared: Tensor) -> Tensor:
        """The credit ``a c`` of the membrane, from the credit at the spike."""
        if arriving.credit is None:
            return torch.zeros_like(compared)
        slope = rule.slope(compared, self.dynamics.threshold, gated=not arriving.at_output)
        return slope * arriving.credit

    def rescale_membrane(
        self, rule: CreditRule, arriving: Arriving, handed: Tensor, w: Tensor, arrived: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Credit of what arrived at a leaky membrane, what the membrane hands on, and ``a c``."""
        kept, entering = self.dynamics.kept(w), self.open(w) * arrived
        decayed = self.dynamics.decayed(kept)
        compared = self.dynamics.compared(entering, w)
        direct = self.direct(rule, arriving, compared)
        m = direct + self.dynamics.stays(compared) * rule.take(kept, decayed, entering) * handed
        if arriving.relevance is not None:
            m = m + rule.split(arriving.relevance, kept, decayed, entering)[1]
        return self.open(w) * m, rule.hand(decayed, self.dynamics.follows(w)) * m, direct


@dataclass(frozen=True)
class Membrane(Cell):
    r"""A leaky membrane and nothing else: ``snntorch.RLeaky`` and ``snntorch.Lapicque``.

    .. math:: u_t = o_t (\beta v_t + I_t) - \theta r_t
    """

    states = 1

    @override
    def step(self, arrived: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        (w,) = before
        spike, following = self.dynamics.step(self.open(w) * arrived, w)
        return spike, following[None]

    @override
    def credit(
        self, rule: Rule, relevance: Tensor, handed: Tensor, arrived: Tensor, before: Tensor
    ) -> Handed:
        n, kept = self.at_membrane(rule, relevance + handed[0], before[0], arrived)
        return Handed(n, kept[None], n[None])

    @override
    def rescale(
        self, rule: CreditRule, arriving: Arriving, handed: Tensor, arrived: Tensor, before: Tensor
    ) -> tuple[Handed, Tensor]:
        n, kept, direct = self.rescale_membrane(rule, arriving, handed[0], before[0], arrived)
        return Handed(n, kept[None], n[None]), direct

    @override
    def sums(self, credits: Tensor, arrived: Tensor, before: Tensor) -> Mapping[str, Tensor]:
        (n,), (w,) = credits, before
        return {"beta": n * self.dynamics.kept(w), "threshold": -n * self.subtracted(w)}


@dataclass(frozen=True)
class SynapticCell(Cell):
    r"""A synaptic current of its own before the membrane: ``snntorch.Synaptic``.

    The current :math:`y` decays by alpha, and no reset touches it:

    .. math::

        y_t = \alpha y_{t-1} + I_t \qquad u_t = o_t (\beta v_t + y_t) - \theta r_t

    Relevance is split at the membrane between :math:`\beta v_t` and :math:`y_t`, and at y, with
    what the next step handed back to it, between :math:`\alpha y_{t-1}` and :math:`I_t`.

    Args:
        alpha: the decay of the current, in [0, 1].
    """

    alpha: Tensor
    states = 2

    @override
    def step(self, arrived: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        y, w = before
        y = self.alpha * y + arrived
        spike, w = self.dynamics.step(self.open(w) * y, w)
        return spike, torch.stack([y, w])

    @override
    def credit(
        self, rule: Rule, relevance: Tensor, handed: Tensor, arrived: Tensor, before: Tensor
    ) -> Handed:
        y, w = before
        decayed = self.alpha * y
        now = decayed + arrived
        of_y, kept = self.at_membrane(rule, relevance + handed[1], w, now)
        of_kept, n = rule.split(now * of_y + handed[0], y, decayed, arrived)
        return Handed(n, torch.stack([decayed * of_kept, kept]), torch.stack([n, of_y]))

    @override
    def rescale(
        self, rule: CreditRule, arriving: Arriving, handed: Tensor, arrived: Tensor, before: Tensor
    ) -> tuple[Handed, Tensor]:
        y, w = before
        decayed = self.alpha * y
        now = decayed + arrived
        of_y, kept, direct = self.rescale_membrane(rule, arriving, handed[1], w, now)
        n = of_y + rule.take(y, decayed, arrived) * handed[0]
        states = torch.stack([rule.hand(decayed, self.alpha) * n, kept])
        return Handed(n, states, torch.stack([n, of_y])), direct

    @override
    def sums(self, credits: Tensor, arrived: Tensor, before: Tensor) -> Mapping[str, Tensor]:
        (n, of_y), (y, w) = credits, before
        beta, threshold = of_y * self.dynamics.kept(w), -of_y * self.subtracted(w)
        return {"alpha": n * y, "beta": beta, "threshold": threshold}


@dataclass(frozen=True)
class AlphaCell(Cell):
    r"""The membrane as the difference of two currents: ``snntorch.Alpha``.

    An input raises an excitatory current :math:`e` and an inhibitory one :math:`j` alike, and the
    inhibitory one decays faster, :math:`\beta < \alpha`. (snntorch stores :math:`-j`.) With
    :math:`e^\circ_t = \alpha e_{t-1} + I_t`, :math:`j^\circ_t = \beta j_{t-1} + I_t` and
    :math:`\tau = 1 + \ln\alpha / (\ln\beta - \ln\alpha)`, as snntorch has it:

    ========= ============================== ===================== =================================
    reset     excitatory                     inhibitory            membrane
    ========= ============================== ===================== =================================
    subtract  :math:`e^\circ - \theta r`     :math:`(1-r) j^\circ` :math:`\tau(e^\circ - j^\circ) -
                                                                   r j_{t-1}`
    zero      :math:`(1-r) e^\circ`          :math:`(1-r) j^\circ` :math:`(1-r) \tau
                                                                   (e^\circ - j^\circ)`
    none      :math:`e^\circ`                :math:`j^\circ`       :math:`\tau(e^\circ - j^\circ)`
    ========= ============================== ===================== =================================

    The membrane keeps nothing of itself. Its relevance is split between :math:`\tau e^\circ` and
    :math:`-\tau j^\circ`, and at each current, with what the next step handed back to it, between
    what it kept and what arrived. The credit of the current is the sum of both. Counting the
    inhibitory current by its size matters: an input then gets opposite credit from the two at its
    own step, at which it cannot move the membrane, and credit as the kernel rises later on. What
    the reset takes away has no share, as everywhere.

    Args:
        alpha: the decay of the excitatory current; ``dynamics.beta`` is the decay of the inhibitory
            one.
    """

    alpha: Tensor
    states = 3

    @property
    def tau(self) -> Tensor:
        r"""The scale :math:`\tau` of the membrane."""
        log_alpha = torch.log(self.alpha)
        return log_alpha / (torch.log(self.dynamics.beta) - log_alpha) + 1

    @override
    def step(self, arrived: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        e, j, u = before
        beta, threshold, reset = self.dynamics.beta, self.dynamics.threshold, self.dynamics.reset
        e, faster = self.alpha * e + arrived, beta * j + arrived
        membrane = self.tau * (e - faster)
        if reset != "none":
            r = (u > threshold).to(u.dtype)
            membrane = membrane - r * (j if reset == "subtract" else membrane)
            e = e - r * (threshold if reset == "subtract" else e)
            faster = faster - r * faster
        spike = (membrane > threshold).to(arrived.dtype)
        return spike, torch.stack([e, faster, membrane])

    @override
    def credit(
        self, rule: Rule, relevance: Tensor, handed: Tensor, arrived: Tensor, before: Tensor
    ) -> Handed:
        e, j, u = before
        o, nothing = self.open(u), torch.zeros_like(u)
        old_e, old_j = self.alpha * e, self.dynamics.beta * j
        raised, lowered = o * self.tau * (old_e + arrived), -o * self.tau * (old_j + arrived)
        _, of_e, of_j = (o * n for n in rule.split(relevance, nothing, nothing, raised, lowered))
        of_old_e, n_e = rule.split(raised * of_e + handed[0], e, old_e, arrived)
        of_old_j, n_j = rule.split(lowered * of_j + handed[1], j, old_j, arrived)
        # The threshold was taken from what e is later on, not from what this membrane saw.
        later = rule.split(handed[0], e, old_e, arrived)[1]
        states = torch.stack([old_e * of_old_e, old_j * of_old_j, nothing])
        return Handed(n_e + n_j, states, torch.stack([n_j, of_e, of_j, later]))

    @override
    def rescale(
        self, rule: CreditRule, arriving: Arriving, handed: Tensor, arrived: Tensor, before: Tensor
    ) -> tuple[Handed, Tensor]:
        e, j, u = before
        beta, reset = self.dynamics.beta, self.dynamics.reset
        nothing, r = torch.zeros_like(u), (u > self.dynamics.threshold).to(u.dtype)
        o, taken = self.open(u), r if reset == "subtract" else nothing
        old_e, old_j = self.alpha * e, beta * j
        raised, lowered = o * self.tau * (old_e + arrived), -o * self.tau * (old_j + arrived)
        direct = self.direct(rule, arriving, raised + lowered - taken * j)
        m = direct
        if arriving.relevance is not None:
            m = m + rule.split(arriving.relevance, nothing, nothing, raised, lowered)[1]
        later = rule.take(e, old_e, arrived) * handed[0]
        n_e = o * (self.tau * m + later)
        # A subtraction zeroes the inhibitory current, too.
        stays = 1 if reset == "none" else 1 - r
        n_j = -o * self.tau * m + stays * rule.take(j, old_j, arrived) * handed[1]
        # What a reset takes from the membrane is no share of it, but it grew with the current.
        of_j = rule.hand(old_j, beta) * n_j - rule.hand(nothing, taken) * m
        states = torch.stack([rule.hand(old_e, self.alpha) * n_e, of_j, nothing])
        return Handed(n_e + n_j, states, torch.stack([n_j, o * m, o * m, later])), direct

    @override
    def sums(self, credits: Tensor, arrived: Tensor, before: Tensor) -> Mapping[str, Tensor]:
        (n_j, of_e, of_j, later), (e, j, u) = credits, before
        beta, log_alpha = self.dynamics.beta, torch.log(self.alpha)
        slope = -log_alpha / (beta * (torch.log(beta) - log_alpha).square())  # dtau / dbeta
        slope = torch.where(beta > 0, slope, 0)
        seen = of_e * (self.alpha * e + arrived) - of_j * (beta * j + arrived)
        return {"beta": n_j * j + slope * seen, "threshold": -later * self.subtracted(u)}
