"""Stages without weights and with one input: pools, reshapes, dropout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.backends import torch as kernels
from lfp_snn.engine.stage import (
    Credits,
    Feedback,
    Form,
    Routing,
    Rules,
    Stage,
    Tape,
    Value,
    Wanted,
)
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.spikes import Spikes

__all__ = [
    "AvgPool",
    "Change",
    "Dropout",
    "Identity",
    "MaxPool",
    "Pool",
    "Reshape",
    "Size",
]


def _as_image_pool(pool: nn.Module) -> nn.Module:
    """A one-dimensional pool as a pool over images of height one; other pools are unchanged."""

    def one(size: int | tuple[int, ...]) -> int:
        return size if isinstance(size, int) else size[0]

    if isinstance(pool, nn.MaxPool1d):
        return nn.MaxPool2d(
            (1, one(pool.kernel_size)),
            (1, one(pool.stride)),
            (0, one(pool.padding)),
            (1, one(pool.dilation)),
            ceil_mode=pool.ceil_mode,
        )
    if isinstance(pool, nn.AvgPool1d):
        return nn.AvgPool2d(
            (1, one(pool.kernel_size)),
            (1, one(pool.stride)),
            (0, one(pool.padding)),
            pool.ceil_mode,
            pool.count_include_pad,
        )
    if isinstance(pool, nn.AdaptiveMaxPool1d):
        return nn.AdaptiveMaxPool2d((1, one(pool.output_size)))
    if isinstance(pool, nn.AdaptiveAvgPool1d):
        return nn.AdaptiveAvgPool2d((1, one(pool.output_size)))
    return pool


class Pool(Stage):
    """A pool over maps; one-dimensional maps are images of height one.

    A one-dimensional pool also takes the units of a linear layer, as in torch, for a single map.
    """

    def __init__(self, name: str, module: nn.Module) -> None:
        super().__init__(name, module)
        self.pool = _as_image_pool(module)
        self.axes = 1 if self.pool is not module else 2

    @property
    @override
    def kind(self) -> str:
        # Units may stand before a vote, and kernels of pools take maps alone.
        special = self._special() or ("voting" if self.votes and self.axes == 1 else "")
        return super().kind + (f", {special}" if special else "")

    def _special(self) -> str:
        """A word for what tells the windows from the usual ones, empty if nothing does."""
        return ""

    def _maps(self, x: Tensor) -> Tensor:
        """Maps ``[T, B, C, ...]``, or units ``[T, B, W]``, as images ``[N, C, H, W]``."""
        self.check(x.shape)
        maps = x[:, :, None].flatten(0, 1) if x.dim() == 3 else x.flatten(0, 1)
        return maps.unsqueeze(-2) if self.axes == 1 else maps

    def check(self, shape: Sequence[int]) -> None:
        """Refuse an input ``[T, B, ...]`` that is neither maps nor units that the pool takes."""
        units = self.axes == 1 and len(shape) == 3
        if not units and len(shape) != self.axes + 3:
            raise self.misfit(f"channels of {self.axes}-dimensional maps", shape)

    def misfit_of_windows(self, shape: Sequence[int]) -> ShapeError:
        """The error for maps that are smaller than a window."""
        return self.misfit("maps that hold at least one window", shape)

    @contextmanager
    def _fitting(self, x: Tensor) -> Iterator[None]:
        """Name the pool in the error when torch refuses to run it."""
        try:
            yield
        except RuntimeError as problem:
            raise self.misfit_of_windows(x.shape) from problem

    def _values(self, maps: Tensor, like: Tensor) -> Tensor:
        """Images ``[N, C, H, W]`` as maps ``[T, B, C, ...]``, or units."""
        maps = maps.squeeze(-2) if self.axes == 1 else maps
        frame = maps.shape[2:] if like.dim() == 3 else maps.shape[1:]
        return maps.reshape(*like.shape[:2], *frame)


class MaxPool(Routing, Pool):
    """Max pooling: credit goes to the winner, the first maximum in row-major order."""

    pool: kernels.MaxPool
    takes_narrow = True

    @override
    def _special(self) -> str:
        dilated = isinstance(self.pool, nn.MaxPool2d) and self.pool.dilation not in (1, (1, 1))
        return "dilated" if dilated else ""

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        maps = self._maps(x)
        with self._fitting(x):
            pooled, winners = kernels.max_pool(maps, self.pool)
        run.keep(self, (x.shape, maps.shape, winners))
        return self._values(pooled, x)

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        shape, maps, winners = run.kept[self]
        routed = kernels.max_pool_credit(relevance.reshape(winners.shape), winners, maps)
        return (routed.view(shape),)

    @override
    def rule(self, rules: Rules) -> str:
        return "winner"


class AvgPool(Pool):
    """Average pooling, a linear stage."""

    pool: kernels.AvgPool
    linear = True

    @override
    def _special(self) -> str:
        pool = self.pool
        usual = not isinstance(pool, nn.AvgPool2d) or (
            pool.count_include_pad and pool.divisor_override is None
        )
        return "" if usual else "with a divisor of its own"

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        maps = self._maps(x)
        with self._fitting(x):
            pooled = kernels.avg_pool(maps, self.pool)
        run.keep(self, (x.shape, maps.shape, pooled.shape))
        return self._values(pooled, x)

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        shape, maps, pooled = run.kept[self]
        shared = kernels.avg_pool_credit(credit.reshape(pooled).contiguous(), self.pool, maps)
        return (shared.reshape(shape),)

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        """Relevance goes evenly to the inputs of each window, padding left out."""
        _, maps, pooled = run.kept[self]
        covered = kernels.avg_pool(relevance.new_ones((1, 1, *maps[2:])), self.pool)
        per_weight = (relevance.reshape(pooled) / covered).contiguous()
        shape = run.kept[self][0]
        return (kernels.avg_pool_credit(per_weight, self.pool, maps).reshape(shape),)


class Reshape(Stage):
    """A stage that gives the frame another shape: flatten, unflatten, view, squeeze.

    What it does to the shape is found out on a batch of two without content, so that a change
    that mixes samples shows.
    """

    module: nn.Module
    linear = True
    takes_spikes = True
    takes_narrow = True
    keeps_lists = True

    @override
    def asks(self, run: Tape, rules: Rules, form: Form, below: Wanted) -> Form:
        asked = below[0]
        if isinstance(asked, Spikes) and isinstance(form, Spikes):
            return asked.reshape_feature(form.feature_shape)
        return form

    @override
    def forward(self, run: Tape, *inputs: Value) -> Value:
        (x,) = inputs
        probe = torch.empty((2, *x.shape[2:]), device="meta")
        try:
            shape = self.module(probe).shape
        except (RuntimeError, IndexError) as problem:
            raise self.misfit(f"what {self.module} can take", x.shape) from problem
        if not shape or shape[0] != 2:
            raise NetworkError(
                f"Stage '{self.name}' mixes samples: it turns a batch of shape "
                f"{tuple(probe.shape)} into {tuple(shape)}; keep axis 0, for instance with "
                "torch.flatten(x, 1)."
            )
        run.keep(self, x.shape)
        if isinstance(x, Spikes):
            return x.reshape_feature(shape[1:])
        return x.reshape(*x.shape[:2], *shape[1:])

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        # One number per entry of a list stays what it is.
        return (credit if credit.dim() == 1 else credit.reshape(run.kept[self]),)

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        return (relevance.reshape(run.kept[self]),)


class Identity(Stage):
    """``nn.Identity``, and every other module that changes nothing."""

    linear = True
    takes_spikes = True
    takes_narrow = True
    keeps_lists = True

    @override
    def asks(self, run: Tape, rules: Rules, form: Form, below: Wanted) -> Form:
        return form if below[0] is None else below[0]

    @override
    def forward(self, run: Tape, *inputs: Value) -> Value:
        return inputs[0]

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return (credit,)

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        return (relevance,)


class Dropout(Stage):
    """``nn.Dropout``, ``nn.Dropout1d``, ``nn.Dropout2d``: a linear stage with a random mask.

    One mask is drawn per forward call and kept over time, as the units of a network that runs
    over time are either there or not. In eval mode it changes nothing.
    """

    module: nn.Dropout | nn.Dropout1d | nn.Dropout2d
    linear = True
    takes_spikes = True
    keeps_lists = True

    @override
    def forward(self, run: Tape, *inputs: Value) -> Value:
        (x,) = inputs
        if not self.module.training:
            run.keep(self, None)
            return x
        if self not in run.drawn:
            ones = torch.ones(x.shape[1:], dtype=run.dtype, device=x.device)
            run.drawn[self] = self.module(ones)
        mask = run.drawn[self]
        run.keep(self, mask)
        if isinstance(x, Spikes):
            # Entries that are dropped stay in the list, with the value 0.
            entries = _at_entries(mask, x)
            values = entries if x.values is None else entries * x.values
            return Spikes(x.indptr, x.indices, x.shape, values)
        return x * mask

    @override
    def asks(self, run: Tape, rules: Rules, form: Form, below: Wanted) -> Form:
        return form if below[0] is None else below[0]

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        mask: Tensor | None = run.kept[self]
        if mask is None:
            return (credit,)
        asked = wanted[0]
        return (credit * (_at_entries(mask, asked) if isinstance(asked, Spikes) else mask),)

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        """Relevance goes to the units that were there; what was dropped has none."""
        mask: Tensor | None = run.kept[self]
        return (relevance if mask is None else relevance * (mask != 0),)


def _at_entries(mask: Tensor, x: Spikes) -> Tensor:
    """A mask ``[B, ...]``, the same at every step, at the entries of a list of spikes."""
    return mask.reshape(-1)[x.positions() % mask.numel()]


@dataclass(frozen=True)
class Size:
    """The size ``x.size(axis)`` of the tensor that is reshaped, as an argument of its new shape."""

    axis: int


class Change(nn.Module):
    """A reshaping method of torch with its arguments, as a module for :class:`Reshape`."""

    def __init__(self, method: str, *arguments: object, **named: object) -> None:
        super().__init__()
        self.method = method
        self.arguments = arguments
        self.named = named

    @override
    def forward(self, x: Tensor) -> Tensor:
        def number(argument: object) -> object:
            return x.shape[argument.axis] if isinstance(argument, Size) else argument

        named = {key: number(argument) for key, argument in self.named.items()}
        changed: Tensor = getattr(x, self.method)(*map(number, self.arguments), **named)
        return changed

    @override
    def extra_repr(self) -> str:
        named = (f"{key}={argument}" for key, argument in self.named.items())
        return f"{self.method}({', '.join([*map(str, self.arguments), *named])})"
