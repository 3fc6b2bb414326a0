r"""Rules that tell contributions of one sign from those of the other.

A contribution is :math:`z_{ij} = w_{ij} x_i`, the bias one among them. Those that are positive
add up to :math:`P_j`, the others to :math:`N_j`, and :math:`I_j = P_j + N_j`. With
:math:`\sigma_j = \mathrm{sgn}(I_j)` the contributions of that sign *favour* the current, the
others *oppose* it:

.. math::

    I^\sigma_j = \begin{cases} P_j & I_j > 0 \\ N_j & I_j < 0 \end{cases} \qquad
    I^{-\sigma}_j = I_j - I^\sigma_j

The rules of LRP were written for ReLU networks, where a neuron with a negative sum has no
relevance. A membrane keeps what inhibited it, and its relevance reaches negative currents too; so
all rules here are *signed*: where the current is negative they are mirrored, as in the generalised
gamma rule. Each part has a credit with the sign of n, so that learning follows the reward.
Without active inputs a neuron hands nothing on, and silent inputs take no part.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.rules.base import EpsilonSplit, Formula, Rule, Variant, ratio

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["AlphaBeta", "BySign", "Gamma", "ZPlus"]


def positive(weight: Tensor) -> Tensor:
    """The positive part of the weights, ``max(w, 0)``."""
    return weight.clamp(min=0)


def negative(weight: Tensor) -> Tensor:
    """The negative part of the weights, ``min(w, 0)``."""
    return weight.clamp(max=0)


#: The positive contributions are the first two, the negative ones the others.
BY_SIGN = (
    Variant("positive", positive, positive),
    Variant("negative", negative, None),
    Variant("positive", negative, negative),
    Variant("negative", positive, None),
)


class BySign(EpsilonSplit):
    """The base of rules with one credit for positive and one for negative contributions."""

    _stands_for: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Rule._stands_for,
        "at_synapse": (*Rule._stands_for["at_synapse"], "by_sign", "shares"),
    }

    @property
    @override
    def variants(self) -> tuple[Variant, ...]:
        return BY_SIGN

    @override
    def normalise(
        self, n: Tensor, current: Tensor, currents: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        a, b, c, d = currents
        of_positive, of_negative = self.by_sign(n, a + b, c + d)
        return of_positive, of_positive, of_negative, of_negative

    def by_sign(self, n: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        """The credits of the positive and of the negative contributions.

        Args:
            n: the credit of the current.
            positives: the sum ``P`` of the positive contributions, >= 0.
            negatives: the sum ``N`` of the negative contributions, <= 0.
        """
        excited = positives + negatives >= 0
        favouring = torch.where(excited, positives, negatives)
        opposing = torch.where(excited, negatives, positives)
        favoured, opposed = self.shares(n, favouring, opposing)
        return torch.where(excited, favoured, opposed), torch.where(excited, opposed, favoured)

    @abstractmethod
    def shares(self, n: Tensor, favouring: Tensor, opposing: Tensor) -> tuple[Tensor, Tensor]:
        """The credits of the contributions that favour the current and of those that oppose it."""


@dataclass(frozen=True, repr=False)
class Gamma(BySign):
    r"""Generalised LRP-gamma: contributions with the sign of the current count 1 + gamma times.

    .. math::

        R_{i \leftarrow j} = \frac{z_{ij} + \gamma z_{ij} [\mathrm{sgn}(z_{ij}) = \sigma_j]}
        {I_j + \gamma I^\sigma_j}\, I_j n_j

    The rule is Epsilon for gamma = 0, and ZPlus for gamma to infinity. It conserves
    :math:`A_j = I_j n_j`.

    Args:
        gamma: the extra weight of what favours the current, >= 0.

    Raises:
        ConfigError: ``gamma`` is negative or not finite.

    Source: Andéol, Kawakami, Wada, Kanamori, Müller and Montavon, Learning Domain Invariant
    Representations by Joint Wasserstein Distance Minimization, Neural Networks 2023 (the
    generalised form, also in zennit); Montavon et al. 2019 (LRP-gamma).
    """

    gamma: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise ConfigError(f"Gamma.gamma is {self.gamma}; expected a number of 0 or more.")

    @property
    @override
    def at_synapse(self) -> Formula:
        return Formula("gamma", {"gamma": self.gamma})

    @override
    def shares(self, n: Tensor, favouring: Tensor, opposing: Tensor) -> tuple[Tensor, Tensor]:
        current = favouring + opposing
        # Both sums have the same sign, and the second is the larger.
        opposed = n * ratio(current, current + self.gamma * favouring)
        return (1 + self.gamma) * opposed, opposed


@dataclass(frozen=True, repr=False)
class AlphaBeta(BySign):
    r"""LRP-alpha-beta: what favours the current takes alpha, what opposes it minus beta.

    .. math::

        R_{i \leftarrow j} = \left( \alpha \frac{z^\sigma_{ij}}{I^\sigma_j}
        - \beta \frac{z^{-\sigma}_{ij}}{I^{-\sigma}_j} \right) I_j n_j

    Where nothing opposes, all goes to what favours (alpha counts as 1), so that
    :math:`A_j = I_j n_j` is conserved everywhere.

    Args:
        alpha: the share of what favours the current.
        beta: the share of what opposes it, alpha - 1, >= 0.

    Raises:
        ConfigError: alpha - beta is not 1, or beta is negative.

    Source: Bach et al., PLOS ONE 2015.
    """

    alpha: float = 2.0
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.alpha) and self.beta >= 0) or not math.isclose(
            self.alpha - self.beta, 1
        ):
            raise ConfigError(
                f"AlphaBeta has alpha={self.alpha} and beta={self.beta}; expected alpha - beta = 1 "
                "with beta of 0 or more, such as 2 and 1."
            )

    @property
    @override
    def at_synapse(self) -> Formula:
        return Formula("alpha beta", {"alpha": self.alpha, "beta": self.beta})

    @override
    def shares(self, n: Tensor, favouring: Tensor, opposing: Tensor) -> tuple[Tensor, Tensor]:
        arrived = n * (favouring + opposing).abs()
        alpha = torch.where(opposing == 0, 1.0, self.alpha).to(n.dtype)
        favoured = ratio(alpha * arrived, favouring.abs())
        return favoured, ratio(self.beta * arrived, opposing.abs())


@dataclass(frozen=True, repr=False)
class ZPlus(BySign):
    r"""LRP-z+: only what favours the current takes part.

    .. math:: R_{i \leftarrow j} = \frac{z^\sigma_{ij}}{I^\sigma_j}\, I_j n_j

    These are the positive contributions for a positive current, the negative ones for a negative
    current. The rule equals ``AlphaBeta(1, 0)``.

    Source: Montavon et al., Pattern Recognition 2017 (the z+ rule).
    """

    @property
    @override
    def at_synapse(self) -> Formula:
        return Formula("alpha beta", {"alpha": 1.0, "beta": 0.0})

    @override
    def shares(self, n: Tensor, favouring: Tensor, opposing: Tensor) -> tuple[Tensor, Tensor]:
        arrived = n * (favouring + opposing).abs()
        return ratio(arrived, favouring.abs()), torch.zeros_like(n)
