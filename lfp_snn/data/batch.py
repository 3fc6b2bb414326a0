"""The batch that a loader yields and a learner takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lfp_snn.spikes import Spikes


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

    def to(self, device: torch.device | str) -> "Batch":
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


#: The share of a batch that has fewer samples than there are processes to share it.
NOTHING = Batch(torch.empty(0), torch.empty(0, dtype=torch.int64))
