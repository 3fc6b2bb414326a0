"""Deep spiking networks that the field compares on, for inputs of any size, with LIF neurons.

Their sources train them with surrogate gradients, in multi-step libraries; here each is one time
step. Sizes are those of the sources at ``width=1``. All have batch normalisation by default, and
none of their sources gives convolutions a bias beside it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from typing_extensions import override

from lfp_snn.models.branches import ResidualSpec
from lfp_snn.models.kinds import (
    AdaptiveAvgPoolSpec,
    AvgPoolSpec,
    DropoutSpec,
    FlattenSpec,
    LinearSpec,
    MaxPoolSpec,
    VotesSpec,
)
from lfp_snn.models.layer import LayerSpec, bad_option
from lfp_snn.models.neurons import LifSpec
from lfp_snn.models.options import PositiveInt
from lfp_snn.models.widths import Convolutional

__all__ = ["VGG11", "DVSGestureNet", "MSResNet", "SEWResNet"]

#: What joins a block's spikes and the ones that go past it, as merges of :class:`ResidualSpec`.
_CONNECTIONS: dict[str, Literal["sum", "and", "iand"]] = {
    "add": "sum",
    "and": "and",
    "iand": "iand",
}


class _ResNet(Convolutional):
    """The base of the residual networks: two 3 x 3 convolutions a block, by stages.

    Attributes:
        channels: the channels of each stage; from the second on, its first block halves the maps.
        blocks: the number of blocks of each stage.
        stem: ``small``, a 3 x 3 convolution, as for CIFAR; ``large``, 7 x 7 with stride 2 and a
            max pool, as for images of 128 pixels and more.
    """

    norm: Literal["none", "batch"] = "batch"
    channels: list[PositiveInt] = Field(default=[64, 128, 256, 512], min_length=1)
    blocks: list[PositiveInt] = Field(default=[2, 2, 2, 2], min_length=1)
    stem: Literal["small", "large"] = "small"

    @field_validator("blocks")
    @classmethod
    def _for_each_stage(cls, blocks: list[int], info: ValidationInfo) -> list[int]:
        channels = info.data.get("channels", blocks)
        if len(blocks) != len(channels):
            raise bad_option(
                f"found blocks of {len(blocks)} stages and channels of {len(channels)}, expected "
                "as many of both"
            )
        return blocks

    def _strides(self) -> list[tuple[int, int, bool]]:
        """Channels and stride of each block, and whether its shortcut must change the shape."""
        blocks, before = [], self.channels[0]
        for stage, (channels, count) in enumerate(zip(self.channels, self.blocks, strict=True)):
            for block in range(count):
                stride = 2 if stage and not block else 1
                blocks.append((channels, stride, stride > 1 or channels != before))
                before = channels
        return blocks

    def _first(self) -> list[LayerSpec]:
        """The convolution of the stem, without neurons."""
        if self.stem == "small":
            return self._current(self.channels[0], 3, 1)
        return self._current(self.channels[0], 7, 3, 2)

    def _pooled(self) -> list[LayerSpec]:
        return [MaxPoolSpec(maxpool=3, stride=2, padding=1)] if self.stem == "large" else []

    def _head(self) -> list[LayerSpec]:
        return [AdaptiveAvgPoolSpec(adaptive_avgpool=1), FlattenSpec(), *self._linear("classes")]


class SEWResNet(_ResNet):
    """SEW-ResNet-18: what joins a block and its shortcut acts on spikes.

    A block is convolution, norm, neurons, twice; a shortcut that changes the shape is a 1 x 1
    convolution, norm, neurons. Of a block's spikes r and those that go past it x,

        add     r + x                        counts, which grow with depth
        and     min(r, x) = r + x - max(r, x)
        iand    (not r) and x = max(r, x) - r

    so that credit takes sums and maxima, where a tie is shared in halves.

    Attributes:
        connect: ``add``, ``and`` or ``iand``.

    Source: W. Fang and others, Deep Residual Learning in Spiking Neural Networks, NeurIPS 2021.
    """

    name: Literal["sew_resnet"] = "sew_resnet"
    connect: Literal["add", "and", "iand"] = "add"

    @override
    def _layers(self) -> list[LayerSpec]:
        layers = [*self._first(), LifSpec(), *self._pooled()]
        for channels, stride, changed in self._strides():
            block = ResidualSpec(
                residual=[*self._conv(channels, 3, 1, stride), *self._conv(channels, 3, 1)],
                shortcut=self._conv(channels, 1, 0, stride) if changed else [],
                merge=_CONNECTIONS[self.connect],
            )
            layers.append(block)
        return [*layers, *self._head()]


class MSResNet(_ResNet):
    """MS-ResNet-18: a block adds its current to that which goes past it; no spike is added.

    A block is neurons, convolution, norm, twice; a shortcut that changes the shape is a 1 x 1
    convolution and a norm. What arrives after the last block passes neurons of its own.

    Source: Y. Hu, L. Deng, Y. Wu, M. Yao, G. Li, Advancing Spiking Neural Networks toward Deep
    Residual Learning, IEEE TNNLS 2024 (arXiv 2112.08954).
    """

    name: Literal["ms_resnet"] = "ms_resnet"

    @override
    def _layers(self) -> list[LayerSpec]:
        layers = [*self._first(), *self._pooled()]
        for channels, stride, changed in self._strides():
            first = [LifSpec(), *self._current(channels, 3, 1, stride)]
            block = ResidualSpec(
                residual=[*first, LifSpec(), *self._current(channels, 3, 1)],
                shortcut=self._current(channels, 1, 0, stride) if changed else [],
                merge="sum",
            )
            layers.append(block)
        return [*layers, LifSpec(), *self._head()]


class VGG11(Convolutional):
    """VGG-11 with batch norm: eight 3 x 3 convolutions (64 to 512), five pools, one linear layer.

    The head of the image network (two layers of 4096) is left out, as is usual for CIFAR-10.

    Attributes:
        pool: ``max`` (a spike if any of four spiked) or ``avg`` (their mean).
        dropout: share of the inputs of the linear layer that is left out.

    Source: K. Simonyan, A. Zisserman, Very deep convolutional networks for large-scale image
    recognition, ICLR 2015; the configuration A.
    """

    name: Literal["vgg11"] = "vgg11"
    norm: Literal["none", "batch"] = "batch"
    pool: Literal["max", "avg"] = "max"
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @override
    def _layers(self) -> list[LayerSpec]:
        layers: list[LayerSpec] = []
        for stage in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
            for channels in stage:
                layers += self._conv(channels, 3, 1)
            layers.append(MaxPoolSpec(maxpool=2) if self.pool == "max" else AvgPoolSpec(avgpool=2))
        layers.append(FlattenSpec())
        if self.dropout:
            layers.append(DropoutSpec(dropout=self.dropout))
        return [*layers, *self._linear("classes")]


class DVSGestureNet(Convolutional):
    """DVSGestureNet: convolutions of 128 channels, each with max pooling, 512 hidden units, votes.

    Each class has ten neurons at the output, of which the mean votes. The source halves the maps
    five times, from 128 x 128 to 4 x 4, and its decays learn.

    Attributes:
        halvings: convolutions with their pool.
        voters: neurons of a class.
        dropout: share of the inputs of each linear layer that is left out; 0.5 in the source.
        learn_beta: whether the decay of the neurons learns.

    Source: W. Fang and others, Incorporating Learnable Membrane Time Constant to Enhance Learning
    of Spiking Neural Networks, ICCV 2021.
    """

    name: Literal["dvs_gesture_net"] = "dvs_gesture_net"
    norm: Literal["none", "batch"] = "batch"
    halvings: PositiveInt = 5
    voters: PositiveInt = 10
    dropout: float = Field(default=0.0, ge=0, lt=1)
    learn_beta: bool = False

    @override
    def neuron_options(self) -> dict[str, Any]:
        return {**super().neuron_options(), "learn_beta": self.learn_beta}

    @override
    def _layers(self) -> list[LayerSpec]:
        layers: list[LayerSpec] = []
        for _ in range(self.halvings):
            layers += [*self._conv(128, 3, 1), MaxPoolSpec(maxpool=2)]
        layers.append(FlattenSpec())
        dropout = [DropoutSpec(dropout=self.dropout)] if self.dropout else []
        layers += [*dropout, *self._linear(self._units(512)), *dropout]
        return [*layers, *self._voting()]

    def _voting(self) -> list[LayerSpec]:
        voting = LinearSpec(linear="classes", bias=self.bias, times=self.voters)
        return [voting, LifSpec(), VotesSpec(votes=self.voters)]
