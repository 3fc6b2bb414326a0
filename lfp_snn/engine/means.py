"""Stages that take means over axes of the sample, such as the mean over the voters of a class."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.engine.stage import Routing, Tape
from lfp_snn.errors import NetworkError

__all__ = ["Mean", "MeanOver"]


class MeanOver(nn.Module):
    """``x.mean(dim, keepdim)``, as a module for :class:`Mean`.

    Args:
        dim: the axes, counted with the batch as 0; None for all.
        keepdim: whether they stay, with the size 1.
    """

    def __init__(self, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> None:
        super().__init__()
        self.dims = (dim,) if isinstance(dim, int) else dim if dim is None else tuple(dim)
        self.keepdim = keepdim

    @override
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.dims, self.keepdim)

    @override
    def extra_repr(self) -> str:
        return f"dim={self.dims}, keepdim={self.keepdim}"


class Mean(Routing):
    """The mean over axes of the frame, a linear stage."""

    module: MeanOver
    linear = True

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        axes = self._axes(x)
        run.keep(self, (x.shape, axes))
        return x.mean(axes, self.module.keepdim)

    def _axes(self, x: Tensor) -> list[int]:
        """The axes of ``[T, B, ...]``."""
        count = x.dim() - 1  # time is not among those of the module
        dims = range(count) if self.module.dims is None else self.module.dims
        if any(not -count <= dim < count for dim in dims):
            raise self.misfit(f"the axes {self.module.dims}", x.shape)
        axes = sorted(dim % count + 1 for dim in dims)
        if 1 in axes:
            raise NetworkError(
                f"Stage '{self.name}' takes the mean over samples (axis 0); keep that axis, for "
                "instance with x.mean(-1)."
            )
        return axes

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        """Relevance is handed on evenly, as credit is, since all weights are the same."""
        shape, axes = run.kept[self]
        kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
        kept[0] = len(relevance)  # every step, also where the input is constant
        share = relevance.reshape(kept) / math.prod(shape[axis] for axis in axes)
        return (share.expand(len(relevance), *shape[1:]).contiguous(),)
