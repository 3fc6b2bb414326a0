"""The interface by which the engine sums tensors over processes that share a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
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
            part: the tensor of this process, which is copied, or ``None`` if it has none.
            like: a tensor of the shape and dtype that the tensors of all processes have.
        """

    def collect(self) -> list[Tensor | None]:
        """Wait for the sums of all tensors that were added since the last call, in that order.

        The sum is ``None`` where no process had a tensor.
        """

    def sum(self, part: Tensor) -> Tensor:
        """Sum a tensor in place, wait for it and return it."""
