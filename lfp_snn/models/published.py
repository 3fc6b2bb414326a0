"""The spiking architectures of the LFP paper, for inputs of any size.

The sizes of ``lifcnn``, ``deepersnn`` and ``lif_resnet`` are those of the published code (the
package ``lfprop`` 1.0.0), which fixes the size of its input; here the last layer takes what
arrives. The published code has no spiking VGG: ``lif_vgg`` is its VGG for CIFAR with LIF neurons
in the place of ReLU. It adds a little noise to each current, which is left out here.

Source: Weber et al., TMLR 2025 (arXiv 2308.12053).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from typing_extensions import override

from lfp_snn.models.branches import ResidualSpec
from lfp_snn.models.kinds import DropoutSpec, FlattenSpec, MaxPoolSpec
from lfp_snn.models.layer import LayerSpec
from lfp_snn.models.widths import Convolutional

__all__ = ["DeeperSNN", "LifCNN", "LifResNet", "LifVGG"]


class LifCNN(Convolutional):
    """The paper's ``lifcnn``: two 5 x 5 convolutions (12, 64), each with max pooling, and a linear.

    34 x 34 becomes 30, 15, 11 and 5; at least 16 x 16 are needed. Options as of every published
    architecture: :class:`ModelOptions`, ``width``, ``norm`` and ``bias``.
    """

    name: Literal["lifcnn"] = "lifcnn"

    @override
    def _layers(self) -> list[LayerSpec]:
        return [
            *self._conv(12, 5),
            MaxPoolSpec(maxpool=2),
            *self._conv(64, 5),
            MaxPoolSpec(maxpool=2),
            FlattenSpec(),
            *self._linear("classes"),
        ]


class DeeperSNN(Convolutional):
    """The paper's ``deepersnn``: five 3 x 3 convolutions (30, 150, 250, 200, 100) and a linear.

    The first four are followed by max pooling; no biases. 34 x 34 becomes 36, 18, 9, 4, 6, 3, 5.
    """

    name: Literal["deepersnn"] = "deepersnn"
    bias: bool = False

    @override
    def _layers(self) -> list[LayerSpec]:
        layers: list[LayerSpec] = []
        for channels, padding in ((30, 2), (150, 1), (250, 1), (200, 2)):
            layers += [*self._conv(channels, 3, padding), MaxPoolSpec(maxpool=2)]
        return [*layers, *self._conv(100, 3, 2), FlattenSpec(), *self._linear("classes")]


class LifResNet(Convolutional):
    """The paper's ``lif_resnet``: four convolutions (30, 150, 250, 200), one of them residual.

    The third (3 x 3) stands beside a 1 x 1 convolution with neurons of its own, and the spikes of
    both are merged by their elementwise maximum. The published code stretches that shortcut to
    8 x 8, the size that it has anyway at its input of 32 x 32 or 34 x 34; here it keeps the size
    of its input. No biases.
    """

    name: Literal["lif_resnet"] = "lif_resnet"
    bias: bool = False

    @override
    def _layers(self) -> list[LayerSpec]:
        return [
            *self._conv(30, 5, 2),
            MaxPoolSpec(maxpool=2),
            *self._conv(150, 3, 1),
            MaxPoolSpec(maxpool=2),
            ResidualSpec(residual=self._conv(250, 3, 1), shortcut=self._conv(250, 1), merge="max"),
            MaxPoolSpec(maxpool=3),
            *self._conv(200, 4, 2),
            FlattenSpec(),
            *self._linear("classes"),
        ]


class LifVGG(Convolutional):
    """A spiking VGG: three pairs of 3 x 3 convolutions (32, 64, 128, 128, 256, 256), three linears.

    Each pair is followed by max pooling; the linear layers have 1024, 512 and C outputs. The sizes
    are those of the published VGG for CIFAR, whose ReLU are LIF neurons here (see the module).

    Attributes:
        dropout: the share of the hidden linear units that is left out; the ReLU network has 0.5.
    """

    name: Literal["lif_vgg"] = "lif_vgg"
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @override
    def _layers(self) -> list[LayerSpec]:
        layers: list[LayerSpec] = []
        for first, second in ((32, 64), (128, 128), (256, 256)):
            layers += [*self._conv(first, 3, 1), *self._conv(second, 3, 1), MaxPoolSpec(maxpool=2)]
        layers.append(FlattenSpec())
        for units in (1024, 512):
            layers += self._linear(self._units(units))
            if self.dropout:
                layers.append(DropoutSpec(dropout=self.dropout))
        return [*layers, *self._linear("classes")]
