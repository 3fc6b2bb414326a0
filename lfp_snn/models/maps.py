"""The base of the named architectures on maps."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Literal

from typing_extensions import override

from lfp_snn.errors import ShapeError
from lfp_snn.models.kinds import ConvSpec
from lfp_snn.models.layer import Assembly, LayerSpec
from lfp_snn.models.neurons import LifSpec
from lfp_snn.models.norms import BatchNormSpec
from lfp_snn.models.options import ModelOptions

if TYPE_CHECKING:
    from torch import nn

__all__ = ["OnMaps"]

_LARGEST = 1024  # the least size of maps is sought up to here; every architecture needs far less


class OnMaps(ModelOptions):
    """The base of the named architectures on maps.

    Attributes:
        norm: ``batch`` normalises the current of every convolution over the batch; ``none``.
            ``learner.statistics`` says how credit goes through it.
        bias: whether synapses have a bias; convolutions before a norm have none.
    """

    norm: Literal["none", "batch"] = "none"
    bias: bool = True

    @override
    def _stages(self, input_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
        if len(input_shape) != 3:
            raise ShapeError(
                f"{self.name} takes maps (channels, height, width), but the input has the shape "
                f"{input_shape}; use mlp or layers for other inputs."
            )
        assembly, layers = Assembly(self, classes), self._layers()
        try:
            return assembly.modules(layers, input_shape, self.name)
        except ShapeError as problem:
            least = _least_size(assembly, layers, input_shape[0])
            raise ShapeError(
                f"{self.name} needs maps of at least {least} x {least}, but the input is "
                f"{input_shape[1]} x {input_shape[2]}; use mlp or layers for smaller ones."
            ) from problem

    @abstractmethod
    def _layers(self) -> list[LayerSpec]:
        """The layers in order."""

    def _current(
        self, channels: int, kernel: int, padding: int = 0, stride: int = 1
    ) -> list[LayerSpec]:
        """A convolution, normalised if there is a norm."""
        normed = self.norm == "batch"
        bias = self.bias and not normed
        conv = ConvSpec(conv=channels, kernel=kernel, padding=padding, stride=stride, bias=bias)
        return [conv, BatchNormSpec()] if normed else [conv]

    def _conv(
        self, channels: int, kernel: int, padding: int = 0, stride: int = 1
    ) -> list[LayerSpec]:
        """A convolution and its neurons."""
        return [*self._current(channels, kernel, padding, stride), LifSpec()]


def _least_size(assembly: Assembly, layers: list[LayerSpec], channels: int) -> int:
    """The side of the smallest square maps that all layers can take."""
    for size in range(1, _LARGEST):
        try:
            assembly.flow(layers, (channels, size, size), "")
        except ShapeError:
            continue
        return size
    raise AssertionError("no size of maps fits")
