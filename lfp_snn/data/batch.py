"""The batch that a loader yields and a learner takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lfp_snn.later import torch
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of B labelled samples.

    Args:
        x: the spike trains [T, B, *feature]; or a constant current, float32 [B, *feature], to be
            shown for `steps` steps.
        labels: the class of each sample, int64 [B]; -1 where unknown.
        lengths: the number of steps of each sample, int64 [B]; None if all have T.
        ids: the name of each sample.
        steps: T of a constant current; None for spike trains, which have T steps themselves.
        targets: the targets for rewards that look at them, float: output trains or membranes to
            reach, [T, B, C], or [B, C] at every step, or one number per sample, [B] or [B, 1].
    """

    x: Spikes | Tensor
    labels: Tensor
    lengths: Tensor | None = None
    ids: Sequence[str] = ()
    steps: int | None = None
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def padded(self, size: int) -> Batch:
        """The batch with silent samples of length 0 behind, which take no part in anything.

        Args:
            size: the number of samples of the result, as many as now or more.
        """
        missing = size - len(self)
        steps = self.x.shape[0] if self.steps is None else self.steps
        lengths = self.lengths
        if lengths is None:
            lengths = torch.full_like(self.labels, steps)
        if not missing:
            return replace(self, lengths=lengths)

        def longer(tensor: Tensor, axis: int) -> Tensor:
            shape = (*tensor.shape[:axis], missing, *tensor.shape[axis + 1 :])
            return torch.cat([tensor, tensor.new_zeros(shape)], axis)

        x, targets = self.x, self.targets
        return replace(
            self,
            x=_longer(x, missing) if isinstance(x, Spikes) else longer(x, int(self.steps is None)),
            labels=longer(self.labels, 0),
            lengths=longer(lengths, 0),
            ids=(*self.ids, *("",) * missing),
            targets=None if targets is None else longer(targets, int(targets.dim() == 3)),
        )

    def to(self, device: torch.device | str) -> Batch:
        """Batch on another device; it goes to a GPU from page-locked memory, without waiting."""
        on_gpu = torch.device(device).type == "cuda"

        def sent(tensor: Tensor | None) -> Tensor | None:
            if tensor is None:
                return None
            pinned = on_gpu and tensor.device.type == "cpu"
            return (tensor.pin_memory() if pinned else tensor).to(device, non_blocking=on_gpu)

        x = self.x.pin_memory() if on_gpu and self.x.device.type == "cpu" else self.x
        labels = sent(self.labels)
        assert labels is not None
        return replace(
            self,
            x=x.to(device, non_blocking=on_gpu),
            labels=labels,
            lengths=sent(self.lengths),
            targets=sent(self.targets),
        )


def _longer(x: Spikes, missing: int) -> Spikes:
    """Spike trains with so many silent samples behind them."""
    ends = x.indptr[-1:].expand(missing * x.steps)
    shape = (x.steps, x.batch + missing, *x.feature_shape)
    return Spikes(torch.cat([x.indptr, ends]), x.indices, shape, x.values)


def nothing() -> Batch:
    """The share of a batch that has fewer samples than there are processes to share it."""
    return Batch(torch.empty(0), torch.empty(0, dtype=torch.int64))
