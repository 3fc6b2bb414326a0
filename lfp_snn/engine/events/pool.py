"""Pools of spikes, on lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.backends.events import pool as pools
from lfp_snn.backends.events.workspace import Workspace
from lfp_snn.engine import shapes
from lfp_snn.engine.events.stage import as_lists, as_spikes, numpy_dtype
from lfp_snn.engine.kernels import Group
from lfp_snn.engine.stage import Credits, Feedback, Rules, Stage, Tape, Wanted
from lfp_snn.spikes import Spikes

__all__ = ["EventPool"]


class EventPool(Stage):
    """A pool of spikes, on lists: a window without spikes costs nothing.

    Args:
        reference: the reference stage that this one replaces, with windows of the usual kind.
    """

    takes_spikes = True
    keeps_lists = True

    def __init__(self, reference: shapes.Pool) -> None:
        super().__init__(reference.name, reference.module)
        self.reference = reference
        self.ahead = Workspace()
        self.back = Workspace()

    @classmethod
    def of(cls, group: Group) -> Self:
        """The stage for a group of one pool."""
        (pool,) = group.stages
        assert isinstance(pool, shapes.Pool)
        return cls(pool)

    @override
    def rule(self, rules: Rules) -> str:
        return self.reference.rule(rules)

    @override
    def forward(self, run: Tape, *inputs: Spikes) -> Spikes:
        (x,) = inputs
        given, tables = as_lists(x), self.tables(x.shape)
        out = pools.pool_forward(given, tables, run.steps, numpy_dtype(run.dtype), self.ahead)
        run.keep(self, (given, out, tables))
        return as_spikes(out, (*x.shape[:2], *self.frame(x.feature_shape)))

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return (torch.from_numpy(self.entry_credit(run, credit.numpy())),)

    def entry_credit(self, run: Tape, credit: np.ndarray) -> np.ndarray:
        """The credit per entry of the input, from the credit per entry of the pooled value."""
        given, out, tables = run.kept[self]
        return pools.pool_backward(given, out, credit, tables, run.steps, self.back)

    def frame(self, feature: Sequence[int]) -> tuple[int, ...]:
        """The shape of a pooled frame."""
        pool = self.module
        assert pool is not None
        pooled = pool(torch.empty((1, *feature), device="meta"))
        return tuple(pooled.shape[1:])

    def tables(self, shape: Sequence[int]) -> pools.Pooling:
        """The windows over maps of dense shape ``[T, B, C, ...]``."""
        reference = self.reference
        if len(shape) != reference.axes + 3:
            raise reference.misfit(f"channels of {reference.axes}-dimensional maps", shape)
        height, width = (1, shape[3]) if reference.axes == 1 else (shape[3], shape[4])
        rows, columns = (_windows(reference.pool, k, n) for k, n in enumerate((height, width)))
        maximum = isinstance(reference, shapes.MaxPool)
        return pools.pooling(shape[2], (height, width), rows, columns, maximum=maximum)


def _windows(pool: nn.Module, axis: int, size: int) -> tuple[pools.Window, ...]:
    """The windows of a two-dimensional pool along one axis."""
    if isinstance(pool, nn.AdaptiveMaxPool2d | nn.AdaptiveAvgPool2d):
        wanted = pool.output_size
        count = wanted if wanted is None or isinstance(wanted, int) else wanted[axis]
        return pools.adaptive_windows(size, size if count is None else count)
    assert isinstance(pool, nn.MaxPool2d | nn.AvgPool2d)
    kernel, stride, padding = (
        value if isinstance(value, int) else value[axis]
        for value in (pool.kernel_size, pool.stride, pool.padding)
    )
    return pools.windows(size, kernel, stride, padding, pool.ceil_mode)
