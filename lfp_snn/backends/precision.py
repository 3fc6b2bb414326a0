r"""The precision in which products of synapses are computed, and exact products of spikes.

========= =============================== ======================== ===========================
precision spikes times weights or credit  convolutions of spikes   two real sides
========= =============================== ======================== ===========================
exact     three bfloat16 parts            two TF32 parts           float32
tf32      three bfloat16 parts            TF32                     TF32
bf16      bfloat16                        bfloat16                 bfloat16
fp16      float16                         float16                  float16
========= =============================== ======================== ===========================

The sums within a product are float32 in all of them, and so are membranes, statistics and
feedback. The first two differ from plain float32 on CUDA devices alone, whose tensor cores know no
float32 product; on the CPU both are it. A network in another type computes in its own.

**Exact products of spikes.** A spike is 0 or 1, which every type holds. A float32 weight has 24
bits of mantissa, of which bfloat16 holds 8 and TF32 holds 11 (and each part has a sign of its own,
which is worth a bit more), so that

.. math:: w = w_1 + w_2 + w_3, \qquad s\, w = s\, w_1 + s\, w_2 + s\, w_3

is float32's product with three parts in bfloat16; two parts in TF32 leave the last bit open.

Source: splitting into parts as in Dekker, A Floating-Point Technique for Extending the Available
Precision (1971); for tensor cores Markidis et al., NVIDIA Tensor Core Programmability (2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from lfp_snn.backends.support import PRECISIONS, Precision, unavailable

__all__ = [
    "HALVES",
    "PRECISIONS",
    "Precision",
    "computed_in",
    "over_tf32_parts",
    "product",
    "products_in",
    "spikes_convolved_as",
    "spikes_travel_as",
    "split",
    "split_product",
    "to_tf32",
]

#: The types of the products that are of half precision.
HALVES: dict[str, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}

#: Bits of float32's mantissa that TF32 lacks.
_DROPPED = 13
_precision: ContextVar[Precision | None] = ContextVar("precision", default=None)


@contextmanager
def computed_in(precision: Precision) -> Iterator[None]:
    """Compute products of synapses in a precision, for the time of a ``with`` block."""
    before = _precision.set(precision)
    try:
        with _tf32(precision != "exact"):
            yield
    finally:
        _precision.reset(before)


def spikes_travel_as(precision: Precision, dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """The type in which spikes go from stage to stage of a network.

    On a device it is narrower than the type of the network; products tell by that that one side is
    spikes.
    """
    if precision in HALVES:
        return HALVES[precision]
    return torch.bfloat16 if _has_tensor_cores(device) and dtype == torch.float32 else dtype


def spikes_convolved_as(narrow: torch.dtype, whole: torch.dtype) -> torch.dtype:
    """The type in which spikes enter a convolution.

    It is narrow only where products are of half precision, or where that tells that the other side
    is to be split into parts.
    """
    return narrow if _precision.get() in ("exact", *HALVES) else whole


def products_in() -> torch.dtype | None:
    """The type of half precision in which products are computed now; None if there is none."""
    precision = _precision.get()
    return None if precision is None else HALVES.get(precision)


def product(a: Tensor, b: Tensor, shift: Tensor | None = None) -> Tensor:
    """The product ``a @ b + shift`` of matrices in the precision that is set; a side may be spikes.

    Spikes are told by their type, which is narrower than that of the other side.
    """
    half = products_in()
    if half is None and a.dtype != b.dtype:
        if b.dtype != torch.float32:
            assert shift is None
            return product(b.T, a.T).T
        if _has_tensor_cores(a.device):
            return split_product(a, b, shift)
    kind = half or b.dtype
    a, b = a.to(kind), b.to(kind)
    return a @ b if shift is None else torch.addmm(shift.to(kind), a, b)


def split_product(
    spikes: Tensor, real: Tensor, shift: Tensor | None = None, parts: int = 3
) -> Tensor:
    """The product ``spikes @ real + shift`` to float32's precision, by products in bfloat16.

    The smallest part comes first, so that the sums lose least.

    Args:
        spikes: the spikes ``[N, K]``, 0 and 1, or other values that bfloat16 holds.
        real: the real side, float32 ``[K, M]``.
        shift: what is added, float32 ``[M]``, if any.
        parts: the number of parts that ``real`` is split into; three hold all of it.

    Returns:
        The product, float32 ``[N, M]``.
    """
    spikes = spikes.to(torch.bfloat16)
    total = shift
    for part in reversed(_in_bfloat16(real, parts)):
        total = _added(total, spikes, part)
    assert total is not None
    return total


def split(value: Tensor, parts: int, narrow: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Split a float32 tensor into narrow parts whose sum it is, the largest first."""
    found = []
    for _ in range(parts):
        found.append(narrow(value))
        value = value - found[-1].float()
    return found


def _in_bfloat16(real: Tensor, parts: int) -> list[Tensor]:
    """Parts in bfloat16; where Triton runs, by one kernel that reads the tensor once."""
    if unavailable("triton", real.device) is not None:
        return split(real, parts, Tensor.bfloat16)
    from lfp_snn.backends.triton import parts as fused  # which loads Triton

    return fused.split(real, parts)


def over_tf32_parts(real: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute what is linear in a real side, to float32's precision on the tensor cores.

    Args:
        real: the real side, float32.
        compute: the function that gives the product of spikes with a part of it.
    """
    if not (_precision.get() == "exact" and _has_tensor_cores(real.device)):
        return compute(real)
    with _tf32(True):
        large, small = split(real, 2, to_tf32)
        return compute(small).add_(compute(large))


def to_tf32(value: Tensor) -> Tensor:
    """The nearest float32 numbers with the 11 bits of mantissa that TF32 has."""
    bits = value.view(torch.int32) + (1 << (_DROPPED - 1))
    return (bits & -(1 << _DROPPED)).view(torch.float32)


def _added(total: Tensor | None, spikes: Tensor, part: Tensor) -> Tensor:
    """The sum ``total + spikes @ part`` of bfloat16 matrices with float32 sums."""
    if spikes.device.type == "cpu":
        found = spikes.float() @ part.float()
        return found if total is None else total + found
    multiply: Any = torch.mm if total is None else torch.addmm
    given = (spikes, part) if total is None else (total, spikes, part)
    summed: Tensor = multiply(*given, out_dtype=torch.float32)
    return summed


def _has_tensor_cores(device: torch.device) -> bool:
    """Whether a device has fast narrow products, with sums in float32."""
    return device.type == "cuda" and hasattr(torch.ops.aten.addmm, "dtype")


@contextmanager
def _tf32(allowed: bool) -> Iterator[None]:
    """Let CUDA devices round the sides of float32 products to TF32 or not, in a ``with`` block."""
    switches = _switches()
    before = [getattr(each, name) for each, name, _ in switches]
    for each, name, values in switches:
        setattr(each, name, values[allowed])
    try:
        yield
    finally:
        for (each, name, _), value in zip(switches, before, strict=True):
            setattr(each, name, value)


def _switches() -> list[tuple[Any, str, tuple[Any, Any]]]:
    """The switches that let matrix products and convolutions use TF32, with their two values."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(cudnn, "conv"):
        return [(each, "fp32_precision", ("ieee", "tf32")) for each in (matmul, cudnn.conv)]
    return [(each, "allow_tf32", (False, True)) for each in (matmul, cudnn)]
