"""The kinds of layers with one input and one module that are no neurons."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Annotated, Any, ClassVar

from pydantic import Field, PlainValidator

from lfp_snn.errors import ShapeError
from lfp_snn.later import nn
from lfp_snn.models.layer import (
    Assembly,
    LayerSpec,
    Shape,
    Size,
    axes_of,
    bad_option,
    per_axis,
    sizes_of,
    whole,
)
from lfp_snn.models.options import PositiveInt

__all__ = [
    "AdaptiveAvgPoolSpec",
    "AdaptiveMaxPoolSpec",
    "AvgPoolSpec",
    "ConvSpec",
    "DropoutSpec",
    "FlattenSpec",
    "IdentitySpec",
    "LinearSpec",
    "MaxPoolSpec",
    "UnflattenSpec",
    "VotesSpec",
]


def _units(given: Any) -> Any:
    if given == "classes" or whole(given, 1):
        return given
    raise bad_option(f"found {given!r}, expected a number of outputs, or the word classes")


class ConvSpec(LayerSpec):
    """A convolution, in one or two dimensions as the maps are.

    Attributes:
        conv: the number of output channels.
        kernel: the size of the kernel.
        stride: the step of the kernel.
        padding: the zeros on each side, or ``same`` (with an odd kernel and stride 1).
        dilation: the distance between the inputs of a kernel.
        groups: the number of groups of channels that do not see each other.
        bias: whether there is a bias.
    """

    kind: ClassVar[str] = "conv"
    conv: PositiveInt
    kernel: Size
    stride: Size = 1
    padding: Annotated[int | list[int] | str, sizes_of(0, "same")] = 0
    dilation: Size = 1
    groups: PositiveInt = 1
    bias: bool = True

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.Conv1d`` or ``nn.Conv2d``."""
        axes = axes_of(shape)
        sizes = {
            name: per_axis(name, getattr(self, name), axes)
            for name in ("kernel", "stride", "padding", "dilation")
        }
        kind: Any = (nn.Conv1d, nn.Conv2d)[axes - 1]
        try:
            made: nn.Module = kind(
                shape[0],
                self.conv,
                sizes.pop("kernel"),
                groups=self.groups,
                bias=self.bias,
                **sizes,
            )
        except ValueError as problem:  # groups that do not divide the channels
            raise ShapeError(str(problem)) from problem
        return made


class LinearSpec(LayerSpec):
    """A fully connected layer.

    Attributes:
        linear: the number of outputs, or the word ``classes``.
        times: the number of outputs for each of these, as voters of a class that ``votes`` takes
            together.
        bias: whether there is a bias.
    """

    kind: ClassVar[str] = "linear"
    linear: Annotated[int | str, PlainValidator(_units)]
    times: PositiveInt = 1
    bias: bool = True

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.Linear``."""
        if len(shape) != 1:
            raise ShapeError("it takes flat inputs: put flatten before it")
        units = assembly.classes if isinstance(self.linear, str) else self.linear
        return nn.Linear(shape[0], units * self.times, bias=self.bias)


class _WindowsSpec(LayerSpec):
    """A pool with windows; the stride is the size of a window where it is not given."""

    stride: Annotated[int | list[int] | None, sizes_of(1, None)] = None
    padding: Annotated[int | list[int], sizes_of(0)] = 0
    ceil: bool = False

    def _pool(self, kinds: Sequence[Any], size: Any, shape: Shape) -> nn.Module:
        axes = axes_of(shape)
        sizes = [
            per_axis(name, given, axes)
            for name, given in (("window", size), ("stride", self.stride or size))
        ]
        padding = per_axis("padding", self.padding, axes)
        pool: nn.Module = kinds[axes - 1](*sizes, padding, ceil_mode=self.ceil)
        return pool


class MaxPoolSpec(_WindowsSpec):
    """A pool that takes the maximum of each window.

    Attributes:
        maxpool: the size of a window.
        stride: the step of the window; the size of a window where it is not given.
        padding: the padding on each side.
        ceil: whether a window may reach over the edge.
    """

    kind: ClassVar[str] = "maxpool"
    maxpool: Size

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.MaxPool1d`` or ``nn.MaxPool2d``."""
        return self._pool((nn.MaxPool1d, nn.MaxPool2d), self.maxpool, shape)


