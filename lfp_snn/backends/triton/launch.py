"""The launch of kernels, and the constants of a population as kernels take them.

Nothing here waits for the device, so that a step can be captured in a CUDA graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from lfp_snn.lif import Dynamics

__all__ = ["BLOCK", "KINDS", "constants", "floating", "launch", "observers", "start"]

#: Called with the tensors of each launch, by those who count what a step moves.
observers: list[Callable[[list[Tensor]], None]] = []

#: Columns of a program: one warp of 32 threads, so that small layers fill a device too.
BLOCK = 128

#: The types in which scans compute, as Triton calls them.
KINDS = {torch.float32: tl.float32, torch.float64: tl.float64}


def launch(kernel: Any, count: int, *arguments: Any, block: int = BLOCK, **options: Any) -> None:
    """Start a program for each block of ``count`` columns or whatever else it works on."""
    for tell in observers:
        tell([each for each in arguments if isinstance(each, Tensor)])
    options |= {"BLOCK": block, "num_warps": 1, "enable_fp_fusion": False}
    start(kernel, triton.cdiv(count, block), arguments, options)


def start(kernel: Any, programs: int, arguments: Sequence[Any], options: dict[str, Any]) -> None:
    """Start a kernel, where there is something to run it on."""
    kernel[(programs,)](*arguments, **options)


def floating(currents: Tensor) -> torch.dtype:
    """The type in which a scan over these currents computes."""
    return torch.float64 if currents.dtype == torch.float64 else torch.float32


def constants(dynamics: Dynamics, frame: tuple[int, ...], kind: torch.dtype) -> tuple[Tensor, ...]:
    """Decay and threshold, each one number or one for each neuron of a frame."""
    return tuple(_flat(value.to(kind), frame) for value in (dynamics.beta, dynamics.threshold))


def _flat(value: Tensor, frame: tuple[int, ...]) -> Tensor:
    if value.numel() == 1:
        return value.reshape(1)
    if value.dim() > len(frame):  # its axis of the batch is 1
        value = value.reshape(value.shape[-len(frame) :])
    return value.expand(frame).reshape(-1).contiguous()
