"""The update that is made of feedback before the optimizer: form, normalisation, clipping."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from lfp_snn.errors import ConfigError
from lfp_snn.later import nn, torch
from lfp_snn.options import Section
from lfp_snn.rules import Update

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["UpdateOptions", "clip_layers", "normalise"]


class UpdateOptions(Section):
    """The options by which credit becomes an update.

    Attributes:
        form: the form of the update: ``lfp`` scales the credit of a synapse with the size of its
            weight; ``hebbian`` does not; ``oja`` adds a decay towards weight vectors of length one.
            See :class:`lfp_snn.rules.Update`.
        floor: the smallest size of a weight that ``lfp`` scales with, so that weights of zero can
            come back.
        normalise: how the feedback of each parameter is normalised: divided by its largest entry
            (``max``) or by its length (``norm``).
        clip: the largest length of the feedback of one layer (weight and bias together).
    """

    form: Literal["lfp", "hebbian", "oja"] = "lfp"
    floor: float = Field(default=0.0, ge=0)
    normalise: Literal["none", "max", "norm"] = "none"
    clip: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            self.rule()
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    def rule(self) -> Update:
        """The form of the update as the engine takes it."""
        return Update(self.form, self.floor)

    def apply(self, net: nn.Module) -> None:
        """Normalise and clip the feedback of a network."""
        if self.normalise != "none":
            normalise(net, self.normalise)
        if self.clip is not None:
            clip_layers(net, self.clip)


def normalise(net: nn.Module, by: Literal["max", "norm"]) -> None:
    """Divide the feedback of each parameter by its largest entry or by its length.

    Every parameter then moves at the same pace, however much reward reached it: for deep networks,
    in which little reaches the first layers. A feedback of zero stays zero.
    """
    for parameter in net.parameters():
        if parameter.grad is not None:
            size = parameter.grad.abs().max() if by == "max" else parameter.grad.norm()
            _scale(parameter, torch.where(size > 0, 1 / size, 0))


def clip_layers(net: nn.Module, limit: float) -> None:
    """Shorten the feedback of each layer, its own parameters together, to a length of ``limit``.

    A layer with much feedback does not hold back the others, as it does where the whole network is
    clipped at once.
    """
    for layer in _layers(net):
        length = torch.stack([p.grad.norm() for p in layer if p.grad is not None]).norm()
        factor = torch.where(length > limit, limit / length, 1)
        for parameter in layer:
            _scale(parameter, factor)


def _layers(net: nn.Module) -> Iterator[list[nn.Parameter]]:
    """The parameters with feedback of each module that has some, each parameter once."""
    seen = set[nn.Parameter]()
    for module in net.modules():
        own = [p for p in module.parameters(recurse=False) if p.grad is not None and p not in seen]
        seen.update(own)
        if own:
            yield own


def _scale(parameter: nn.Parameter, factor: Tensor) -> None:
    """Scale ``feedback`` and ``grad``."""
    assert parameter.grad is not None
    parameter.grad = parameter.grad * factor
    parameter.feedback = -parameter.grad  # type: ignore[attr-defined]
