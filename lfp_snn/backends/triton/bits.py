"""Spikes out of bytes, in one launch."""

from __future__ import annotations

import torch
from torch import Tensor

from lfp_snn.backends.triton.launch import launch
from lfp_snn.backends.triton.population_kernels import unpack_kernel

__all__ = ["unpack"]


def unpack(packed: Tensor, steps: int, dtype: torch.dtype) -> Tensor:
    """Spikes as 0 and 1 ``[T, B, ...]`` from bytes (:mod:`lfp_snn.backends.packed`)."""
    spikes = torch.empty((steps, *packed.shape[1:]), dtype=dtype, device=packed.device)
    columns = packed[0].numel()
    launch(unpack_kernel, columns, packed, spikes, steps, columns)
    return spikes
