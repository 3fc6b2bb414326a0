r"""Rules that hand relevance to inputs whether they were active or not.

Each shares :math:`A_j = I_j n_j` by a measure :math:`\zeta_{ij} \ge 0` that adds up to
:math:`Z_j`, so that :math:`A_j` is conserved wherever :math:`Z_j > 0`:

.. math::

    R_{i \leftarrow j} = \frac{\zeta_{ij}}{Z_j} I_j n_j \qquad
    \mathrm{feedback}(w_{ij}) = \sum_{t,b} \mathrm{sgn}(x_i) \frac{\zeta_{ij}}{Z_j} |I_j| n_j

The share is no multiple of the input, so an edge carries a relevance ``r`` instead of a credit.
The measure stands in the place of :math:`|w_{ij}|` in the feedback, and silent inputs, though they
receive relevance, learn nothing. All three were made for first layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.rules.base import EpsilonSplit, Formula, Variant, ratio
from lfp_snn.rules.signed import negative, positive

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Flat", "WSquare", "ZBox"]


class _Measured(EpsilonSplit):
    """Base of rules that share by a measure: ``g = A / Z``, Z the sum of the variants' currents."""

    @override
    def normalise(
        self, n: Tensor, current: Tensor, currents: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        total = sum(currents[1:], start=currents[0])
        return (ratio(n * current, total),) * len(currents)


@dataclass(frozen=True, repr=False)
class WSquare(_Measured):
    r"""LRP-w-squared: relevance by the square of the weight, :math:`\zeta_{ij} = w_{ij}^2`.

    A bias takes the share of its own square.

    Source: Montavon et al., Pattern Recognition 2017.
    """

    @property
    @override
    def at_synapse(self) -> Formula:
        return Formula("w square")

    @property
    @override
    def variants(self) -> tuple[Variant, ...]:
        return (Variant(1.0, torch.square, torch.square),)


@dataclass(frozen=True, repr=False)
class Flat(_Measured):
    r"""LRP-flat: the same relevance to every input, :math:`\zeta_{ij} = 1`.

    Biases take none, and so learn nothing.

    Source: Lapuschkin et al., Nature Communications 2019 (the flat rule).
    """

    @property
    @override
    def at_synapse(self) -> Formula:
        return Formula("flat")

    @property
    @override
    def variants(self) -> tuple[Variant, ...]:
        return (Variant(1.0, torch.ones_like, None),)


@dataclass(frozen=True, repr=False)
class ZBox(_Measured):
    r"""LRP-z-box: for inputs within known bounds, such as the pixels of an image.

    .. math:: \zeta_{ij} = x_i w_{ij} - l\, w_{ij}^+ - h\, w_{ij}^-

    The measure says how much more each input excites than the worst one could. The bias cancels,
    takes no share and so learns nothing. Inputs outside the bounds make the measure negative, and
    nothing of what is said here holds for them.

    Args:
        low: the smallest value of an input, <= 0 usually.
        high: the largest value of an input; 1 for spikes.

    Raises:
        ConfigError: a bound is not finite, or low is not below high.

    Source: Montavon et al., Pattern Recognition 2017 (the z-beta rule); zennit's ZBox.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(
                f"ZBox has low={self.low} and high={self.high}; expected finite bounds of the "
                "input with low below high, such as 0 and 1."
            )

    @property
    @override
    def at_synapse(self) -> Formula:
        return Formula("z box", {"low": self.low, "high": self.high})

    @property
    @override
    def variants(self) -> tuple[Variant, ...]:
        return (
            Variant("as it is", bias=None),
            Variant(-self.low, positive, None),
            Variant(-self.high, negative, None),
        )
