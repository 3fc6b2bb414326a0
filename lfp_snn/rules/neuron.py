"""Rules that share relevance by contribution, and differ in the split at the neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from lfp_snn.rules.base import EpsilonSplit, Formula, Rule, split_by_size

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Epsilon", "Norm", "Pass"]


@dataclass(frozen=True, repr=False)
class Epsilon(EpsilonSplit):
    r"""LFP-epsilon, the published rule.

    .. math::

        D_t = |v_t| + |p_t - v_t| + \varepsilon \qquad n_t = Q_t / D_t \qquad
        M_t = n_t \beta v_t \qquad R_{i \leftarrow j} = x_i w_{ij} n_j

    Both parts count by their size, so that credit keeps the sign of the reward. The kept part
    stands undecayed in :math:`D` and decayed in what is handed on: what arrived is counted as
    :math:`I_t - (1 - \beta) v_t`, and relevance is not conserved exactly.

    With ``conserving`` it is, synapse by synapse and step by step,
    :math:`Q = M + \sum_i R_{i \leftarrow j} + b\,n`:

    .. math::

        D_t = |\beta v_t| + |I_t| \qquad M_t = Q_t |\beta v_t| / D_t \qquad
        n_t = Q_t\, \mathrm{sgn}(I_t) / D_t

    without eps and with 0/0 = 0: what reaches a membrane that nothing made is dropped. The reset
    :math:`-\theta r_t` takes no share. It is no input but an effect of the earlier spike, and
    what it took could go nowhere: :math:`r_t` is a step of the earlier membrane and not a part of
    it. Meant for explanation: :math:`\mathrm{sgn}(I_t)` turns learning around where the current
    is negative, since all of a positive relevance then goes to an inhibiting current.

    Args:
        eps: the stabiliser, > 0. 1e-6 is the published value; 0.1 trains better, since it
            damps neurons whose membrane is near zero.
        conserving: whether to conserve relevance; ``eps`` is then not used.

    Raises:
        ConfigError: ``eps`` is not a positive finite number.

    Source: Weber et al., TMLR 2025 (arXiv 2308.12053), LFP-epsilon for LIF neurons; the conserving
    form is ours.
    """

    eps: float = 1e-6
    conserving: bool = False


@dataclass(frozen=True)
class Norm(Rule):
    r"""Norm: all relevance is handed out by size, and none is lost to a stabiliser.

    .. math::

        D_t = |\beta v_t| + |I_t| \qquad n_t = Q_t / D_t \qquad M_t = n_t \beta v_t

    with 0/0 = 0. The sizes add up, :math:`|M_t| + |n_t I_t| = |Q_t|`, and credit keeps the sign of
    the reward: the form of ``Epsilon(conserving=True)`` that can train.

    Source: zennit's Norm (the epsilon rule without an epsilon), for LIF.
    """

    @property
    @override
    def at_neuron(self) -> Formula:
        return Formula("by size")

    @override
    def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        return (split_by_size(relevance, parts),) * len(parts)

    def __repr__(self) -> str:
        return self.shown()


@dataclass(frozen=True)
class Pass(Rule):
    r"""Pass: a neuron hands all its relevance to what arrived at the same step, none to its memory.

    .. math:: n_t = R_t / |I_t| \qquad M_t = 0

    with 0/0 = 0. A neuron that spikes from what it had kept, without any current, drops its
    relevance. :math:`|n_t I_t| = |R_t|`.

    Source: zennit's Pass (an activation hands its relevance on unchanged), for LIF.
    """

    @property
    @override
    def at_neuron(self) -> Formula:
        return Formula("arrived")

    @override
    def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        n = split_by_size(relevance, parts[1:])
        return (n * 0, *(n,) * (len(parts) - 1))

    def __repr__(self) -> str:
        return self.shown()
