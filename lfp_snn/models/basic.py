"""The two small architectures of the first experiments."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Literal

from pydantic import Field

from lfp_snn.errors import ShapeError
from lfp_snn.later import nn
from lfp_snn.models.options import ModelOptions, PositiveInt

__all__ = ["CSNN", "MLP"]


class MLP(ModelOptions):
    """A fully connected network: ``[Flatten,] Linear, Leaky, ..., Linear, Leaky``.

    Attributes:
        hidden: number of neurons in each hidden layer; empty for a single layer.
    """

    name: Literal["mlp"] = "mlp"
    hidden: list[PositiveInt] = Field(default=[256])

    def _stages(self, input_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
        stages: list[nn.Module] = [] if len(input_shape) == 1 else [nn.Flatten()]
        sizes = [prod(input_shape), *self.hidden, classes]
        for inputs, outputs in pairwise(sizes):
            stages += [nn.Linear(inputs, outputs), self.leaky()]
        return stages


class CSNN(ModelOptions):
    """A convolutional network with two 5 x 5 convolutions (12 and 32 channels) and a linear layer.

    The stages are ``Conv 5x5x12, Leaky, pool 2, Conv 5x5x32, Leaky, pool 2, Linear, Leaky``. There
    is no padding, so that 34 x 34 becomes 30, 15, 11 and 5; at least 16 x 16 are needed.

    Attributes:
        pool: the kind of pooling: ``max`` (a spike if any of four spiked) or ``avg`` (their mean).
    """

    name: Literal["csnn"] = "csnn"
    pool: Literal["max", "avg"] = "max"

    def _stages(self, input_shape: tuple[int, ...], classes: int) -> list[nn.Module]:
        if len(input_shape) != 3:
            raise ShapeError(
                f"csnn takes maps (channels, height, width), but the input has the shape "
                f"{input_shape}; use mlp for flat inputs."
            )
        stages: list[nn.Module] = []
        channels, *size = input_shape
        for maps in (12, 32):
            pool = nn.MaxPool2d(2) if self.pool == "max" else nn.AvgPool2d(2)
            stages += [nn.Conv2d(channels, maps, kernel_size=5), self.leaky(), pool]
            size = [(n - 4) // 2 for n in size]
            channels = maps
        if min(size) < 1:
            raise ShapeError(
                f"csnn needs maps of at least 16 x 16, but the input is "
                f"{input_shape[1]} x {input_shape[2]}; use mlp for smaller ones."
            )
        linear = nn.Linear(channels * prod(size), classes)
        return [*stages, nn.Flatten(), linear, self.leaky()]