class AvgPoolSpec(_WindowsSpec):
    """A pool that takes the mean of each window; attributes as of :class:`MaxPoolSpec`."""

    kind: ClassVar[str] = "avgpool"
    avgpool: Size

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.AvgPool1d`` or ``nn.AvgPool2d``."""
        return self._pool((nn.AvgPool1d, nn.AvgPool2d), self.avgpool, shape)


class AdaptiveMaxPoolSpec(LayerSpec):
    """A pool that takes the maximum of windows, which make maps of a given size.

    Attributes:
        adaptive_maxpool: the size of the maps that come out.
    """

    kind: ClassVar[str] = "adaptive_maxpool"
    adaptive_maxpool: Size

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.AdaptiveMaxPool1d`` or ``nn.AdaptiveMaxPool2d``."""
        axes = axes_of(shape)
        sizes = per_axis("adaptive_maxpool", self.adaptive_maxpool, axes)
        return nn.AdaptiveMaxPool1d(sizes[0]) if axes == 1 else nn.AdaptiveMaxPool2d(sizes)


class AdaptiveAvgPoolSpec(LayerSpec):
    """A pool that takes the mean of windows, which make maps of a given size.

    Attributes:
        adaptive_avgpool: the size of the maps that come out.
    """

    kind: ClassVar[str] = "adaptive_avgpool"
    adaptive_avgpool: Size

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.AdaptiveAvgPool1d`` or ``nn.AdaptiveAvgPool2d``."""
        axes = axes_of(shape)
        sizes = per_axis("adaptive_avgpool", self.adaptive_avgpool, axes)
        return nn.AdaptiveAvgPool1d(sizes[0]) if axes == 1 else nn.AdaptiveAvgPool2d(sizes)


class VotesSpec(LayerSpec):
    """The mean over so many voters for each class.

    They follow ``{linear: classes, times: 10}, lif`` as ``{votes: 10}``.

    Attributes:
        votes: the number of voters of a class, which stand side by side.
    """

    kind: ClassVar[str] = "votes"
    votes: PositiveInt

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.AvgPool1d`` over the units as one map."""
        if len(shape) != 1 or shape[0] % self.votes:
            raise ShapeError(f"it takes flat inputs, {self.votes} for each output")
        return nn.Sequential(nn.Unflatten(1, (1, -1)), nn.AvgPool1d(self.votes), nn.Flatten())


class FlattenSpec(LayerSpec):
    """A layer that flattens: one axis in the place of all."""

    kind: ClassVar[str] = "flatten"

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.Flatten``."""
        return nn.Flatten()


class UnflattenSpec(LayerSpec):
    """A layer that gives the units another shape of the same size.

    Attributes:
        unflatten: the shape, such as [2, 34, 34].
    """

    kind: ClassVar[str] = "unflatten"
    unflatten: list[PositiveInt] = Field(min_length=1)

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.Unflatten``, of inputs that are flat."""
        if shape != (prod(self.unflatten),):
            raise ShapeError(f"it takes {prod(self.unflatten)} flat inputs")
        return nn.Unflatten(1, tuple(self.unflatten))


class DropoutSpec(LayerSpec):
    """Dropout; a unit is there or not for a whole sequence.

    Attributes:
        dropout: the share that is dropped, in [0, 1).
        maps: whether whole channels are dropped.
    """

    kind: ClassVar[str] = "dropout"
    dropout: float = Field(ge=0, lt=1)
    maps: bool = False

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.Dropout``, ``nn.Dropout1d`` or ``nn.Dropout2d``."""
        if not self.maps:
            return nn.Dropout(self.dropout)
        return (nn.Dropout1d, nn.Dropout2d)[axes_of(shape) - 1](self.dropout)


class IdentitySpec(LayerSpec):
    """A layer that does nothing, for instance as a branch."""

    kind: ClassVar[str] = "identity"

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """``nn.Identity``."""
        return nn.Identity()
