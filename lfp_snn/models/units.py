"""The kinds of layers that are activations, for networks or parts of them without time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field
from typing_extensions import override

from lfp_snn.later import later, nn
from lfp_snn.models.layer import Assembly, LayerSpec, Shape

if TYPE_CHECKING:
    from lfp_snn import activations
else:
    activations = later("lfp_snn.activations")

__all__ = ["ActivationSpec", "LeakyReLUSpec", "StepSpec"]


class ActivationSpec(LayerSpec):
    """The base of layers that are elementwise activations, one kind for each module."""

    #: The name of a class of torch.nn, which is looked up when one is made.
    made: ClassVar[str]

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """The module of torch or of :mod:`lfp_snn.activations`."""
        made: nn.Module = getattr(nn, self.made)()
        return made

    @override
    def out(self, shape: Shape, assembly: Assembly) -> Shape:
        """The shape of the output, which is the shape of the input."""
        return shape


class ReLUSpec(ActivationSpec):
    """``nn.ReLU``."""

    kind: ClassVar[str] = "relu"
    made: ClassVar[str] = "ReLU"


class ELUSpec(ActivationSpec):
    """``nn.ELU``."""

    kind: ClassVar[str] = "elu"
    made: ClassVar[str] = "ELU"


class GELUSpec(ActivationSpec):
    """``nn.GELU``."""

    kind: ClassVar[str] = "gelu"
    made: ClassVar[str] = "GELU"


class SiLUSpec(ActivationSpec):
    """``nn.SiLU``."""

    kind: ClassVar[str] = "silu"
    made: ClassVar[str] = "SiLU"


class TanhSpec(ActivationSpec):
    """``nn.Tanh``."""

    kind: ClassVar[str] = "tanh"
    made: ClassVar[str] = "Tanh"


class SigmoidSpec(ActivationSpec):
    """``nn.Sigmoid``."""

    kind: ClassVar[str] = "sigmoid"
    made: ClassVar[str] = "Sigmoid"


class SignSpec(ActivationSpec):
    """The sign of the input, -1, 0 or 1 (:class:`lfp_snn.activations.Sign`)."""

    kind: ClassVar[str] = "sign"

    @override
    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """:class:`lfp_snn.activations.Sign`."""
        return activations.Sign()


class LeakyReLUSpec(ActivationSpec):
    """``nn.LeakyReLU``.

    Attributes:
        slope: the slope where the input is negative.
    """

    kind: ClassVar[str] = "leaky_relu"
    slope: float = Field(default=0.01, ge=0)

    @override
    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """An ``nn.LeakyReLU`` with this slope."""
        return nn.LeakyReLU(self.slope)


class StepSpec(ActivationSpec):
    """The step function of the input, 0 or 1.

    Attributes:
        threshold: the value above which a unit is active.
        noise: the standard deviation of the noise that is added while training.
    """

    kind: ClassVar[str] = "step"
    threshold: float = Field(default=0.0, ge=0)
    noise: float = Field(default=0.0, ge=0)

    @override
    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """:class:`lfp_snn.activations.Step`."""
        return activations.Step(self.threshold, self.noise)
