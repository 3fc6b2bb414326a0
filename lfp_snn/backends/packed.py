"""Spike trains as bits: eight time steps of a neuron in a byte."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lfp_snn.backends.support import unavailable

__all__ = ["STEPS_PER_BYTE", "PackedSpikes"]

STEPS_PER_BYTE = 8


@dataclass(frozen=True, eq=False)
class PackedSpikes:
    """Spikes ``[T, B, ...]`` of neurons on a device, one bit each.

    Args:
        packed: the bytes, uint8 ``[ceil(T / 8), B, ...]``; bit k of byte j is step ``8 j + k``.
        steps: T, the number of time steps.
    """

    packed: Tensor
    steps: int

    @classmethod
    def pack(cls, spikes: Tensor) -> PackedSpikes:
        """Pack spikes ``[T, B, ...]``, of which all that are not zero count as one."""
        steps = len(spikes)
        count = -(-steps // STEPS_PER_BYTE)
        whole = spikes.new_zeros(count * STEPS_PER_BYTE, *spikes.shape[1:], dtype=torch.uint8)
        whole[:steps] = spikes != 0
        frames = whole.unflatten(0, (count, STEPS_PER_BYTE))
        return cls((frames << _places(frames)).sum(1, dtype=torch.uint8), steps)

    @property
    def shape(self) -> torch.Size:
        """The shape of the spikes, ``[T, B, ...]``."""
        return torch.Size((self.steps, *self.packed.shape[1:]))

    def dense(self, dtype: torch.dtype) -> Tensor:
        """The spikes as 0 and 1; one launch where Triton runs."""
        if unavailable("triton", self.packed.device) is None:
            from lfp_snn.backends.triton.bits import unpack  # which loads Triton

            return unpack(self.packed, self.steps, dtype)
        frames = self.packed[:, None].expand(-1, STEPS_PER_BYTE, *self.packed.shape[1:])
        return ((frames >> _places(frames)) & 1).flatten(0, 1)[: self.steps].to(dtype)


def _places(frames: Tensor) -> Tensor:
    """The place of each step in its byte, for ``[N, 8, B, ...]``."""
    places = torch.arange(STEPS_PER_BYTE, dtype=torch.uint8, device=frames.device)
    return places.view(-1, *(1,) * (frames.dim() - 2))
