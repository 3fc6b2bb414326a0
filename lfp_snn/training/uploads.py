"""Batches on their way to the device of the network, ahead of the step that takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lfp_snn.data import Batch
from lfp_snn.spikes import Spikes

__all__ = ["Uploads"]


class Uploads:
    """Uploads of batches to a device; to a GPU while it works on the batch before.

    A batch travels from page-locked memory on a stream of its own. The stream of the step waits for
    it on the device, and the host for nothing.

    Args:
        device: the device of the network.
        cuda: the module with streams and events, such as :mod:`torch.cuda`.
    """

    def __init__(self, device: torch.device, cuda: Any = torch.cuda) -> None:
        self.device = device
        self.cuda = cuda
        self.ahead = device.type == "cuda"
        self.stream: Any = cuda.Stream(device) if self.ahead else None

    def __call__(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches on the device, in order."""
        if not self.ahead:
            yield from (batch.to(self.device) for batch in batches)
            return
        given = iter(batches)
        upcoming = self._send(given)
        while upcoming is not None:
            now, upcoming = upcoming, self._send(given)
            yield self._arrived(*now)

    def _send(self, batches: Iterator[Batch]) -> tuple[Batch, Any] | None:
        """Start the transfer of the next batch; gives it, and the event at which it has arrived.

        A set that lies on the device puts it together on that stream too.
        """
        with self.cuda.stream(self.stream):
            batch = next(batches, None)
            if batch is None:
                return None
            return batch.to(self.device), self.stream.record_event()

    def _arrived(self, batch: Batch, there: Any) -> Batch:
        """Let the stream of the step wait for a batch, and hold its memory until it is done."""
        current = self.cuda.current_stream(self.device)
        current.wait_event(there)
        for tensor in _tensors(batch):
            tensor.record_stream(current)
        return batch


def _tensors(batch: Batch) -> Iterator[Tensor]:
    x = batch.x
    held = (x.indptr, x.indices, x.values) if isinstance(x, Spikes) else (x,)
    for tensor in (*held, batch.labels, batch.lengths, batch.targets):
        if tensor is not None:
            yield tensor
