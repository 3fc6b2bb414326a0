"""Stages in which branches or channels meet: sum, concatenation and maximum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.engine.stage import Credits, Feedback, Routing, Rules, Stage, Tape, Wanted
from lfp_snn.errors import NetworkError, ShapeError

__all__ = ["Concatenate", "Maximum", "MaximumOver", "Sum", "takes_axes"]


def _refuse_misfits(stage: Stage, inputs: Sequence[Tensor]) -> None:
    """Refuse branches that torch would not merge, or only by taking time or batch for a feature."""
    frames = [tuple(x.shape[2:]) for x in inputs]
    try:
        torch.broadcast_shapes(*frames)
        fit = len({len(frame) for frame in frames}) == 1
    except RuntimeError:
        fit = False
    if not fit:
        raise ShapeError(
            f"Stage '{stage.name}' ({stage.describe()}) cannot merge branches of shapes "
            f"{', '.join(map(str, frames))}: give them the same shape."
        )


class Sum(Stage):
    """Weighted sum of branches, ``sum_k a_k x_k`` (a difference has ``a = (1, -1)``)."""

    linear = True

    def __init__(self, name: str, weights: Sequence[float], offset: float = 0.0) -> None:
        super().__init__(name)
        self.weights = tuple(weights)
        self.offset = offset

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        _refuse_misfits(self, inputs)
        total = sum(
            (x if a == 1 else a * x for a, x in zip(self.weights, inputs, strict=True)),
            start=torch.zeros((), dtype=inputs[0].dtype, device=inputs[0].device),
        )
        return total + self.offset if self.offset else total

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return tuple(
            None if want is None else credit if a == 1 else a * credit
            for a, want in zip(self.weights, wanted, strict=True)
        )

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        """Relevance is shared among the branches by the size of their weights."""
        total = sum(map(abs, self.weights))
        return tuple(relevance * (abs(a) / total if total else 0) for a in self.weights)


class Concatenate(Routing):
    """Branches side by side along an axis of the sample (``axis`` as in the module, 0 = batch)."""

    linear = True

    def __init__(self, name: str, axis: int) -> None:
        super().__init__(name)
        if axis == 0:
            raise NetworkError(
                f"Stage '{name}' concatenates along the batch (axis 0); only axes of the sample "
                "can be concatenated, for instance torch.cat([a, b], 1)."
            )
        self.axis = axis if axis < 0 else axis + 1

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        steps = max(x.shape[0] for x in inputs)
        wide = [x.expand(steps, *x.shape[1:]) for x in inputs]
        try:
            joined = torch.cat(wide, self.axis)
        except RuntimeError as problem:
            shapes = ", ".join(str(tuple(x.shape[2:])) for x in inputs)
            raise ShapeError(
                f"Stage '{self.name}' cannot concatenate branches of shapes {shapes} along axis "
                f"{self.axis}: all other axes must agree."
            ) from problem
        if joined.shape[:2] != wide[0].shape[:2]:
            raise NetworkError(
                f"Stage '{self.name}' concatenates along the batch; only axes of the sample can "
                "be concatenated, for instance torch.cat([a, b], 1)."
            )
        run.keep(self, [x.shape[self.axis] for x in inputs])
        return joined

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        return tuple(relevance.split(run.kept[self], self.axis))


class Maximum(Routing):
    """Elementwise maximum of two branches; the larger takes the credit, equals share it in halves.

    This is how the paper's residual SNN merges spikes: the merged value is again a spike.
    """

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        _refuse_misfits(self, inputs)
        a, b = inputs
        run.keep(self, (a, b))
        return torch.maximum(a, b)

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        a, b = run.kept[self]
        tied = 0.5 * (a == b)
        share = (a > b) + tied
        return (relevance * share, relevance * (1 - share))

    @override
    def rule(self, rules: Rules) -> str:
        return "larger"


def takes_axes(sources: Sequence[Any], options: Mapping[str, Any]) -> bool:
    """Whether a maximum is taken over axes of one value that are told."""
    dim = options.get("dim", options.get("axis", sources[1] if len(sources) > 1 else None))
    whole = isinstance(dim, int) or (isinstance(dim, tuple | list) and len(dim) > 0)
    return whole and options.get("out") is None


class MaximumOver(Routing):
    """``x.amax(dim)`` or ``x.max(dim)``: the largest value along axes of the sample.

    The largest takes the credit, and equal ones share it evenly, as two branches do in a
    :class:`Maximum`.

    Args:
        name: the name of the stage.
        dim: the axes, counted with the batch as 0.
        keepdim: whether they stay, with the size 1.
        axis: another word for ``dim``.

    Raises:
        NetworkError: the batch is one of the axes.
    """

    def __init__(
        self,
        name: str,
        dim: int | Sequence[int] | None = None,
        keepdim: bool = False,
        axis: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(name)
        told = axis if dim is None else dim
        assert told is not None
        self.dims = (told,) if isinstance(told, int) else tuple(told)
        self.keepdim = keepdim

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        axes = [dim % (x.dim() - 1) + 1 for dim in self.dims]  # time is not among the module's
        if 1 in axes:
            raise NetworkError(
                f"Stage '{self.name}' takes the maximum over samples (axis 0); keep that axis, for "
                "instance with x.amax(1)."
            )
        largest = x.amax(axes, keepdim=True)
        run.keep(self, (x, largest, axes))
        return largest if self.keepdim else largest.squeeze(axes)

    @override
    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        x, largest, axes = run.kept[self]
        winners = (x == largest).to(relevance.dtype)
        share = winners / winners.sum(axes, keepdim=True)
        shape = (len(relevance), *largest.shape[1:])
        return (relevance.reshape(shape) * share,)

    @override
    def rule(self, rules: Rules) -> str:
        return "largest"
