"""What the engine asks of processes that share a batch; how they talk is none of its business."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

__all__ = ["Exchange"]


class Exchange(Protocol):
    """Sums tensors over processes, each of which has some of the samples of a batch.

    Every process makes the same calls in the same order, with tensors of the same shapes; one that
    has nothing to give says so.
    """

    def add(self, part: Tensor | None, like: Tensor) -> None:
        """Begin to sum a tensor, and come back at once.

        Args:
            part: what this process has, or ``None``; it is copied.
            like: a tensor of the shape and type that all of them have.
        """

    def collect(self) -> list[Tensor | None]:
        """Wait for the sums of all that was added since the last call, in that order.

        Where no process had anything there is ``None``.
        """

    def sum(self, part: Tensor) -> Tensor:
        """Sum a tensor in place, wait for it and return it."""
