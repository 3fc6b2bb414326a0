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
        targets: for rewards that look at them, float: output trains or membranes to reach,
            [T, B, C], or one number per sample, [B].
    """

    x: Spikes | Tensor
    labels: Tensor
    lengths: Tensor | None = None
    ids: Sequence[str] = ()
    steps: int | None = None
    targets: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        targets = None if self.targets is None else self.targets.to(device)
        return replace(
            self,
            x=self.x.to(device),
            labels=self.labels.to(device),
            lengths=lengths,
            targets=targets,
        )
