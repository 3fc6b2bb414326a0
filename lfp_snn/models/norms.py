"""The kinds of layers that normalise; between a synapse and its neurons one is part of the synapse.

A shift of exactly zero, torch's default, never learns, so that shifts are drawn.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from lfp_snn.errors import ShapeError
from lfp_snn.later import later, nn, snn
from lfp_snn.models.layer import Assembly, LayerSpec, Shape, axes_of
from lfp_snn.models.options import PositiveInt
from lfp_snn.statistics import Statistics

if TYPE_CHECKING:
    from lfp_snn import norms
else:
    norms = later("lfp_snn.norms")

__all__ = [
    "BatchNormSpec",
    "BatchNormThroughTimeSpec",
    "GroupNormSpec",
    "InstanceNormSpec",
    "LayerNormSpec",
    "NormSpec",
]


class NormSpec(LayerSpec):
    """The base of layers that normalise.

    Attributes:
        statistics: how credit goes through the layer: its statistics held ``fixed``, or ``through``
            them too; null: as the learner says (``learner.statistics``).
        affine: whether the layer has a scale and a shift, which calibration needs to set a firing
            rate.
        shift: the bound of the initial shifts, which are uniform between minus this and this.
        eps: the number that is added to the variance.
    """

    statistics: Statistics | None = None
    affine: bool = True
    shift: float = Field(default=0.1, gt=0)
    eps: float = Field(default=1e-5, gt=0)

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """The module of torch or snntorch, its shift drawn."""
        norm = norms.with_statistics(self._norm(shape), self.statistics)
        shift: Any = getattr(norm, "bias", None)
        if shift is not None:
            nn.init.uniform_(shift, -self.shift, self.shift)
        return norm

    @abstractmethod
    def _norm(self, shape: Shape) -> nn.Module:
        """The module as torch makes it."""


class BatchNormSpec(NormSpec):
    """Batch normalisation of a channel over all steps, samples and space.

    The other attributes are those of :class:`NormSpec`.

    Attributes:
        momentum: the momentum of the running statistics.
    """

    kind: ClassVar[str] = "batchnorm"
    momentum: float = Field(default=0.1, gt=0, le=1)

    def _norm(self, shape: Shape) -> nn.Module:
        kind = nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d
        return kind(shape[0], self.eps, self.momentum, self.affine)


class BatchNormThroughTimeSpec(NormSpec):
    """Batch normalisation of a channel at each step, with a scale for each step and no shift.

    Attributes:
        batchnorm_through_time: the number of time steps of the data.
        momentum: the momentum of the running statistics.

    Source: Kim and Panda, Revisiting Batch Normalization for Training Low-Latency Deep Spiking
    Neural Networks from Scratch, 2020; ``snntorch.BatchNormTT1d``.
    """

    kind: ClassVar[str] = "batchnorm_through_time"
    batchnorm_through_time: PositiveInt
    momentum: float = Field(default=0.1, gt=0, le=1)

    def _norm(self, shape: Shape) -> nn.Module:
        kind = snn.BatchNormTT2d if len(shape) == 3 else snn.BatchNormTT1d
        return norms.PerStep(
            kind(shape[0], self.batchnorm_through_time, self.eps, self.momentum, self.affine)
        )


class LayerNormSpec(NormSpec):
    """Normalisation of all units of a sample at a step, each with its own scale and shift."""

    kind: ClassVar[str] = "layernorm"

    def _norm(self, shape: Shape) -> nn.Module:
        return nn.LayerNorm(shape, self.eps, self.affine)


class GroupNormSpec(NormSpec):
    """Normalisation of each group of channels of a sample at a step.

    Attributes:
        groupnorm: the number of groups, which divides the number of channels.
    """

    kind: ClassVar[str] = "groupnorm"
    groupnorm: PositiveInt

    def _norm(self, shape: Shape) -> nn.Module:
        if shape[0] % self.groupnorm:
            raise ShapeError(f"{shape[0]} channels are no {self.groupnorm} groups of one size")
        return nn.GroupNorm(self.groupnorm, shape[0], self.eps, self.affine)


class InstanceNormSpec(NormSpec):
    """Normalisation of each channel of a sample at a step, over space."""

    kind: ClassVar[str] = "instancenorm"

    def _norm(self, shape: Shape) -> nn.Module:
        kind = (nn.InstanceNorm1d, nn.InstanceNorm2d)[axes_of(shape) - 1]
        return kind(shape[0], self.eps, affine=self.affine)
