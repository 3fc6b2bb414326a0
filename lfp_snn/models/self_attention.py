r"""Spiking self-attention: queries, keys and values are spikes, and there is no softmax."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["SelfAttention"]


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
