"""The base of the convolutional architectures, whose sizes are relative to those of a source."""

from __future__ import annotations

from pydantic import Field
from typing_extensions import override

from lfp_snn.models.kinds import LinearSpec
from lfp_snn.models.layer import LayerSpec
from lfp_snn.models.maps import OnMaps
from lfp_snn.models.neurons import LifSpec

__all__ = ["Convolutional"]


class Convolutional(OnMaps):
    """The base of the convolutional architectures.

    Attributes:
        width: the number of channels and hidden units relative to the published one, > 0.
        norm: the normalisation of currents: ``batch`` normalises the current of every convolution
            over the batch; ``none``. ``learner.statistics`` says how credit goes through it.
        bias: whether synapses have a bias; convolutions before a norm have none.
    """

    width: float = Field(default=1.0, gt=0)

    def _units(self, published: int) -> int:
        return max(1, round(self.width * published))

    @override
    def _current(
        self, channels: int, kernel: int, padding: int = 0, stride: int = 1
    ) -> list[LayerSpec]:
        return super()._current(self._units(channels), kernel, padding, stride)

    def _linear(self, units: int | str) -> list[LayerSpec]:
        """A fully connected layer and its neurons."""
        return [LinearSpec(linear=units, bias=self.bias), LifSpec()]
