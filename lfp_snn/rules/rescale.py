"""The rule that counts a neuron against a reference on the other side of its threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

from typing_extensions import override

from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.rules.base import CONTRIBUTION, CreditRule, Formula, Rule, Variant, membrane_size
from lfp_snn.rules.neuron import Epsilon

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Carry", "Gate", "Rescale"]

Gate = Literal["positive", "window"]
Carry = Literal["reference", "decay"]


@dataclass(frozen=True)
class Rescale(CreditRule):
    r"""DeepLIFT's Rescale rule at a spiking neuron: credit for silent neurons too.

    The published rule of LFP turns credit into relevance at the spike, :math:`R = s\,c`, and gives
    nothing to a neuron that was silent, however near its threshold. This rule counts what a neuron
    did against what it would have done on the other side of its threshold: output difference over
    input difference. With the compared membrane :math:`u_t` and :math:`x_t = u_t - \theta` a spike
    counts against rest, :math:`(1 - 0) / (u_t - 0)`, and a silence against twice the threshold,
    :math:`(0 - 1) / (u_t - 2\theta)`. Both are

    .. math::

        a_t = \frac{g_t}{|x_t| + \theta + \varepsilon} \qquad
        n_t = a_t c_t + k_t n_{t+1}

    with the credit :math:`c_t` that arrives at the spike (or at its absence), and :math:`n_T = 0`.

    ========= ===================================================================================
    gate      where credit passes
    ========= ===================================================================================
    positive  :math:`g = [u > 0]`: neurons that something excited
    window    :math:`g = [|x| < \theta]`: those nearer to the threshold than rest is
    ========= ===================================================================================

    At the output there is no gate: a class that is far below its threshold must be able to learn.

    ========= ===================================================================================
    carry     what a membrane takes from the step that follows
    ========= ===================================================================================
    reference the relevance of the kept part, as in LFP: :math:`k_t n_{t+1} = M_{t+1} / D_t` with
              :math:`M_{t+1} = n_{t+1} \beta v_{t+1}` and
              :math:`D_t = |v_t| + |p_t - v_t| + \varepsilon`
    decay     the share of the membrane that is left, with resets held fixed:
              :math:`k_t = \beta\, \partial v_{t+1} / \partial u_t`
    None      reference in neurons whose state is the membrane alone (``Leaky``, ``RLeaky``,
              ``Lapicque``), decay in those that keep currents too (``Synaptic``, ``RSynaptic``,
              ``Alpha``): a membrane that is a difference of states is little where both are
              large, and a share of it says little
    ========= ===================================================================================

    **What this is, and what it is not.** The slope :math:`a_t` is a finite difference between two
    states of the neuron, a contribution as in DeepLIFT and in LRP, and no derivative: a step
    function has none. As a number it lies near the slope of an arctangent surrogate, so that under
    the decay carry the feedback points nearly where backpropagation through time with that
    surrogate does (but for the factor :math:`|w|`). It is not the LFP that was published.

    A relevance that arrives beside or in the place of credit (from layers under Flat, WSquare or
    ZBox; a reward that is none but at spikes) counts as in Epsilon, :math:`R_t / D_t`. What credit
    says of :math:`x_t` the threshold hears as well: its feedback has the share
    :math:`-\sum a_t c_t` beside that of the reset. Units without a state are counted against their
    value at rest, which is what :class:`Epsilon` does.

    The synapses may share what arrives at them by any rule.

    Args:
        gate: the gate that lets credit pass, positive or window.
        carry: what a membrane takes from the step that follows: reference, decay, or None for the
            one that suits the neuron (outside a network, reference).
        eps: the stabiliser of :math:`a_t` and :math:`D_t`, > 0.
        synapse: the rule by which synapses share; only its half at the synapse counts.

    Raises:
        ConfigError: there is no such gate or carry, or ``eps`` is no positive finite number.

    Source: Shrikumar, Greenside and Kundaje, Learning Important Features Through Propagating
    Activation Differences, ICML 2017 (the Rescale rule); for spiking neurons, with the reference
    beyond the threshold and the carry through time, it is this project's.
    """

    gate: Gate = "positive"
    carry: Carry | None = None
    eps: float = 0.1
    synapse: Rule = field(default_factory=Epsilon)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("gate", get_args(Gate)), ("carry", (*get_args(Carry), None))):
            if getattr(self, name) not in known:
                expected = " or ".join(str(each) for each in known)
                raise ConfigError(
                    f"Rescale.{name} is {getattr(self, name)!r}; expected {expected}."
                )
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise ConfigError(
                f"Rescale.eps is {self.eps}; expected a positive finite number such as 0.1."
            )

    # ------------------------------------------------------------------ at the neuron

    @override
    def suited(self, states: int) -> Rescale:
        if self.carry is not None:
            return self
        return replace(self, carry="reference" if states == 1 else "decay")

    @property
    @override
    def at_neuron(self) -> Formula:
        return Formula(
            "rescale", {"gate": self.gate, "carry": self.carry or "reference", "eps": self.eps}
        )

    @property
    @override
    def carries_decay(self) -> bool:
        return self.carry == "decay"

    @override
    def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """Split relevance (what is no credit) as :class:`Epsilon` does."""
        return (relevance / membrane_size(kept, parts, self.eps),) * len(parts)

    @override
    def slope(self, membrane: Tensor, threshold: Tensor, *, gated: bool = True) -> Tensor:
        """The slope ``a_t``; it is 1 for neurons that never spike (an infinite threshold)."""
        distance = (membrane - threshold).abs()
        slope = 1 / (distance + threshold + self.eps)
        if gated:
            opened = membrane > 0 if self.gate == "positive" else distance < threshold
            slope = slope * opened
        return torch.where(threshold.isinf(), 1.0, slope)

    @override
    def hand(self, part: Tensor, factor: Tensor) -> Tensor:
        """Hand back what is left of the state before under the reference carry, else its factor."""
        return part if self.carry != "decay" else factor

    @override
    def take(self, kept: Tensor, *parts: Tensor) -> Tensor | float:
        """Take ``1 / D`` under the reference carry, else 1."""
        return 1 / membrane_size(kept, parts, self.eps) if self.carry != "decay" else 1.0

    # ------------------------------------------------------------------ at the synapse

    @property
    @override
    def at_synapse(self) -> Formula:
        return self.synapse.at_synapse

    @property
    @override
    def variants(self) -> tuple[Variant, ...]:
        return self.synapse.variants

    @override
    def normalise(
        self, n: Tensor, current: Tensor, currents: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        return self.synapse.normalise(n, current, currents)

    def __repr__(self) -> str:
        """The name and the options; the synapse only where it does not share by contribution."""
        own = f"gate={self.gate!r}, carry={self.carry!r}, eps={self.eps}"
        plain = self.synapse.at_synapse == CONTRIBUTION
        return self.shown(own, *([] if plain else [f"synapse={self.synapse!r}"]))
