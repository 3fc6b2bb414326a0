r"""Spiking self-attention: queries, keys and values are spikes, and there is no softmax."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.errors import ShapeError
from lfp_snn.models.kinds import ConvSpec
from lfp_snn.models.layer import Assembly, LayerSpec, Shape, axes_of
from lfp_snn.models.neurons import LifSpec
from lfp_snn.models.norms import BatchNormSpec
from lfp_snn.models.options import PositiveInt

__all__ = ["AttentionSpec", "SelfAttention"]


class SelfAttention(nn.Module):
    r"""Spiking self-attention over the places of maps.

    With queries, keys and values :math:`Q, K, V \in \{0, 1\}^{N \times d}` of each head, N places
    and d channels,

    .. math:: y = \mathrm{neurons}(s\, Q K^\top V)

    and a projection of all heads together. Counts of spikes that agree are never negative, so that
    nothing needs a softmax.

    Args:
        query: the module that makes queries, from maps ``[B, C, ...]`` to spikes of the same shape.
        key: the module that makes keys, from maps to spikes of the same shape.
        value: the module that makes values, from maps to spikes of the same shape.
        neurons: the neurons that take what was attended to.
        projection: the module behind the neurons, from spikes to spikes of the same shape.
        heads: the number of heads, which divides C.
        scale: the scale s.

    Source: Zhou et al., Spikformer: When Spiking Neural Network Meets Transformer, ICLR 2023.
    """

    def __init__(
        self,
        query: nn.Module,
        key: nn.Module,
        value: nn.Module,
        neurons: nn.Module,
        projection: nn.Module,
        heads: int,
        scale: float,
    ) -> None:
        super().__init__()
        self.query, self.key, self.value = query, key, value
        self.neurons, self.projection = neurons, projection
        self.heads, self.scale = heads, scale

    def forward(self, x: Tensor) -> Tensor:
        """Run one time step, from ``[B, C, ...]`` to the same shape."""
        query, key, value = (self._tokens(part(x)) for part in (self.query, self.key, self.value))
        attended = (query @ key.transpose(2, 3)) @ value * self.scale
        maps = attended.transpose(2, 3).reshape(x.shape)
        projected: Tensor = self.projection(self.neurons(maps))
        return projected

    def _tokens(self, maps: Tensor) -> Tensor:
        """Maps ``[B, C, ...]`` as tokens ``[B, heads, N, d]``."""
        channels = maps.shape[1] // self.heads
        return maps.reshape(maps.shape[0], self.heads, channels, -1).transpose(2, 3)

    def extra_repr(self) -> str:
        """The number of heads and the scale."""
        return f"heads={self.heads}, scale={self.scale}"


class AttentionSpec(LayerSpec):
    """Spiking self-attention over the places of maps; see :class:`SelfAttention`.

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
        """A :class:`SelfAttention` of convolutions over single places."""
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
