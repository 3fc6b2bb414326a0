"""A float32 tensor in parts of bfloat16, in one launch that reads it once."""

# Triton reads annotations of a kernel itself: no postponed annotations here.
import torch
import triton
import triton.language as tl
from torch import Tensor

from lfp_snn.backends.triton.launch import launch

__all__ = ["split"]


@triton.jit
def split_kernel(  # type: ignore[no-untyped-def]
    real, parts, size, PARTS: tl.constexpr, BLOCK: tl.constexpr
):
    """``real`` [size] to ``parts`` [PARTS, size], each the rest of those before it, rounded."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    rest = tl.load(real + at, mask=inside, other=0)
    for k in tl.static_range(PARTS):
        part = rest.to(tl.bfloat16)
        tl.store(parts + k * size + at, part, mask=inside)
        rest -= part.to(tl.float32)


def split(real: Tensor, parts: int) -> list[Tensor]:
    """Split into bfloat16 parts like :func:`lfp_snn.backends.precision.split`, in one launch.

    A transposed matrix stays transposed.

    Args:
        real: float32.
        parts: how many.
    """
    turned = real.dim() == 2 and not real.is_contiguous()
    laid = (real.T if turned else real).contiguous()
    found = torch.empty((parts, *laid.shape), dtype=torch.bfloat16, device=real.device)
    launch(split_kernel, laid.numel(), laid, found, laid.numel(), PARTS=parts)
    return [part.T if turned else part for part in found]
