"""Rules: how credit is formed at a neuron.

A neuron passes its relevance on to what made its membrane: the part it kept, ``v``, and the part
that arrived, ``p - v`` (see :mod:`lfp_snn.lif`). A rule says by how much the relevance is divided
before it is handed out. Every linear stage between neurons then passes credit on as a plain
vector-Jacobian product, whatever the rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from lfp_snn.errors import ConfigError

__all__ = ["RULES", "Epsilon", "Rule"]


class Rule(Protocol):
    """What the credit scan asks of a rule."""

    def denominator(self, kept: Tensor, arrived: Tensor) -> Tensor:
        """``D`` of the scan ``n = (R + M) / D``; all shapes equal, result positive."""
        ...


@dataclass(frozen=True)
class Epsilon:
    r"""LFP-epsilon, the published rule.

    .. math:: D_t = |v_t| + |p_t - v_t| + \varepsilon

    Both parts count by their size, so that credit keeps the sign of the reward. The kept part
    stands undecayed in :math:`D` and decayed in what is handed on,
    :math:`M_t = n_t \beta v_t`: what arrived is counted as :math:`I_t - (1 - \beta) v_t`, and
    relevance is not conserved exactly.

    Args:
        eps: stabiliser, > 0. 1e-6 is the published value; 0.1 trains better (it damps neurons
            whose membrane is near zero) and is what the shipped configs use.

    Raises:
        ConfigError: ``eps`` is not a positive finite number.

    Source: Weber et al., TMLR 2025 (arXiv 2308.12053), LFP-epsilon for LIF neurons.
    """

    eps: float = 1e-6

    def __post_init__(self) -> None:
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise ConfigError(
                f"Epsilon.eps is {self.eps}; expected a positive finite number such as 1e-6."
            )

    def denominator(self, kept: Tensor, arrived: Tensor) -> Tensor:
        """``|kept| + |arrived| + eps``."""
        return kept.abs() + arrived.abs() + self.eps


#: Rules by the name that a config uses.
RULES: dict[str, type[Epsilon]] = {"epsilon": Epsilon}
