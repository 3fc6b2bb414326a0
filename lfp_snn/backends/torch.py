"""Reference kernels of the linear stages, in torch.

A synapse computes a current, ``I = W x + b``, and needs two more products on the way back: the
sums for its feedback, ``sum x n``, and the credit per unit of input, ``c = W^T n``. All three work
on folded frames ``[N, ...]`` (time and batch in one axis), for any device and floating dtype, in
the precision of :mod:`lfp_snn.backends.precision`. They call torch's own backward kernels and never
autograd.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn.backends.precision import over_tf32_parts, product, products_in

__all__ = [
    "AvgPool",
    "Convolution",
    "MaxPool",
    "avg_pool",
    "avg_pool_credit",
    "conv_backward",
    "conv_current",
    "linear_backward",
    "linear_current",
    "max_pool",
    "max_pool_credit",
]

aten = torch.ops.aten
Convolution = nn.Conv1d | nn.Conv2d
MaxPool = nn.MaxPool2d | nn.AdaptiveMaxPool2d
AvgPool = nn.AvgPool2d | nn.AdaptiveAvgPool2d


def linear_current(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The current ``I = x W^T + b`` of a linear layer, ``[N, ..., in] -> [N, ..., out]``."""
    current = product(x.reshape(-1, x.shape[-1]), weight.T, bias)
    return current.view(*x.shape[:-1], len(weight))


def linear_backward(
    x: Tensor, n: Tensor, weight: Tensor, *, feedback: bool, credit: bool, biased: bool = True
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Sums for the feedback of weight and bias, and the credit of the input.

    Args:
        x: the input ``[N, ..., in]``.
        n: the credit of the current ``[N, ..., out]``.
        weight: the weight ``[out, in]``.
        feedback: whether the sums are wanted.
        credit: whether the credit of the input is wanted.
        biased: whether there is a bias.
    """
    rows_x, rows_n = x.reshape(-1, x.shape[-1]), n.reshape(-1, n.shape[-1])
    return (
        product(rows_n.T, rows_x) if feedback else None,
        rows_n.sum(0, dtype=weight.dtype) if feedback and biased else None,
        product(rows_n, weight).view_as(x) if credit else None,
    )


def conv_current(x: Tensor, weight: Tensor, bias: Tensor | None, synapse: Convolution) -> Tensor:
    """The current ``W * x + b`` of frames ``[N, C_in, ...]``, in the geometry of ``synapse``."""
    convolve: Any = F.conv1d if isinstance(synapse, nn.Conv1d) else F.conv2d
    geometry = synapse.stride, synapse.padding, synapse.dilation, synapse.groups
    half = products_in()
    kind = half or weight.dtype
    frames, shift = x.to(kind), None if bias is None else bias.to(kind)
    if half is not None or x.dtype == kind:
        plain: Tensor = convolve(frames, weight.to(kind), shift, *geometry)
        return plain
    current = over_tf32_parts(weight, lambda part: convolve(frames, part, None, *geometry))
    return current if shift is None else current.add_(shift.view(-1, *(1,) * (x.dim() - 2)))


def conv_backward(
    x: Tensor,
    n: Tensor,
    weight: Tensor,
    synapse: Convolution,
    padding: tuple[int, ...],
    *,
    feedback: bool,
    credit: bool,
    biased: bool = True,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The sums for the feedback of a convolution, and the credit of its input.

    Arguments and result are as of :func:`linear_backward`; the padding is given in numbers.
    """
    if not (feedback or credit):
        return None, None, None
    half = products_in()
    kind = half or weight.dtype
    of_spikes = half is None and x.dtype != kind
    x, n, weight = (each.to(kind) for each in (x, n, weight))
    geometry = synapse.stride, padding, synapse.dilation, False, [0] * len(padding), synapse.groups

    def back(part: Tensor, *wanted: bool) -> tuple[Tensor, Tensor, Tensor]:
        found: tuple[Tensor, Tensor, Tensor] = aten.convolution_backward(
            part, x, weight, [weight.shape[0]], *geometry, list(wanted)
        )
        return found

    if not of_spikes:
        of_input, of_weight, of_bias = back(n, credit, feedback, feedback and biased)
        return of_weight, of_bias, of_input
    return (
        over_tf32_parts(n, lambda part: back(part, False, True, False)[1]) if feedback else None,
        n.sum((0, *range(2, n.dim()))) if feedback and biased else None,
        back(n, True, False, False)[0] if credit else None,
    )


def max_pool(x: Tensor, pool: MaxPool) -> tuple[Tensor, Tensor]:
    """The maxima of maps ``[N, C, H, W]``, and the flat place of each winner in its map.

    The winner is the first maximum in row-major order.
    """
    if isinstance(pool, nn.AdaptiveMaxPool2d):
        return F.adaptive_max_pool2d_with_indices(x, pool.output_size)
    # torch's stub wants lists; numbers and pairs are as good.
    kernel, stride, padding, dilation = cast(
        tuple[list[int], list[int], list[int], list[int]],
        (pool.kernel_size, pool.stride, pool.padding, pool.dilation),
    )
    return F.max_pool2d_with_indices(x, kernel, stride, padding, dilation, pool.ceil_mode)


def max_pool_credit(credit: Tensor, winners: Tensor, shape: torch.Size) -> Tensor:
    """Route the credit of each maximum to its winner; windows may overlap."""
    maps = credit.new_zeros((*shape[:2], shape[2] * shape[3]))
    maps.scatter_add_(2, winners.flatten(2), credit.flatten(2))
    return maps.view(shape)


def avg_pool(x: Tensor, pool: AvgPool) -> Tensor:
    """The averages of maps ``[N, C, H, W]``."""
    pooled: Tensor = pool(x)
    return pooled


def avg_pool_credit(credit: Tensor, pool: AvgPool, shape: torch.Size) -> Tensor:
    """Share the credit of each average among its window, as the average shared its inputs."""
    like = credit.new_empty(shape)  # torch's kernel reads no more than its shape
    shared: Tensor
    if isinstance(pool, nn.AdaptiveAvgPool2d):
        shared = aten._adaptive_avg_pool2d_backward(credit, like)
    else:
        shared = aten.avg_pool2d_backward(
            credit,
            like,
            *(
                [size, size] if isinstance(size, int) else list(size)
                for size in (pool.kernel_size, pool.stride, pool.padding)
            ),
            pool.ceil_mode,
            pool.count_include_pad,
            pool.divisor_override,
        )
    return shared
