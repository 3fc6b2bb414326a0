"""What a loader yields and a learner takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lfp_snn.spikes import Spikes


@dataclass(frozen=True, eq=False)
class Batch:
    """B labelled samples.

    Args:
        x: spike trains [T, B, *feature]; or a constant current, float32 [B, *feature], to be
            shown for `steps` steps.
        labels: class of each sample, int64 [B]; -1 where unknown.
        lengths: own number of steps of each sample, int64 [B]; None if all have T.
        ids: name of each sample.
        steps: T of a constant current; None for spike trains, which know theirs.
    """

    x: Spikes | Tensor
    labels: Tensor
    lengths: Tensor | None = None
    ids: Sequence[str] = ()
    steps: int | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device; to a GPU from page-locked memory, without waiting."""
        x, labels, lengths = self.x, self.labels, self.lengths
        on_gpu = torch.device(device).type == "cuda"
        if on_gpu and x.device.type == "cpu":
            x, labels = x.pin_memory(), labels.pin_memory()
            lengths = None if lengths is None else lengths.pin_memory()
        return replace(
            self,
            x=x.to(device, non_blocking=on_gpu),
            labels=labels.to(device, non_blocking=on_gpu),
            lengths=None if lengths is None else lengths.to(device, non_blocking=on_gpu),
        )
