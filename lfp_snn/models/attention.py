"""The kind of layer that is spiking self-attention."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from lfp_snn.errors import ShapeError
from lfp_snn.later import nn
from lfp_snn.models.kinds import ConvSpec
from lfp_snn.models.layer import Assembly, LayerSpec, Shape, axes_of
from lfp_snn.models.neurons import LifSpec
from lfp_snn.models.norms import BatchNormSpec
from lfp_snn.models.options import PositiveInt

__all__ = ["AttentionSpec"]


class AttentionSpec(LayerSpec):
    """Spiking self-attention over the places of maps; see :class:`.SelfAttention`.

    Attributes:
        attention: the number of heads, which divides the channels.
        scale: the scale of what is attended to, > 0.
        threshold: the threshold of the neurons that take it, > 0.
        norm: the normalisation: ``batch`` normalises the currents of queries, keys, values and
            projection; ``none``.
        bias: whether their synapses have a bias; before a norm they have none.
    """

    kind: ClassVar[str] = "attention"
    attention: PositiveInt
    scale: float = Field(default=0.125, gt=0)
    threshold: float = Field(default=0.5, gt=0)
    norm: Literal["none", "batch"] = "batch"
    bias: bool = True

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """A :class:`.SelfAttention` of convolutions over single places."""
        from lfp_snn.models.self_attention import SelfAttention  # a class of torch's

        self.out(shape, assembly)
        normed = self.norm == "batch"
        conv = ConvSpec(conv=shape[0], kernel=1, bias=self.bias and not normed)
        layers = [conv, *([BatchNormSpec()] if normed else []), LifSpec()]
        query, key, value, projection = (
            nn.Sequential(*assembly.modules(layers, shape, self.kind)) for _ in range(4)
        )
        neurons = LifSpec(threshold=self.threshold).module(shape, assembly)
        return SelfAttention(query, key, value, neurons, projection, self.attention, self.scale)

    @override
    def out(self, shape: Shape, assembly: Assembly) -> Shape:
        """The shape of the output, which is the shape of the input."""
        axes_of(shape)
        if shape[0] % self.attention:
            raise ShapeError(f"{shape[0]} channels are no {self.attention} heads of one size")
        return shape
