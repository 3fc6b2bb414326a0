"""Normalisations whose statistics are taken over a batch: over all its steps, or step by step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.engine.norms import Moments, Normalisation
from lfp_snn.engine.stage import Feedback, Measured, Rules, Tape
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.norms import PerStep

__all__ = ["BatchNorm", "BatchNormTT"]


class BatchNorm(Normalisation):
    """``nn.BatchNorm1d`` or ``nn.BatchNorm2d``: a channel over T steps, B samples and space.

    While training, or without running statistics, the statistics are taken from the batch, from its
    frames that run (steps after a sample's end are left out). The running statistics move once per
    forward call, not once per step. Where several processes share a batch, the statistics are those
    of all its samples, and so are the means on the way back.
    """

    module: Any
    _dims: ClassVar[dict[type[nn.Module], tuple[int, ...]]] = {
        nn.BatchNorm1d: (3, 4),
        nn.BatchNorm2d: (5,),
    }

    @property
    @override
    def measured(self) -> Measured | None:
        return "sequence" if self.measures else None

    @property
    def measures(self) -> bool:
        """Whether the statistics are taken from the batch."""
        return all(
            norm.training or norm.running_mean is None or norm.running_var is None
            for norm in self.norms
        )

    @property
    def norms(self) -> list[Any]:
        """The modules that hold statistics, one for each set of steps over which they are taken."""
        return [self.module]

    def _norms(self, run: Tape) -> list[Any]:
        """The modules that hold statistics, for the steps of this pass only."""
        return self.norms

    def _axes(self, x: Tensor) -> list[int]:
        """The axes over which statistics are taken."""
        return [axis for axis in range(x.dim()) if axis != 2]

    @override
    def taken(self, run: Tape, x: Tensor) -> Tensor:
        norm = self.norms[0]
        if x.dim() not in self._dims[type(norm)] or x.shape[2] != norm.num_features:
            raise self.misfit(f"{norm.num_features} channels", x.shape)
        return x

    @override
    def shown(self, run: Tape, x: Tensor) -> Tensor | None:
        constant = len(x) == 1
        if run.lengths is None:
            return x.new_tensor(run.steps) if constant and run.steps != 1 else None
        dims = x.dim()
        if constant:
            return run.lengths.to(x.dtype).view(1, -1, *(1,) * (dims - 2))
        alive = run.running(dims)
        return None if alive is None else alive.to(x.dtype)

    @override
    def moments(self, run: Tape, x: Tensor) -> Moments:
        mean, inverse, count = self.settled(run, self._of_frames(run, x) if self.measures else None)
        spread = (len(mean), 1, -1, *(1,) * (x.dim() - 3))
        if count is not None:
            count = count.view(len(mean), 1, 1, *(1,) * (x.dim() - 3))
        return mean.view(spread), inverse.view(spread), count

    def settled(
        self, run: Tape, own: tuple[Tensor, Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The statistics with which a pass normalises; the running ones follow.

        Args:
            run: the forward pass.
            own: mean and variance ``[S, C]`` of the values of this process and their number
                ``[S, 1]``; None where running statistics are taken (:attr:`measures`).

        Returns:
            Mean and ``1 / sqrt(var + eps)`` ``[S, C]`` over all processes, and the number of values
            ``[S, 1]`` that they were taken from; that number is None for running statistics.
        """
        norms = self._norms(run)
        if own is None:
            mean, variance = (
                torch.stack([getattr(norm, name) for norm in norms])
                for name in ("running_mean", "running_var")
            )
            return mean, (variance + norms[0].eps).rsqrt(), None
        mean, variance, count = own if run.exchange is None else self._of_all(run, *own)
        if not run.again:
            self._track(norms, mean, variance, count)
        return mean, (variance + norms[0].eps).rsqrt(), count

    def _of_frames(self, run: Tape, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance ``[S, C]`` of the frames that run, and their number ``[S, 1]``."""
        axes, shown = self._axes(x), self.shown(run, x)
        sets = len(self._norms(run))
        places = x.numel() // (sets * x.shape[2])
        if shown is None or run.lengths is None:
            mean, variance = _spread(x, axes)
            repeats = run.steps // len(x) if sets == 1 else 1
            count = x.new_full((sets, 1), places * repeats)
        else:
            frames = shown.expand(*x.shape[:2], *shown.shape[2:]).sum(axes).view(sets, 1)
            count = frames * x[0, 0, 0].numel()
            divisor = count.clamp(min=1).view(sets, 1, 1, *(1,) * (x.dim() - 3))
            mean = (x * shown).sum(axes, keepdim=True) / divisor
            variance = ((x - mean).square() * shown).sum(axes, keepdim=True) / divisor
        return mean.view(sets, -1), variance.view(sets, -1), count

    def _of_all(
        self, run: Tape, mean: Tensor, variance: Tensor, count: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, variance and number of values over all processes, from those of each process.

        The sums are taken in float64, so that the difference of squares loses no digit of float32.
        """
        m, v, n = mean.double(), variance.double(), count.double()
        first, second, total = self._sum(run, n * m, n * (v + m * m), n.expand_as(m))
        count = total[:, :1].clamp(min=1)
        m = first / count
        variance = (second / count - m * m).clamp(min=0)
        return m.to(mean.dtype), variance.to(mean.dtype), total[:, :1].to(mean.dtype)

    def _sum(self, run: Tape, *parts: Tensor) -> Tensor:
        """Sums ``[k, S, C]`` over all processes; how many steps a process runs plays no part."""
        assert run.exchange is not None
        own = torch.stack(parts)
        whole = own.new_zeros(len(parts), len(self.norms), own.shape[2], dtype=torch.float64)
        whole[:, : own.shape[1]] = own
        return run.exchange.sum(whole)[:, : own.shape[1]]

    @override
    def means(self, run: Tape, a: Tensor, b: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        totals = [each.sum(self._axes(each), keepdim=True) for each in (a, b)]
        shape = totals[0].shape
        of_a, of_b = (each.view(len(each), shape[2]) for each in totals)
        mean_a, mean_b = self.shared_means(run, of_a, of_b, count.view(-1, 1))
        return mean_a.view(shape), mean_b.view(shape)

    def shared_means(self, run: Tape, a: Tensor, b: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Means over the values of all processes, from the sums ``[S, C]`` of this one."""
        if run.exchange is not None:
            kind = a.dtype
            a, b = (each.to(kind) for each in self._sum(run, a, b))
        divisor = count.clamp(min=1)
        return a / divisor, b / divisor

    @override
    def sit_out(self, run: Tape) -> None:
        if not self.measures:
            return
        nothing = self._nothing(run)
        found = self._of_all(run, nothing, nothing, nothing[:, :1])
        self._track(self.norms, *found)

    @override
    def sit_out_backward(self, run: Tape, rules: Rules, *, before: bool) -> None:
        if before and self.measures and self.through(rules):
            nothing = self._nothing(run)
            self._sum(run, nothing, nothing)

    def _nothing(self, run: Tape) -> Tensor:
        """The sums ``[S, C]`` of a process without a sample."""
        like = next(chain(self.module.parameters(), self.module.buffers()), torch.empty(0))
        features = self.norms[0].num_features
        return torch.zeros(len(self.norms), features, dtype=run.dtype, device=like.device)

    def _track(self, norms: Sequence[Any], mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Move the running statistics as torch does, with the unbiased variance."""
        unbiased = variance * (count / (count - 1).clamp(min=1))
        for norm, m, v, n in zip(norms, mean, unbiased, count, strict=False):
            if not (norm.training and norm.track_running_stats):
                continue
            ran = n[0] > 0  # at a late step none may run any more
            norm.num_batches_tracked += ran
            share = norm.momentum
            if share is None:
                share = 1 / norm.num_batches_tracked.to(m.dtype).clamp(min=1)
            weight = ran.to(m.dtype) * share
            norm.running_mean.lerp_(m, weight)
            norm.running_var.lerp_(v, weight)


class BatchNormTT(BatchNorm):
    """``snntorch.BatchNormTT1d`` or ``BatchNormTT2d``: a channel at a step, over B and space.

    Every step has a normalisation of its own, with statistics, scale and shift (if it has one) of
    its own. The list that snntorch makes cannot be called: put it into a network of one step as it
    is for :class:`~lfp_snn.TemporalLFP` alone, or within :class:`lfp_snn.norms.PerStep`, which also
    runs step by step.

    Raises:
        NetworkError: the list holds anything but normalisations over batches of the same size.
    """

    module: Any

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)
        norms = self.norms
        kinds = {(type(norm), getattr(norm, "num_features", 0)) for norm in norms}
        if len(kinds) != 1 or type(norms[0]) not in self._dims:
            held = ", ".join(sorted({type(norm).__name__ for norm in norms})) or "nothing"
            raise NetworkError(
                f"Stage '{name}' is a list of {held}, for which there is no rule: only a list of "
                "normalisations for each step, such as snntorch.BatchNormTT1d(features, steps), "
                "stands in the place of a stage."
            )

    @property
    @override
    def norms(self) -> list[Any]:
        return list(self.module.norms if isinstance(self.module, PerStep) else self.module)

    @override
    def _norms(self, run: Tape) -> list[Any]:
        return self.norms[run.start : run.start + run.steps]

    @property
    @override
    def measured(self) -> Measured | None:
        return "step"

    @override
    def _axes(self, x: Tensor) -> list[int]:
        return [axis for axis in range(x.dim()) if axis not in (0, 2)]

    @override
    def taken(self, run: Tape, x: Tensor) -> Tensor:
        if run.start + run.steps > len(self.norms):
            raise ShapeError(
                f"Stage '{self.name}' has normalisations for {len(self.norms)} steps, but runs for "
                f"{run.start + run.steps} or more: build it with as many as the input has."
            )
        return run.every_step(super().taken(run, x))

    @override
    def wide(self, run: Tape, name: str, x: Tensor) -> Tensor | None:
        each = [getattr(norm, name) for norm in self._norms(run)]
        if any(parameter is None for parameter in each):
            return None
        return torch.stack(each).detach().view(len(each), 1, -1, *(1,) * (x.dim() - 3))

    @override
    def learn(self, run: Tape, feedback: Feedback, n: Tensor, hat: Tensor) -> None:
        products = n * hat
        for t, norm in enumerate(self._norms(run)):
            feedback.add(norm.weight, self.per_entry(products[t : t + 1]))
            feedback.add(norm.bias, self.per_entry(n[t : t + 1]))

    @override
    def parameters(self) -> dict[str, Tensor]:
        return dict(self.module.named_parameters())

    @override
    def describe(self) -> str:
        return f"{type(self.norms[0]).__name__} per step"


def _spread(x: Tensor, axes: list[int]) -> tuple[Tensor, Tensor]:
    """Mean and variance over some axes, which stay with size 1."""
    if x.device.type != "cpu":
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        return mean, variance
    # On the CPU torch's function takes one value after the other: some four times as long.
    mean = x.mean(axes, keepdim=True)
    return mean, (x - mean).square_().mean(axes, keepdim=True)
