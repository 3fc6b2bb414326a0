"""A small Spikformer: a transformer whose queries, keys and values are spikes."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator
from typing_extensions import override

from lfp_snn.models.attention import AttentionSpec
from lfp_snn.models.branches import ResidualSpec
from lfp_snn.models.kinds import AdaptiveAvgPoolSpec, FlattenSpec, LinearSpec, MaxPoolSpec
from lfp_snn.models.layer import LayerSpec, bad_option
from lfp_snn.models.maps import OnMaps
from lfp_snn.models.neurons import LifSpec
from lfp_snn.models.options import PositiveInt

__all__ = ["Spikformer"]


class Spikformer(OnMaps):
    """A Spikformer: patches by convolutions, then blocks of spiking self-attention and an MLP.

    Convolutions with pools make tokens of patches, and one beside them says where each is; what a
    block adds is summed to what came to it, so that its values are counts of spikes. The mean over
    all tokens is classified by a linear layer with neurons. Maps of 34 x 34 make 8 x 8 tokens.

    Attributes:
        channels: the number of channels of each token.
        heads: the number of heads of the attention, which divides the channels.
        blocks: the number of blocks.
        expansion: the hidden channels of the two layers of a block, relative to ``channels``.
        patches: the number of pools, each of which halves the maps.
        attention_scale: the scale of what is attended to.
        attention_threshold: the threshold of the neurons that take it.

    Source: Zhou et al., Spikformer: When Spiking Neural Network Meets Transformer, ICLR 2023; of
    its sizes, only those of one head (attention scale 1/8, threshold 1/2) are kept.
    """

    name: Literal["spikformer"] = "spikformer"
    norm: Literal["none", "batch"] = "batch"
    channels: PositiveInt = 64
    heads: PositiveInt = 4
    blocks: PositiveInt = 1
    expansion: PositiveInt = 2
    patches: PositiveInt = 2
    attention_scale: float = Field(default=0.125, gt=0)
    attention_threshold: float = Field(default=0.5, gt=0)

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.channels % self.heads:
            raise bad_option(
                f"{self.channels} channels are no {self.heads} heads of one size: choose channels "
                "that heads divides"
            )
        return self

    @override
    def _layers(self) -> list[LayerSpec]:
        layers: list[LayerSpec] = []
        for k in reversed(range(self.patches)):
            layers += self._conv(max(1, self.channels >> k), 3, 1)
            layers.append(MaxPoolSpec(maxpool=2))
        layers.append(_beside(*self._conv(self.channels, 3, 1)))
        for _ in range(self.blocks):
            layers += self._block()
        layers += [AdaptiveAvgPoolSpec(adaptive_avgpool=1), FlattenSpec()]
        return [*layers, LinearSpec(linear="classes", bias=self.bias), LifSpec()]

    def _block(self) -> list[LayerSpec]:
        attention = AttentionSpec(
            attention=self.heads,
            scale=self.attention_scale,
            threshold=self.attention_threshold,
            norm=self.norm,
            bias=self.bias,
        )
        hidden = self._conv(self.expansion * self.channels, 1)
        return [_beside(attention), _beside(*hidden, *self._conv(self.channels, 1))]


def _beside(*layers: LayerSpec) -> LayerSpec:
    """Layers whose spikes are added to their input."""
    return ResidualSpec(residual=list(layers), merge="sum")
