r"""Forms of the update: what a weight makes of the credit that flowed through its synapse.

The sum :math:`G_{ij} = \sum_{t,b} x_i n_j` says in which direction a synapse would have helped.
LFP scales it with the size of the weight, since relevance does; other forms do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lfp_snn.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Update"]


@dataclass(frozen=True)
class Update:
    r"""The form of the update: how the sums of a parameter become its feedback.

    ======== ================================================================================
    form     feedback
    ======== ================================================================================
    lfp      :math:`\max(|w_{ij}|, floor)\, G_{ij}`. With floor = 0 this is LFP: a weight of
             zero stays zero, and signs hardly ever change. A floor lets it come back.
    hebbian  :math:`G_{ij}`: what was before the synapse times the credit behind it, a Hebbian
             product of two factors. The factor :math:`|w|` is off.
    oja      :math:`G_{ij} - |\sum_k w_{kj} G_{kj}|\, w_{ij}`: Hebbian, with Oja's decay that
             pulls the weights of each neuron (the first axis of a parameter) towards the length
             one: with :math:`y = w^\top x`, :math:`y(x - y w) = G - (w^\top G) w`. The decay
             shrinks long weights also where the credit is negative, hence its size. Parameters
             with one axis (biases) have no direction to normalise and are Hebbian.
    ======== ================================================================================

    Rules that share relevance by a measure of their own (Flat, WSquare, ZBox) have no factor
    :math:`|w|`; their feedback stays what it is.

    Args:
        form: the name of the form, one of the three above.
        floor: the smallest factor of the form lfp, >= 0.

    Raises:
        ConfigError: the form is unknown, or the floor is below 0 or has no meaning for the form.

    Source: arXiv 2308.12053 (lfp); Oja, J. Math. Biology 1982.
    """

    form: Literal["lfp", "hebbian", "oja"] = "lfp"
    floor: float = 0.0

    def __post_init__(self) -> None:
        if self.form not in ("lfp", "hebbian", "oja"):
            raise ConfigError(f"Update.form is '{self.form}'; expected lfp, hebbian or oja.")
        if not (math.isfinite(self.floor) and self.floor >= 0):
            raise ConfigError(f"Update.floor is {self.floor}; expected a number of 0 or more.")
        if self.floor and self.form != "lfp":
            raise ConfigError(
                f"Update.floor is {self.floor}, but the form {self.form} has no factor |w|: leave "
                "the floor at 0."
            )

    @property
    def scales(self) -> bool:
        """Whether the factor is ``|w|`` and no other, so that a kernel may apply it."""
        return self.form == "lfp" and not self.floor

    @property
    def linear(self) -> bool:
        """Whether the feedback of two sums together is the sum of their feedbacks."""
        return self.form != "oja"

    def feedback(self, parameter: Tensor, total: Tensor) -> Tensor:
        """The feedback of a parameter from its sums ``G``."""
        if self.form == "lfp":
            size = parameter.abs()
            return (size.clamp_(min=self.floor) if self.floor else size).mul_(total)
        if self.form == "oja" and parameter.dim() > 1:
            along = (parameter * total).flatten(1).sum(1).abs()
            return total - along.view(-1, *(1,) * (parameter.dim() - 1)) * parameter
        return total
